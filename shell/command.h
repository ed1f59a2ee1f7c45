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

/* Files and directories. */
int cmd_ls(int argc, char **argv);
int cmd_tree(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_cat(int argc, char **argv);
int cmd_put(int argc, char **argv);
int cmd_get(int argc, char **argv);
int cmd_cp(int argc, char **argv);
int cmd_mv(int argc, char **argv);
int cmd_rm(int argc, char **argv);
int cmd_mkdir(int argc, char **argv);
int cmd_touch(int argc, char **argv);
int cmd_chmod(int argc, char **argv);
int cmd_chown(int argc, char **argv);
int cmd_ln(int argc, char **argv);
int cmd_du(int argc, char **argv);
int cmd_df(int argc, char **argv);
int cmd_quota(int argc, char **argv);
int cmd_setrep(int argc, char **argv);
int cmd_getrep(int argc, char **argv);
int cmd_find(int argc, char **argv);

/* Operators' commands. */
int cmd_report(int argc, char **argv);
int cmd_why(int argc, char **argv);
int cmd_fsck(int argc, char **argv);
int cmd_sync(int argc, char **argv);
int cmd_counters(int argc, char **argv);
int cmd_cluster(int argc, char **argv);
int cmd_backup(int argc, char **argv);
int cmd_namenode(int argc, char **argv);
int cmd_datanode(int argc, char **argv);
int cmd_pki(int argc, char **argv);

#endif
