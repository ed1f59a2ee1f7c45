/* What `dfs find` looks for. Pure: parsed from words, asked about one file after the other. */
#ifndef SHELL_FIND_H
#define SHELL_FIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libdfs/dfs.h"

enum { FIND_TESTS_MAX = 32, FIND_ERROR_MAX = 160 };

struct find_test {
    enum find_kind { FIND_NAME, FIND_TYPE, FIND_SIZE, FIND_NEWER } kind;
    const char *text; /* NAME: pattern; NEWER: path */
    uint32_t type;    /* TYPE: S_IFMT bits */
    char compare;     /* SIZE: '+', '-' or '=' */
    uint64_t unit, count;
    int64_t than_ns; /* NEWER: filled by the caller, from text */
};

struct find_plan {
    struct find_test tests[FIND_TESTS_MAX]; /* all must hold */
    unsigned test_count;
    uint64_t depth_min, depth_max;
    bool print0;
};

/* The words after the paths. -EINVAL: err has a sentence. Words are borrowed. */
int find_parse(char **words, int count, struct find_plan *ret_plan, char err[FIND_ERROR_MAX]);
bool find_matches(const struct find_plan *plan, const char *name, const struct dfs_stat *st);

#endif
