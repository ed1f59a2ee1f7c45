#include "shell/find.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/args.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/strutil.h"

static int parse_type(const char *text, struct find_test *t)
{
    static const struct {
        char letter;
        uint32_t type;
    } types[] = {{'f', S_IFREG},  {'d', S_IFDIR}, {'l', S_IFLNK}, {'p', S_IFIFO},
                 {'s', S_IFSOCK}, {'c', S_IFCHR}, {'b', S_IFBLK}};

    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        if (text[0] == types[i].letter && text[1] == '\0') {
            t->type = types[i].type;
            return 0;
        }
    }
    return -EINVAL;
}

/* "+10M", "-4k", "100c", "7" (blocks of 512 bytes), as for find(1). */
static int parse_size(const char *text, struct find_test *t)
{
    static const struct {
        char letter;
        uint64_t unit;
    } units[] = {{'c', 1}, {'b', 512}, {'k', KIB}, {'K', KIB}, {'M', MIB}, {'G', GIB}};
    char digits[32];
    size_t len;

    t->compare = *text == '+' || *text == '-' ? *text++ : '=';
    len = strspn(text, "0123456789");
    t->unit = 512;
    for (size_t i = 0; i < ARRAY_COUNT(units) && text[len] != '\0'; i++)
        if (text[len] == units[i].letter)
            t->unit = units[i].unit;
    if (len == 0 || len >= sizeof(digits) || (text[len] != '\0' && text[len + 1] != '\0') ||
        (text[len] != '\0' && strchr("cbkKMG", text[len]) == NULL))
        return -EINVAL;
    memcpy(digits, text, len);
    digits[len] = '\0';
    return str_parse_u64(digits, &t->count);
}

static int parse_value(const char *word, const char *value, struct find_plan *plan)
{
    struct find_test *t = &plan->tests[plan->test_count];

    if (strcmp(word, "-maxdepth") == 0)
        return str_parse_u64(value, &plan->depth_max);
    if (strcmp(word, "-mindepth") == 0)
        return str_parse_u64(value, &plan->depth_min);
    if (plan->test_count == FIND_TESTS_MAX)
        return -E2BIG;
    *t = (struct find_test){.text = value};
    plan->test_count++;
    if (strcmp(word, "-name") == 0) {
        t->kind = FIND_NAME;
        return 0;
    }
    if (strcmp(word, "-newer") == 0) {
        t->kind = FIND_NEWER;
        return 0;
    }
    t->kind = strcmp(word, "-type") == 0 ? FIND_TYPE : FIND_SIZE;
    return t->kind == FIND_TYPE ? parse_type(value, t) : parse_size(value, t);
}

int find_parse(char **words, int count, struct find_plan *ret_plan, char err[FIND_ERROR_MAX])
{
    static const char *const known[] = {"-name",     "-type",  "-size",   "-newer", "-maxdepth",
                                        "-mindepth", "-print", "-print0", NULL};
    struct find_plan plan = {.depth_max = UINT64_MAX};

    for (int i = 0; i < count; i++) {
        const char *word = words[i], *hint;
        bool is_known = false;

        for (size_t k = 0; known[k] != NULL; k++)
            is_known |= strcmp(word, known[k]) == 0;
        if (!is_known) {
            hint = args_hint(word, known);
            snprintf(err, FIND_ERROR_MAX, "unknown test '%.40s'%s%s%s", word,
                     hint == NULL ? "" : "; did you mean '", hint == NULL ? "" : hint,
                     hint == NULL ? "" : "'?");
            return -EINVAL;
        }
        if (strcmp(word, "-print") == 0 || strcmp(word, "-print0") == 0) {
            plan.print0 = word[6] == '0';
            continue;
        }
        if (++i == count) {
            snprintf(err, FIND_ERROR_MAX, "%s needs a value", word);
            return -EINVAL;
        }
        if (parse_value(word, words[i], &plan) < 0) {
            snprintf(err, FIND_ERROR_MAX, "%s does not take '%.80s'", word, words[i]);
            return -EINVAL;
        }
    }
    *ret_plan = plan;
    return 0;
}

static bool size_matches(const struct find_test *t, uint64_t size)
{
    uint64_t units = size / t->unit + (size % t->unit != 0);

    return t->compare == '+'   ? units > t->count
           : t->compare == '-' ? units < t->count
                               : units == t->count;
}

bool find_matches(const struct find_plan *plan, const char *name, const struct dfs_stat *st)
{
    for (unsigned i = 0; i < plan->test_count; i++) {
        const struct find_test *t = &plan->tests[i];
        bool holds = false;

        switch (t->kind) {
        case FIND_NAME:
            holds = fnmatch(t->text, name, 0) == 0;
            break;
        case FIND_TYPE:
            holds = (st->mode & S_IFMT) == t->type;
            break;
        case FIND_SIZE:
            holds = size_matches(t, st->size);
            break;
        case FIND_NEWER:
            holds = st->mtime_ns > t->than_ns;
            break;
        }
        if (!holds)
            return false;
    }
    return true;
}
