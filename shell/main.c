/* dfs: finds the subcommand and runs it. */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "common/args.h"
#include "common/compiler.h"
#include "common/log.h"
#include "shell/command.h"

static const struct command commands[] = {
    {"ls", cmd_ls, "list directories"},
    {"tree", cmd_tree, "draw a directory tree"},
    {"stat", cmd_stat, "show everything about a file"},
    {"cat", cmd_cat, "print files"},
    {"put", cmd_put, "copy files and trees into dfs"},
    {"get", cmd_get, "copy files and trees out of dfs"},
    {"cp", cmd_cp, "copy within dfs"},
    {"mv", cmd_mv, "rename or move"},
    {"rm", cmd_rm, "remove files and trees"},
    {"mkdir", cmd_mkdir, "make directories"},
    {"touch", cmd_touch, "make empty files, set times"},
    {"chmod", cmd_chmod, "change permissions"},
    {"chown", cmd_chown, "change owner and group"},
    {"ln", cmd_ln, "make hard and symbolic links"},
    {"du", cmd_du, "show how much trees hold"},
    {"df", cmd_df, "show how much is free"},
    {"quota", cmd_quota, "show and set what directories may hold"},
    {"setrep", cmd_setrep, "set how many copies files are to have"},
    {"getrep", cmd_getrep, "show it"},
    {"find", cmd_find, "search a tree"},
    {"report", cmd_report, "show how the cluster is, in one screen"},
    {"why", cmd_why, "show where the copies of a file are"},
    {"fsck", cmd_fsck, "compare the replicas of all chunks"},
    {"sync", cmd_sync, "make everything written through a mount durable"},
    {"counters", cmd_counters, "show what a mount has done"},
    {"cluster", cmd_cluster, "make, start, stop and show a cluster on this machine"},
    {"backup", cmd_backup, "save the metadata into a file, and make namenodes of it again"},
    {"namenode", cmd_namenode, "add and remove namenodes, hand over the leadership"},
    {"datanode", cmd_datanode, "list datanodes; drain, remove, maintain them"},
    {"pki", cmd_pki, "make certificates for a cluster on real hosts"},
};

static void help(FILE *out)
{
    fputs("Usage: dfs COMMAND [OPTION]... [ARGUMENT]...\n\nCommands:\n", out);
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].about);
    fputs("  help       show this, or the help of a command\n"
          "  version    show the version\n\n"
          "Paths in dfs are absolute: / is the root. The cluster is found through --config FILE,\n"
          "$DFS_CONFIG or " DFS_SYSCONFDIR "/dfs.conf.\n"
          "`dfs COMMAND --help` says more. Exit status: 0 done, 1 failed, 2 wrong command line,\n"
          "3 the cluster was not reached.\n",
          out);
}

static int unknown(const char *name)
{
    const char *words[ARRAY_COUNT(commands) + 3] = {"help", "version"};
    const char *hint;

    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        words[i + 2] = commands[i].name;
    hint = args_hint(name, words);
    if (name[0] == '-') {
        fprintf(stderr, "dfs: a command comes first: dfs COMMAND %s ...\nTry 'dfs help'.\n", name);
        return EXIT_USAGE;
    }
    fprintf(stderr, "dfs: there is no command '%s'", name);
    if (hint != NULL)
        fprintf(stderr, "; did you mean '%s'?", hint);
    fputs("\nTry 'dfs help'.\n", stderr);
    return EXIT_USAGE;
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    return NULL;
}

static int help_of(char *name)
{
    const struct command *c = find_command(name);
    char option[] = "--help";
    char *argv[] = {name, option, NULL};

    return c == NULL ? unknown(name) : c->run(2, argv);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    const struct command *c;
    int code;

    log_init("dfs", LOG_LEVEL_ERROR);
    (void)setlocale(LC_ALL, "");
    (void)setlocale(LC_NUMERIC, "C");
    if (strcmp(name, "help") == 0 && argc > 2)
        return help_of(argv[2]);
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        help(stdout);
        return EXIT_OK;
    }
    if (strcmp(name, "version") == 0 || strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        printf("dfs %s\n", build_version());
        return EXIT_OK;
    }
    if (name[0] == '\0') {
        help(stderr);
        return EXIT_USAGE;
    }
    c = find_command(name);
    if (c == NULL)
        return unknown(name);
    code = c->run(argc - 1, argv + 1);
    if (fflush(stdout) != 0 && code == EXIT_OK) {
        fprintf(stderr, "dfs %s: the output could not be written\n", name);
        code = EXIT_FAILED;
    }
    return code;
}
