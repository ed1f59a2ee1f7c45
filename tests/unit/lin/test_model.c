/*
 * The model is Linux: what it says of random operations, one after the other, is what the local file
 * system says, errors and all. A failure prints its seed; DFS_SEED=n runs that one alone.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/rng.h"
#include "tests/lin/lin.h"

enum { SEEDS = 60, OPS = 120, ROOTS = 2, NAMES = 3 };

/* All inodes there were, kept open: so no number is used again, and what is removed can be asked. */
struct held {
    int fd;
    uint64_t ino;
    bool is_dir;
};

struct world {
    struct rng rng;
    struct held held[OPS + ROOTS];
    unsigned count;
};

static unsigned roll(struct world *w, unsigned below)
{
    return (unsigned)rng_below(&w->rng, below);
}

static const struct held *hold(struct world *w, int dir, const char *name)
{
    struct held *h = &w->held[w->count++];
    struct stat st;

    h->fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    assert_true(h->fd >= 0);
    assert_int_equal(fstat(h->fd, &st), 0);
    h->ino = st.st_ino;
    h->is_dir = S_ISDIR(st.st_mode);
    return h;
}

static const struct held *any(struct world *w, bool dir)
{
    const struct held *h;

    do
        h = &w->held[roll(w, w->count)];
    while (dir && !h->is_dir);
    return h;
}

static int make(struct world *w, const struct held *dir, const struct lin_op *op,
                struct lin_result *r)
{
    if (op->kind == LIN_MKDIR && mkdirat(dir->fd, op->name, 0755) < 0)
        return errno;
    if (op->kind == LIN_CREATE && mknodat(dir->fd, op->name, S_IFREG | 0644, 0) < 0)
        return errno;
    r->ino = hold(w, dir->fd, op->name)->ino;
    return 0;
}

static int look(const struct held *dir, const struct lin_op *op, struct lin_result *r)
{
    struct stat st;

    if (fstatat(dir->fd, op->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno;
    r->ino = st.st_ino;
    r->is_dir = S_ISDIR(st.st_mode);
    return 0;
}

static int list(const struct held *dir, struct lin_result *r, struct lin_entry *entries)
{
    int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct dirent *d;
    int error;
    DIR *stream;

    if (fd < 0)
        return errno;
    stream = fdopendir(fd);
    assert_non_null(stream);
    while (errno = 0, (d = readdir(stream))) {
        struct lin_entry *e = &entries[r->entry_count];

        if (d->d_name[0] == '.')
            continue;
        *e = (struct lin_entry){.ino = d->d_ino, .is_dir = d->d_type == DT_DIR};
        snprintf(e->name, sizeof(e->name), "%.8s", d->d_name);
        r->entry_count++;
    }
    error = errno;
    (void)closedir(stream);
    r->entries = entries;
    return error;
}

static int give_name(const struct held *what, const struct held *dir, const char *name)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", what->fd);
    return linkat(AT_FDCWD, path, dir->fd, name, AT_SYMLINK_FOLLOW) < 0 ? errno : 0;
}

static void one(struct world *w, struct lin_history *h, uint64_t time)
{
    const struct held *dir = any(w, true), *to_dir = any(w, true), *what = any(w, false);
    struct lin_op op = {.kind = (enum lin_kind)roll(w, LIN_READDIR + 1),
                        .dir = dir->ino,
                        .to_dir = to_dir->ino,
                        .ino = what->ino};
    struct lin_entry entries[LIN_ENTRIES_MAX];
    struct lin_result r = {0};
    unsigned number;

    snprintf(op.name, sizeof(op.name), "%c", 'a' + roll(w, NAMES));
    snprintf(op.to_name, sizeof(op.to_name), "%c", 'a' + roll(w, NAMES));
    if (op.kind == LIN_RENAME && roll(w, 3) == 0)
        op.flags = roll(w, 2) ? LIN_NOREPLACE : LIN_EXCHANGE;
    number = lin_call(h, time, &op);
    switch (op.kind) {
    case LIN_CREATE:
    case LIN_MKDIR:
        r.error = make(w, dir, &op, &r);
        break;
    case LIN_LINK:
        r.error = give_name(what, dir, op.name);
        break;
    case LIN_UNLINK:
    case LIN_RMDIR:
        if (unlinkat(dir->fd, op.name, op.kind == LIN_RMDIR ? AT_REMOVEDIR : 0) < 0)
            r.error = errno;
        break;
    case LIN_RENAME:
        if (renameat2(dir->fd, op.name, to_dir->fd, op.to_name, op.flags) < 0)
            r.error = errno;
        break;
    case LIN_LOOKUP:
        r.error = look(dir, &op, &r);
        break;
    case LIN_READDIR:
        r.error = list(dir, &r, entries);
        break;
    }
    lin_return(h, number, time, &r);
}

static void try_seed(uint64_t seed)
{
    struct lin_history *h = lin_history_new();
    struct world w = {.count = 0};
    char base[] = "/tmp/dfs-lin-XXXXXX", command[64];
    enum lin_verdict verdict;

    rng_seed(&w.rng, seed);
    assert_non_null(mkdtemp(base));
    for (unsigned i = 0; i < ROOTS; i++) {
        char path[64];

        snprintf(path, sizeof(path), "%s/%u", base, i);
        assert_int_equal(mkdir(path, 0755), 0);
        lin_root(h, hold(&w, AT_FDCWD, path)->ino);
    }
    for (unsigned i = 0; i < OPS; i++)
        one(&w, h, 2 * i);
    verdict = lin_check(h, NULL, stderr);
    for (unsigned i = 0; i < w.count; i++)
        (void)close(w.held[i].fd);
    snprintf(command, sizeof(command), "rm -rf %s", base);
    (void)!system(command);
    if (verdict != LIN_OK)
        fail_msg("seed=%" PRIu64 ": Linux says otherwise", seed);
    lin_history_free(h);
}

static void says_what_linux_says(void **state)
{
    const char *one_seed = getenv("DFS_SEED");

    (void)state;
    if (one_seed) {
        try_seed(strtoull(one_seed, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        try_seed(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(says_what_linux_says)};

    return cmocka_run_group_tests_name("lin_model", tests, NULL, NULL);
}
