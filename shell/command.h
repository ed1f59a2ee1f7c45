/* The subcommands of `dfs`: one function each, in a table in main.c. */
#ifndef SHELL_COMMAND_H
#define SHELL_COMMAND_H

/* Exit codes of all commands. */
enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,   /* it was tried and failed; stderr says what and where */
    EXIT_USAGE = 2,    /* the command line is wrong; nothing was done */
    EXIT_UNREACHED = 3 /* the cluster was not reached */
};

/* argv[0] is the subcommand's name. */
typedef int (*command_fn)(int argc, char **argv);

struct command {
    const char *name;
    command_fn run;
    const char *about; /* one line for `dfs help` */
};

int cmd_cluster(int argc, char **argv);
int cmd_pki(int argc, char **argv);

#endif
