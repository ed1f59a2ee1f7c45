/*
 * A fixed list of what programs do to a file system. Each scenario prints what it saw, so that the
 * outcome on the mount can be compared with that on the local disk, line by line.
 */
#ifndef TESTS_E2E_POSIX_H
#define TESTS_E2E_POSIX_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

/* One line of the transcript, after the scenario's name. */
__attribute__((format(printf, 1, 2))) void say(const char *fmt, ...);
/* A call's result: its value, or the name of its errno. */
void say_result(const char *what, long result, int error);

/* Calls, and prints what came of it. Gives the result. */
#define T(expr)                                                                                    \
    ({                                                                                             \
        long r_;                                                                                   \
        errno = 0;                                                                                 \
        r_ = (long)(expr);                                                                         \
        say_result(#expr, r_, errno);                                                              \
        r_;                                                                                        \
    })
/* The same where the number says nothing (descriptors). */
#define TF(expr)                                                                                   \
    ({                                                                                             \
        int r_;                                                                                    \
        errno = 0;                                                                                 \
        r_ = (int)(expr);                                                                          \
        say_result(#expr, r_ < 0 ? -1 : 0, errno);                                                 \
        r_;                                                                                        \
    })

/* Prints type, mode, owner, links and size (not of directories) of a name, not following links. */
void say_stat(const char *path);
/* Makes a file with this content. */
void put(const char *path, const char *content, mode_t mode);
/* Prints the content, if it is short and text. */
void say_content(const char *path);

/* Runs fn in a child with these rights; groups ends with 0. */
void as(uid_t uid, gid_t gid, const gid_t *groups, void (*fn)(void));

enum {
    ALICE = 1001, /* primary group STAFF */
    BOB = 1002,   /* primary group STAFF */
    CAROL = 1003, /* primary group OTHERS, also in STAFF */
    DAVE = 1004,  /* primary group OTHERS */
    STAFF = 2001,
    OTHERS = 2002,
    EXTRA = 2003,
};

struct scenario {
    const char *name;
    void (*fn)(void); /* in an empty directory of its own, as root, umask 022 */
};

extern const struct scenario names_scenarios[], perm_scenarios[], data_scenarios[];

#endif
