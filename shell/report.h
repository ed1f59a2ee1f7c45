/* Reading the JSON of dfs_report_json(), and documents like it. Pure. */
#ifndef SHELL_REPORT_H
#define SHELL_REPORT_H

#include <jansson.h>

/* 0 when it is not there. */
json_int_t report_number(const json_t *j, const char *key);
/* "" when it is not there. Borrowed from j. */
const char *report_text(const json_t *j, const char *key);
/* Its state, as in the report; "" when it is not there. Borrowed from report. */
const char *report_target_state(const json_t *report, json_int_t target);
/* Where a target that is heard can be asked, "host:port", borrowed from report; NULL: it is not heard,
 * or not there. */
const char *report_target_addr(const json_t *report, json_int_t target);

#endif
