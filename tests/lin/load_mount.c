/*
 * Clients of lin_load that use a mount, by system calls: each slot is a thread. Directories are held
 * open, and names are given relative to them. Without rename and link: the kernel looks up both their
 * names before it asks, one after the other, and decides some cases by itself from what it saw; what two
 * mounts do then is not what one kernel would do, with any file system.
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/rng.h"
#include "tests/lin/load.h"

enum { HELD_MAX = LOAD_ROOTS + LOAD_RECORDS, POLL_US = 500 };

/* A directory that this thread has looked up. */
struct held {
    int fd;
    uint64_t ino;
};

struct user {
    struct load_shared *sh;
    const char *mount;
    unsigned number; /* in load_shared.slots */
    struct rng rng;
    struct held held[HELD_MAX];
    unsigned held_count;
};

static unsigned roll(struct user *u, unsigned below)
{
    return (unsigned)rng_below(&u->rng, below);
}

static int do_create(int dir, const struct lin_op *op, struct lin_result *r)
{
    int fd = openat(dir, op->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    struct stat st;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) == 0)
        r->ino = st.st_ino;
    (void)close(fd);
    return 0;
}

/* By what the lookup told: a question about the inode could come after its end. */
static int do_lookup(struct user *u, int dir, const struct lin_op *op, struct lin_result *r)
{
    int fd = openat(dir, op->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct statx st;

    if (fd < 0)
        return -errno;
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &st) < 0)
        err(1, "statx");
    r->ino = st.stx_ino;
    r->is_dir = S_ISDIR(st.stx_mode);
    if (r->is_dir && u->held_count < HELD_MAX)
        u->held[u->held_count++] = (struct held){fd, r->ino};
    else
        (void)close(fd);
    return 0;
}

static int do_readdir(int dir, struct load_record *rec)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), status;
    const struct dirent *d;
    DIR *stream;

    if (fd < 0)
        return -errno;
    stream = fdopendir(fd);
    if (!stream)
        err(1, "fdopendir");
    while (errno = 0, (d = readdir(stream))) {
        struct lin_entry *e = &rec->entries[rec->result.entry_count];

        if (d->d_name[0] == '.')
            continue;
        *e = (struct lin_entry){.ino = d->d_ino, .is_dir = d->d_type == DT_DIR};
        snprintf(e->name, LIN_NAME_SIZE, "%.*s", LIN_NAME_SIZE - 1, d->d_name);
        rec->result.entry_count++;
    }
    status = -errno;
    (void)closedir(stream);
    return status;
}

static void one(struct user *u)
{
    static const enum lin_kind kinds[] = {LIN_CREATE, LIN_CREATE, LIN_CREATE,  LIN_MKDIR,
                                          LIN_UNLINK, LIN_UNLINK, LIN_RMDIR,   LIN_LOOKUP,
                                          LIN_LOOKUP, LIN_LOOKUP, LIN_READDIR, LIN_READDIR};
    const struct held *dir = &u->held[roll(u, roll(u, 2) ? LOAD_ROOTS : u->held_count)];
    struct load_record *r = load_record_new(u->sh, u->number);
    struct lin_op *op = &r->op;
    int status = 0;

    *op =
        (struct lin_op){.kind = kinds[roll(u, sizeof(kinds) / sizeof(kinds[0]))], .dir = dir->ino};
    snprintf(op->name, LIN_NAME_SIZE, "%c", 'a' + (char)roll(u, u->sh->names));
    load_record_call(u->sh, u->number, r);
    switch (op->kind) {
    case LIN_CREATE:
        status = do_create(dir->fd, op, &r->result);
        break;
    case LIN_MKDIR:
        status = mkdirat(dir->fd, op->name, 0755) < 0 ? -errno : 0;
        break;
    case LIN_UNLINK:
    case LIN_RMDIR:
        if (unlinkat(dir->fd, op->name, op->kind == LIN_RMDIR ? AT_REMOVEDIR : 0) < 0)
            status = -errno;
        break;
    case LIN_LOOKUP:
        status = do_lookup(u, dir->fd, op, &r->result);
        break;
    case LIN_READDIR:
        status = do_readdir(dir->fd, r);
        break;
    case LIN_LINK:
    case LIN_RENAME:
        break;
    }
    load_record_return(r, status);
    if (status == 0 && r->result.is_dir)
        load_tell(&u->sh->dirs, r->result.ino);
}

static void enter_round(struct user *u, unsigned round)
{
    while (u->held_count > 0)
        (void)close(u->held[--u->held_count].fd);
    for (unsigned i = 0; i < LOAD_ROOTS; i++) {
        char path[LOAD_PATH_MAX], name[LIN_NAME_SIZE];
        int fd;

        load_root_name(u->sh, round, i, name);
        snprintf(path, sizeof(path), "%s/%s", u->mount, name);
        fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            err(1, "%s", path);
        u->held[u->held_count++] = (struct held){fd, u->sh->roots[i]};
    }
}

static void *use(void *ctx)
{
    struct user *u = ctx;
    struct load_slot *slot = &u->sh->slots[u->number];

    for (;;) {
        unsigned round = atomic_load(&u->sh->round);

        if (atomic_load(&slot->round) == round) {
            (void)usleep(POLL_US);
            continue;
        }
        enter_round(u, round);
        while (atomic_load(&slot->count) < u->sh->ops && !atomic_load(&u->sh->stop))
            one(u);
        atomic_store(&slot->round, round);
    }
    return NULL;
}

_Noreturn void load_mount(struct load_shared *sh, unsigned client, uint64_t seed, const char *path)
{
    pthread_t threads[LOAD_SLOTS];

    for (unsigned i = 0; i < LOAD_SLOTS; i++) {
        struct user *u = MEM_NEW(struct user);

        u->sh = sh;
        u->mount = path;
        u->number = client * LOAD_SLOTS + i;
        rng_seed(&u->rng, seed * LOAD_SLOTS + i);
        if (pthread_create(&threads[i], NULL, use, u) != 0)
            errx(1, "pthread_create");
    }
    for (;;)
        (void)pause();
}
