#include "common/conf.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <ini.h>

#include "common/args.h"
#include "common/buf.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/strutil.h"
#include "common/vfs.h"

enum { LINE_BYTES_MAX = 4096, ENTRIES_MAX = 4096 };

struct entry {
    char *section, *key, *value;
    unsigned line; /* 0: command line */
    bool asked;
    bool is_joined; /* conf_file() has put the directory before it */
};

struct conf {
    char *name;
    struct entry *entries;
    size_t count;
    /* Keys that getters asked for: what an unknown one may have meant. */
    struct asked_key {
        char *section, *key;
    } * asked;
    size_t asked_count;
    char **ignored;
    size_t ignored_count;
    struct buf problems;
    size_t problem_count;
    bool checked;
};

struct conf *conf_new(void)
{
    struct conf *c = MEM_NEW(struct conf);

    c->name = mem_strdup("");
    return c;
}

void conf_free(struct conf *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->count; i++) {
        free(c->entries[i].section);
        free(c->entries[i].key);
        free(c->entries[i].value);
    }
    for (size_t i = 0; i < c->asked_count; i++) {
        free(c->asked[i].section);
        free(c->asked[i].key);
    }
    for (size_t i = 0; i < c->ignored_count; i++)
        free(c->ignored[i]);
    free(c->entries);
    free(c->asked);
    free(c->ignored);
    free(c->name);
    buf_done(&c->problems);
    free(c);
}

static void problem_begin(struct conf *c, unsigned line)
{
    c->problem_count++;
    if (line == 0)
        buf_append_str(&c->problems, "command line: ");
    else
        buf_printf(&c->problems, "%s:%u: ", c->name, line);
}

/* ---- reading ---- */

struct reading {
    struct conf *conf;
    const char *text;
    size_t len, at;
    unsigned line;
};

/* Gives inih one line at a time, as fgets() does, and so knows at which one it is. */
static char *next_line(char *out, int size, void *ctx)
{
    struct reading *rd = ctx;
    const char *begin = rd->text + rd->at;
    size_t left = rd->len - rd->at;
    const char *newline = left == 0 ? NULL : memchr(begin, '\n', left);
    size_t len = newline != NULL ? (size_t)(newline - begin) : left;
    size_t kept = MIN(len, (size_t)size - 2);

    if (left == 0)
        return NULL;
    rd->line++;
    if (kept < len) {
        problem_begin(rd->conf, rd->line);
        buf_printf(&rd->conf->problems, "line is longer than %d characters\n", size - 2);
    }
    memcpy(out, begin, kept);
    out[kept] = '\n';
    out[kept + 1] = '\0';
    rd->at += len + (newline != NULL);
    return out;
}

static struct entry *entry_find(const struct conf *c, const char *section, const char *key)
{
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->entries[i].section, section) == 0 && strcmp(c->entries[i].key, key) == 0)
            return &c->entries[i];
    }
    return NULL;
}

static void entry_add(struct conf *c, const char *section, const char *key, const char *value,
                      unsigned line)
{
    c->entries = mem_realloc(c->entries, c->count + 1, sizeof *c->entries);
    c->entries[c->count++] = (struct entry){
        .section = mem_strdup(section),
        .key = mem_strdup(key),
        .value = mem_strdup(value),
        .line = line,
    };
}

static int on_entry(void *ctx, const char *section, const char *key, const char *value)
{
    struct reading *rd = ctx;
    struct conf *c = rd->conf;
    const struct entry *before = entry_find(c, section, key);

    if (before != NULL) {
        problem_begin(c, rd->line);
        buf_printf(&c->problems, "%s.%s was set before, in line %u\n", section, key, before->line);
        return 1;
    }
    if (c->count == ENTRIES_MAX) {
        problem_begin(c, rd->line);
        buf_printf(&c->problems, "more than %d keys\n", ENTRIES_MAX);
        rd->at = rd->len;
        return 1;
    }
    entry_add(c, section, key, value, rd->line);
    return 1;
}

/* Debian's build of inih takes its limits from variables. */
static void set_limits(void)
{
    ini_max_line = LINE_BYTES_MAX;
    ini_use_stack = false;
    ini_initial_alloc = LINE_BYTES_MAX;
    ini_allow_multiline = false;
}

int conf_load_text(const char *name, const char *text, size_t len, struct conf **ret_conf)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct conf *c = conf_new();
    struct reading rd = {.conf = c, .text = text, .len = len};
    const char *nul = len == 0 ? NULL : memchr(text, '\0', len);
    int bad_line;

    free(c->name);
    c->name = mem_strdup(name);
    if (nul != NULL) {
        for (const char *p = text; p < nul; p++)
            rd.line += *p == '\n';
        problem_begin(c, rd.line + 1);
        buf_append_str(&c->problems, "this is no text file: it holds a NUL byte\n");
        *ret_conf = c;
        return 0;
    }
    (void)pthread_once(&once, set_limits);
    bad_line = ini_parse_stream(next_line, &rd, on_entry, &rd);
    if (bad_line > 0) {
        problem_begin(c, (unsigned)bad_line);
        buf_append_str(&c->problems, "not understood: expected [section], key = value, or # "
                                     "comment\n");
    }
    *ret_conf = c;
    return 0;
}

int conf_load(const char *path, struct conf **ret_conf)
{
    CLEANUP_BUF struct buf text = {0};
    int r = vfs_read_file(vfs_posix(), path, CONF_FILE_BYTES_MAX, &text);

    if (r < 0)
        return r;
    return conf_load_text(path, (const char *)text.data, text.len, ret_conf);
}

void conf_set(struct conf *c, const char *section, const char *key, const char *value)
{
    struct entry *e = entry_find(c, section, key);

    if (e == NULL) {
        entry_add(c, section, key, value, 0);
        return;
    }
    free(e->value);
    e->value = mem_strdup(value);
    e->line = 0;
}

/* ---- getters ---- */

static bool was_asked(const struct conf *c, const char *section, const char *key)
{
    for (size_t i = 0; i < c->asked_count; i++) {
        if (strcmp(c->asked[i].section, section) == 0 && strcmp(c->asked[i].key, key) == 0)
            return true;
    }
    return false;
}

static struct entry *ask(struct conf *c, const char *section, const char *key)
{
    struct entry *e = entry_find(c, section, key);

    if (!was_asked(c, section, key)) {
        c->asked = mem_realloc(c->asked, c->asked_count + 1, sizeof *c->asked);
        c->asked[c->asked_count++] = (struct asked_key){mem_strdup(section), mem_strdup(key)};
    }
    if (e != NULL)
        e->asked = true;
    return e;
}

static void PRINTF_LIKE(3, 4) bad_value(struct conf *c, const struct entry *e, const char *fmt, ...)
{
    char allowed[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(allowed, sizeof allowed, fmt, ap);
    va_end(ap);
    problem_begin(c, e->line);
    buf_printf(&c->problems, "%s.%s = '%s': %s\n", e->section, e->key, e->value, allowed);
}

const char *conf_str(struct conf *c, const char *section, const char *key, const char *fallback)
{
    const struct entry *e = ask(c, section, key);

    return e == NULL ? fallback : e->value;
}

const char *conf_str_required(struct conf *c, const char *section, const char *key)
{
    const struct entry *e = ask(c, section, key);

    if (e != NULL && e->value[0] != '\0')
        return e->value;
    c->problem_count++;
    buf_printf(&c->problems, "%s: %s.%s must be set\n",
               c->name[0] != '\0' ? c->name : "command line", section, key);
    return NULL;
}

const char *conf_file(struct conf *c, const char *section, const char *key)
{
    struct entry *e = ask(c, section, key);
    const char *slash = strrchr(c->name, '/');

    if (e == NULL)
        return NULL;
    if (e->line > 0 && e->value[0] != '/' && e->value[0] != '\0' && slash != NULL &&
        !e->is_joined) {
        char *joined = mem_printf("%.*s/%s", (int)(slash - c->name), c->name, e->value);

        free(e->value);
        e->value = joined;
        e->is_joined = true;
    }
    return e->value;
}

uint64_t conf_u64(struct conf *c, const char *section, const char *key, uint64_t fallback,
                  uint64_t min, uint64_t max)
{
    const struct entry *e = ask(c, section, key);
    uint64_t v;

    if (e == NULL)
        return fallback;
    if (str_parse_u64(e->value, &v) == 0 && v >= min && v <= max)
        return v;
    bad_value(c, e, "must be a number from %" PRIu64 " to %" PRIu64, min, max);
    return fallback;
}

uint64_t conf_size(struct conf *c, const char *section, const char *key, uint64_t fallback,
                   uint64_t min, uint64_t max)
{
    const struct entry *e = ask(c, section, key);
    char min_text[STR_SIZE_MAX], max_text[STR_SIZE_MAX];
    uint64_t v;

    if (e == NULL)
        return fallback;
    if (str_parse_size(e->value, &v) == 0 && v >= min && v <= max)
        return v;
    bad_value(c, e, "must be a size like 64M or 1.5 GiB, from %s to %s", str_size(min, min_text),
              str_size(max, max_text));
    return fallback;
}

uint64_t conf_duration_ms(struct conf *c, const char *section, const char *key, uint64_t fallback,
                          uint64_t min, uint64_t max)
{
    const struct entry *e = ask(c, section, key);
    char min_text[STR_SIZE_MAX], max_text[STR_SIZE_MAX];
    uint64_t v;

    if (e == NULL)
        return fallback;
    if (str_parse_duration_ms(e->value, &v) == 0 && v >= min && v <= max)
        return v;
    bad_value(c, e, "must be a time with its unit like 250ms, 15s, 2m, 1h or 14d, from %s to %s",
              str_duration(min, min_text), str_duration(max, max_text));
    return fallback;
}

bool conf_bool(struct conf *c, const char *section, const char *key, bool fallback)
{
    static const char *const yes[] = {"on", "yes", "true", "1"};
    static const char *const no[] = {"off", "no", "false", "0"};
    const struct entry *e = ask(c, section, key);

    if (e == NULL)
        return fallback;
    for (size_t i = 0; i < ARRAY_COUNT(yes); i++) {
        if (strcasecmp(e->value, yes[i]) == 0)
            return true;
        if (strcasecmp(e->value, no[i]) == 0)
            return false;
    }
    bad_value(c, e, "must be on or off");
    return fallback;
}

unsigned conf_choice(struct conf *c, const char *section, const char *key, const char *const *words,
                     unsigned fallback)
{
    const struct entry *e = ask(c, section, key);
    CLEANUP_BUF struct buf list = {0};
    char *text;

    if (e == NULL)
        return fallback;
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (strcmp(e->value, words[i]) == 0)
            return i;
        buf_printf(&list, "%s%s", i > 0 ? ", " : "", words[i]);
    }
    text = buf_take(&list);
    bad_value(c, e, "must be one of: %s", text);
    free(text);
    return fallback;
}

const char *conf_key_at(struct conf *c, const char *section, size_t index)
{
    for (size_t i = 0; i < c->count; i++) {
        struct entry *e = &c->entries[i];

        if (strcmp(e->section, section) == 0 && index-- == 0) {
            e->asked = true;
            return e->key;
        }
    }
    return NULL;
}

bool conf_has_section(const struct conf *c, const char *section)
{
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->entries[i].section, section) == 0)
            return true;
    }
    return false;
}

void conf_ignore_section(struct conf *c, const char *section)
{
    c->ignored = mem_realloc(c->ignored, c->ignored_count + 1, sizeof *c->ignored);
    c->ignored[c->ignored_count++] = mem_strdup(section);
}

void conf_problem(struct conf *c, const char *section, const char *key, const char *fmt, ...)
{
    const struct entry *e = entry_find(c, section, key);
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (e != NULL) {
        bad_value(c, e, "%s", text);
        return;
    }
    c->problem_count++;
    buf_printf(&c->problems, "%s: %s.%s: %s\n", c->name, section, key, text);
}

/* ---- the end ---- */

static bool is_ignored(const struct conf *c, const char *section)
{
    for (size_t i = 0; i < c->ignored_count; i++) {
        if (strcmp(c->ignored[i], section) == 0)
            return true;
    }
    return false;
}

/* The key of the same section that was meant, or the section in which the key would be known. */
static void tell_unknown(struct conf *c, const struct entry *e)
{
    const char **words = mem_zalloc(c->asked_count + 1, sizeof *words);
    size_t count = 0;
    const char *hint;

    problem_begin(c, e->line);
    buf_printf(&c->problems, "unknown key %s.%s", e->section, e->key);
    for (size_t i = 0; i < c->asked_count; i++) {
        if (strcmp(c->asked[i].section, e->section) == 0)
            words[count++] = c->asked[i].key;
    }
    hint = args_hint(e->key, words);
    for (size_t i = 0; hint == NULL && i < c->asked_count; i++) {
        if (strcmp(c->asked[i].key, e->key) == 0)
            hint = e->key;
        if (hint != NULL)
            buf_printf(&c->problems, "; it belongs into section [%s]\n", c->asked[i].section);
    }
    if (hint == NULL)
        buf_append_str(&c->problems, "\n");
    else if (hint != e->key)
        buf_printf(&c->problems, "; did you mean '%s'?\n", hint);
    free(words);
}

int conf_check(struct conf *c)
{
    if (!c->checked) {
        c->checked = true;
        for (size_t i = 0; i < c->count; i++) {
            if (!c->entries[i].asked && !is_ignored(c, c->entries[i].section))
                tell_unknown(c, &c->entries[i]);
        }
        /* What is quoted from the file goes to a terminal. */
        for (size_t i = 0; i < c->problems.len; i++)
            if (c->problems.data[i] != '\n' &&
                (c->problems.data[i] < 0x20 || c->problems.data[i] == 0x7f))
                c->problems.data[i] = '?';
        buf_append_u8(&c->problems, '\0'); /* So that it is text. */
    }
    return c->problem_count == 0 ? 0 : -EINVAL;
}

const char *conf_problems(const struct conf *c)
{
    return c->checked ? (const char *)c->problems.data : "";
}
