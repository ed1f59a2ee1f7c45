/* dfs why: where the copies of a file are, and how they are. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "common/args.h"
#include "common/strutil.h"
#include "shell/client.h"
#include "shell/command.h"
#include "shell/format.h"
#include "shell/report.h"

enum option_id { OPT_JSON = 1 };

static const struct arg_option options[] = {
    {"json", 0, NULL, "print JSON: an array of objects", OPT_JSON},
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec spec = {
    .program = "dfs why",
    .usage = "[OPTION]... PATH...",
    .about = "Shows a file's inode, its chunks, their placement groups with epochs, and which\n"
             "targets hold the copies and in what state they are.",
    .options = options,
    .rest_min = 1,
    .rest_max = -1,
};

static const char *text(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));

    return s == NULL ? "?" : s;
}

static void print_chunk(const json_t *chunk)
{
    const json_t *copies = json_object_get(chunk, "copies");

    printf("  chunk %" JSON_INTEGER_FORMAT " (number %" JSON_INTEGER_FORMAT
           " of the file): placement group %" JSON_INTEGER_FORMAT ", epoch %" JSON_INTEGER_FORMAT
           "%s\n",
           report_number(chunk, "chunk"), report_number(chunk, "index"), report_number(chunk, "pg"),
           report_number(chunk, "epoch"),
           json_is_true(json_object_get(chunk, "materialized")) ? "" : ", nothing written yet");
    for (size_t i = 0; i < json_array_size(copies); i++) {
        const json_t *c = json_array_get(copies, i);
        bool alive = json_is_true(json_object_get(c, "alive"));

        printf("    target %-4" JSON_INTEGER_FORMAT " %-12s %-21s %s%s%s\n",
               report_number(c, "target"), text(c, "node"), text(c, "addr"), text(c, "state"),
               i == 0 ? ", head" : "", alive ? "" : ", SILENT");
    }
}

static void print_why(const json_t *why)
{
    const json_t *chunks = json_object_get(why, "chunks");
    uint32_t mode = (uint32_t)report_number(why, "mode");
    char size[STR_SIZE_MAX], mode_text[FORMAT_MODE_MAX];

    format_name(stdout, text(why, "path"), isatty(STDOUT_FILENO));
    printf("\n  inode %" JSON_INTEGER_FORMAT ", %s %s, %" JSON_INTEGER_FORMAT
           " bytes (%s), %" JSON_INTEGER_FORMAT " link%s\n",
           report_number(why, "ino"), format_type(mode), format_mode(mode, mode_text),
           report_number(why, "size"), str_size((uint64_t)report_number(why, "size"), size),
           report_number(why, "nlink"), report_number(why, "nlink") == 1 ? "" : "s");
    if (strcmp(text(why, "data"), "inline") == 0)
        printf("  its content is so small that the namenodes hold it, each a copy\n");
    else if (json_array_size(chunks) == 0)
        printf("  no chunks\n");
    for (size_t i = 0; i < json_array_size(chunks); i++)
        print_chunk(json_array_get(chunks, i));
}

static int explain(struct client *c, const char *path, json_t *array)
{
    char *document = NULL;
    json_t *why;
    int r = dfs_why_json(c->dfs, path, &document);

    if (r < 0)
        return r;
    why = json_loads(document, 0, NULL);
    free(document);
    if (why == NULL)
        return -EIO;
    json_object_set_new(why, "path", format_json_name(path));
    if (array == NULL)
        print_why(why);
    else
        json_array_append(array, why);
    json_decref(why);
    return 0;
}

int cmd_why(int argc, char **argv)
{
    json_t *array = NULL;
    bool json = false;
    struct client c;
    struct args a;
    int opt, r;

    client_init(&c, spec.program);
    args_init(&a, &spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        if (client_take(&c, opt, a.value))
            continue;
        if (opt != OPT_JSON)
            return a.exit_code;
        json = true;
    }
    r = client_check_paths(&spec, a.rest, a.rest_count);
    if (r == EXIT_OK)
        r = client_connect(&c);
    if (r != EXIT_OK)
        return r;
    if (json)
        array = json_array();
    for (int i = 0; i < a.rest_count; i++) {
        r = explain(&c, a.rest[i], array);
        if (r < 0)
            client_complain(&c, a.rest[i], r);
    }
    if (json)
        format_json_print(array);
    return client_done(&c);
}
