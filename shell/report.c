#include "shell/report.h"

#include <string.h>

json_int_t report_number(const json_t *j, const char *key)
{
    return json_integer_value(json_object_get(j, key));
}

const char *report_text(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));

    return s == NULL ? "" : s;
}

static const json_t *find_target(const json_t *report, json_int_t target)
{
    const json_t *targets = json_object_get(report, "targets");

    for (size_t i = 0; i < json_array_size(targets); i++) {
        const json_t *t = json_array_get(targets, i);

        if (report_number(t, "target") == target)
            return t;
    }
    return NULL;
}

const char *report_target_state(const json_t *report, json_int_t target)
{
    return report_text(find_target(report, target), "state");
}

const char *report_target_addr(const json_t *report, json_int_t target)
{
    const json_t *t = find_target(report, target);

    return strcmp(report_text(t, "state"), "silent") == 0
               ? NULL
               : json_string_value(json_object_get(t, "addr"));
}
