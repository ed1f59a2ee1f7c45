/*
 * The same operations in two directories, and what came of them compared. differential.c chooses
 * and does what names files, differential_attr.c and differential_data.c the rest;
 * differential_compare.c looks.
 */
#ifndef TESTS_E2E_DIFFERENTIAL_H
#define TESTS_E2E_DIFFERENTIAL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { SIDES = 2, FDS = 6, DATA_MAX = 300000, BLOCK = 4096 };

/* Side 0 is the local file system, side 1 the mount. */
extern int root[SIDES];
extern int fds[FDS][SIDES];
extern unsigned long step;
extern uint64_t size_max;
extern bool has_direct; /* both sides know O_DIRECT */
extern uint8_t data[DATA_MAX], got[SIDES][DATA_MAX];

uint64_t next(void);
unsigned below(unsigned n);

/* What this step does, for the list of the last operations. */
__attribute__((format(printf, 1, 2))) void note(const char *fmt, ...);
/* Tells the difference and ends the program. */
__attribute__((format(printf, 1, 2), noreturn)) void differ(const char *fmt, ...);

/* ---- calls ---- */

/* One of a few users does what BOTH runs, until be_root(). */
void be_somebody(void);
void be_root(void);
void rights_drop(void);
void rights_take(void);

void same(const char *what, const long *r, const int *e);

/* Runs the expression on both sides, as s = 0 and 1, and compares result and errno. */
#define BOTH(what, expr)                                                                           \
    ({                                                                                             \
        long r_[SIDES];                                                                            \
        int e_[SIDES];                                                                             \
        rights_drop();                                                                             \
        for (int s = 0; s < SIDES; s++) {                                                          \
            errno = 0;                                                                             \
            r_[s] = (long)(expr);                                                                  \
            e_[s] = errno;                                                                         \
        }                                                                                          \
        rights_take();                                                                             \
        same(what, r_, e_);                                                                        \
        r_[0];                                                                                     \
    })

/* ---- looking ---- */

void check_stat(const char *path);
/* The same with the times of access, which are the same only right after they were set. */
void check_times(const char *path, bool follow);
void check_fstat(int slot);
void check_content(const char *path);
void check_list(const char *path);
void compare_trees(const char *path, int depth);

/*
 * What the step may touch. watches_end() compares whether the times of modification and of change
 * moved, on both sides or on none.
 */
void watch_path(const char *path, bool follow);
void watch_slot(int slot);
void watches_forget(void);
void watches_end(void);

/* ---- operations ---- */

void fill_data(size_t n);
void use_fd(void);
void change_attr(const char *path);
void use_xattr(const char *path);

#endif
