/*
 * The command line, alike in all programs: a table of options, on top of getopt_long. --help and
 * --version come by themselves; a mistake is told with a hint and exit code 2.
 *
 *   static const struct arg_option options[] = {
 *       {"conf", 'c', "FILE", "read the configuration from FILE", 'c'},
 *       {"foreground", 'f', NULL, "stay in the foreground", 'f'},
 *       {0}};
 *   static const struct args_spec spec = {.program = "dfs-namenode", .usage = "[OPTION]...",
 *                                         .about = "...", .options = options};
 *
 *   struct args a;
 *   args_init(&a, &spec, argc, argv);
 *   while ((opt = args_next(&a)) != ARGS_END) {
 *       switch (opt) {
 *       case 'c': conf_path = a.value; break;
 *       case ARGS_EXIT: return a.exit_code;     after --help, --version or a mistake
 *       }
 *   }
 *   operands: a.rest[0 .. a.rest_count)
 *
 * One at a time in a process (getopt_long has globals).
 */
#ifndef COMMON_ARGS_H
#define COMMON_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "common/compiler.h"

enum {
    ARGS_END = -1,
    ARGS_EXIT = -2,
    ARGS_OPTIONS_MAX = 64,
    ARGS_EXIT_USAGE = 2, /* the exit code for a wrong command line */
};

struct arg_option {
    const char *name;  /* without dashes; NULL ends the table */
    char letter;       /* 0: none */
    const char *value; /* "FILE"; NULL: takes none */
    const char *help;
    int id; /* > 0; what args_next() gives */
};

struct args_spec {
    const char *program; /* "dfs ls" for a subcommand */
    const char *usage;   /* "[OPTION]... PATH..."; \n begins another usage line */
    const char *about;   /* one or more sentences */
    const struct arg_option *options;
    const char *more;       /* after the options in --help; may be NULL */
    int rest_min, rest_max; /* operands allowed; rest_max -1: any number */
    bool stop_at_operand;   /* options after the first operand belong to a subcommand */
};

struct args {
    const char *value; /* of the option just given */
    char **rest;       /* operands, after ARGS_END */
    int rest_count;
    int exit_code; /* after ARGS_EXIT */
    /* Private. */
    const struct args_spec *spec;
    int argc;
    char **argv;
};

/* argv[0] is skipped: a subcommand passes argc - n, argv + n with its own name first. */
void args_init(struct args *a, const struct args_spec *spec, int argc, char **argv);
/* The id of the next option, ARGS_END or ARGS_EXIT. */
int args_next(struct args *a);

/* Prints "program: text" and where to find help, to stderr; gives ARGS_EXIT_USAGE. */
int args_usage_error(const struct args_spec *spec, const char *fmt, ...) PRINTF_LIKE(2, 3);
void args_print_help(const struct args_spec *spec, FILE *out);

/* The word of a NULL-terminated list that was probably meant, or NULL. */
const char *args_hint(const char *word, const char *const *words);

#endif
