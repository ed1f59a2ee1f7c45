/* dfs: finds the subcommand and runs it. */
#include <stdio.h>
#include <string.h>

#include "common/args.h"
#include "common/compiler.h"
#include "common/log.h"
#include "shell/command.h"

static const struct command commands[] = {
    {"cluster", cmd_cluster, "make, start, stop and show a cluster on this machine"},
    {"pki", cmd_pki, "make certificates for a cluster on real hosts"},
};

static void help(FILE *out)
{
    fputs("Usage: dfs COMMAND [OPTION]... [ARGUMENT]...\n\nCommands:\n", out);
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].about);
    fputs("\n`dfs COMMAND --help` says more. Exit status: 0 done, 1 failed, 2 wrong command line,\n"
          "3 the cluster was not reached.\n",
          out);
}

static int unknown(const char *name)
{
    const char *words[ARRAY_COUNT(commands) + 1] = {NULL};
    const char *hint;

    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        words[i] = commands[i].name;
    hint = args_hint(name, words);
    fprintf(stderr, "dfs: there is no command '%s'", name);
    if (hint != NULL)
        fprintf(stderr, "; did you mean '%s'?", hint);
    fputs("\nTry 'dfs help'.\n", stderr);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    log_init("dfs", LOG_LEVEL_ERROR);
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        help(stdout);
        return EXIT_OK;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        printf("dfs %s\n", build_version());
        return EXIT_OK;
    }
    if (name[0] == '\0') {
        help(stderr);
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return unknown(name);
}
