/*
 * What a daemon does at its start: goes to the background without losing its first error, locks
 * its data directory, tells systemd.
 */
#ifndef COMMON_DAEMON_H
#define COMMON_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"

/* The tie to the parent that waits in the terminal. Zeroed: in the foreground, nobody waits. */
struct daemon {
    int status_fd;      /* private */
    bool is_background; /* private */
};

/*
 * Forks; returns in the child, in a new session, with stdin from /dev/null and stdout and stderr
 * appended to log_path (NULL: /dev/null). The parent stays until daemon_ready() (then it exits 0)
 * or daemon_fail() (then it prints the reason, and exits as the child does) or the child's death
 * (it says so and exits 1). Before threads and loops exist. Relative paths stay as they are: the working directory is kept.
 * SIGPIPE is ignored from then on.
 * -errno of opening the log or forking
 */
int daemon_background(struct daemon *d, const char *log_path);

/* Serving: lets the parent go and tells systemd. */
void daemon_ready(struct daemon *d);
/* The reason goes to the parent's stderr, and to ours. The caller then exits non-zero. */
void daemon_fail(struct daemon *d, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* "READY=1", "STOPPING=1", "STATUS=...": to $NOTIFY_SOCKET if there is one. */
void daemon_notify(const char *state);

/*
 * Takes DIR/lock for this process and writes its pid into it. Held until ret_fd is closed or the
 * process ends; a second one gets
 * -EBUSY  and err says which pid has it
 * -errno  of opening it
 */
int daemon_lock_dir(const char *dir, int *ret_fd, char *err, size_t err_size);

/* Writes the pid and a newline; for --pid-file. The file is replaced atomically. */
int daemon_write_pid_file(const char *path);

/* Raises the soft limit of open files to want or as far as allowed; gives the limit now in force.
 */
uint64_t daemon_raise_nofile(uint64_t want);

#endif
