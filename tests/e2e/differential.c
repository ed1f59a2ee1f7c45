/*
 * differential REFERENCE SUBJECT OPS SEED [MAX]: does the same random operations in two directories, the
 * first on the local file system, the second on the mount, and compares after each: result, errno,
 * attributes, content, listings, and whether times moved. A part is done as others than root. Prints the seed and the last operations when they differ. No file
 * grows beyond MAX bytes (3300000), which at 4096 leaves the datanodes out of it.
 *
 * What legitimately differs is not compared: inode and device numbers, times that the system chose,
 * sizes and link counts of directories on file systems that don't count them, blocks; nor done:
 * SEEK_HOLE, ACLs, O_TMPFILE, chown(-1, -1), direct I/O that is not aligned (fuse/README.md).
 */
#include "tests/e2e/differential.h"

#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { TRACE = 24, DEPTH = 12 };

int root[SIDES], fds[FDS][SIDES];
unsigned long step;
uint64_t size_max = 3300000;
bool has_direct;
uint8_t data[DATA_MAX], got[SIDES][DATA_MAX];

static uint64_t state;
static char trace[TRACE][4096];
static unsigned long seed;
static bool verbose;

static const struct somebody {
    uid_t uid;
    gid_t gid, groups[1];
    size_t group_count;
} root_user, users[] = {
                 {1001, 2001, {0}, 0},
                 {1002, 2001, {0}, 0},
                 {1003, 2002, {2001}, 1},
};
static const struct somebody *who = &root_user;

uint64_t next(void)
{
    uint64_t z = (state += 0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

unsigned below(unsigned n)
{
    return (unsigned)(next() % n);
}

void note(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(trace[step % TRACE], sizeof(trace[0]), fmt, ap);
    va_end(ap);
    if (who != &root_user) {
        size_t n = strlen(trace[step % TRACE]);

        snprintf(trace[step % TRACE] + n, sizeof(trace[0]) - n, " as %u", who->uid);
    }
    if (verbose)
        printf("# %lu %s\n", step, trace[step % TRACE]);
}

void differ(const char *fmt, ...)
{
    va_list ap;

    printf("# differs at step %lu of seed %lu: ", step, seed);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n# the last operations:\n");
    for (unsigned long i = step < TRACE ? 0 : step - TRACE + 1; i <= step; i++)
        printf("#   %lu %s\n", i, trace[i % TRACE]);
    exit(1);
}

/* A path of up to three levels from a small set, so that operations meet each other. */
static const char *pick_path(char *buf)
{
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    unsigned depth = 1 + below(3);

    buf[0] = '\0';
    for (unsigned i = 0; i < depth; i++) {
        if (i > 0)
            strcat(buf, "/");
        strcat(buf, names[below(5)]);
    }
    if (below(60) == 0) {
        size_t n = strlen(buf);
        unsigned len = 250 + below(10);

        buf[n++] = '/';
        memset(buf + n, 'x', len);
        buf[n + len] = '\0';
    }
    if (below(80) == 0)
        strcat(buf, "/.");
    else if (below(80) == 0)
        strcat(buf, "/..");
    else if (below(80) == 0)
        strcat(buf, "/");
    return buf;
}

void be_somebody(void)
{
    who = &users[below(3)];
}

void be_root(void)
{
    who = &root_user;
}

static void become(const struct somebody *b)
{
    if (setgroups(b->group_count, b->groups) < 0 || setegid(b->gid) < 0 || seteuid(b->uid) < 0)
        differ("cannot become %u: %s", b->uid, strerror(errno));
}

void rights_drop(void)
{
    if (who != &root_user)
        become(who);
}

void rights_take(void)
{
    if (who != &root_user && (seteuid(0) < 0 || setegid(0) < 0))
        differ("cannot become root again: %s", strerror(errno));
}

void same(const char *what, const long *r, const int *e)
{
    size_t n = strlen(trace[step % TRACE]);

    snprintf(trace[step % TRACE] + n, sizeof(trace[0]) - n, " [%s %ld%s%s]", what, r[0],
             r[0] < 0 ? " " : "", r[0] < 0 ? strerror(e[0]) : "");
    if (r[0] != r[1])
        differ("%s: result %ld (%s) and %ld (%s)", what, r[0], r[0] < 0 ? strerror(e[0]) : "ok",
               r[1], r[1] < 0 ? strerror(e[1]) : "ok");
    if (r[0] < 0 && e[0] != e[1])
        differ("%s: errno %s and %s", what, strerror(e[0]), strerror(e[1]));
}

static void open_some(const char *path)
{
    static const int flags[] = {O_RDONLY,
                                O_RDWR,
                                O_WRONLY,
                                O_RDWR | O_CREAT,
                                O_RDWR | O_CREAT | O_EXCL,
                                O_WRONLY | O_CREAT | O_TRUNC,
                                O_WRONLY | O_APPEND,
                                O_RDWR | O_CREAT | O_APPEND,
                                O_RDONLY | O_DIRECTORY,
                                O_RDONLY | O_NOFOLLOW};
    /* O_TMPFILE is left out: the mount refuses it. */
    int sync = below(12) == 0 ? O_SYNC : below(12) == 0 ? O_DSYNC : 0;
    int flag = flags[below(10)] | O_NONBLOCK | sync, slot = (int)below(FDS);
    mode_t mode = 0600 + below(0200);
    int f[SIDES];

    note("open %s flags %o mode %o slot %d", path, flag, mode, slot);
    if (BOTH("open", (f[s] = openat(root[s], path, flag, mode)) < 0 ? -1 : 0) < 0)
        return;
    for (int s = 0; s < SIDES; s++) {
        if (fds[slot][s] >= 0)
            close(fds[slot][s]);
        fds[slot][s] = f[s];
    }
}

/* The parent of a path, as the text says it. */
static void watch_parent(const char *path)
{
    char dir[1024];
    char *slash;

    snprintf(dir, sizeof(dir), "./%s", path);
    slash = strrchr(dir, '/');
    if (slash[1] != '\0' && strcmp(slash, "/.") != 0 && strcmp(slash, "/..") != 0) {
        *slash = '\0';
        watch_path(dir, true);
    }
}

/* Not in every step, for it is slow. */
static void watch_some(const char *a, const char *b)
{
    if (below(6) != 0)
        return;
    watch_path(a, false);
    watch_path(a, true);
    watch_path(b, false);
    watch_parent(a);
    watch_parent(b);
}

static void one_step(void)
{
    char a[1024], b[1024], link[SIDES][1024];
    static const mode_t kinds[] = {S_IFIFO, S_IFSOCK, S_IFREG, S_IFCHR, S_IFBLK};
    unsigned flags;
    mode_t mode;
    ssize_t n;

    pick_path(a);
    pick_path(b);
    watch_some(a, b);
    if (below(4) == 0)
        be_somebody();
    switch (below(22)) {
    case 0:
    case 1:
        note("mkdir %s", a);
        BOTH("mkdir", mkdirat(root[s], a, 0700 + (step & 077)));
        break;
    case 2:
    case 3:
    case 4:
        open_some(a);
        break;
    case 5:
    case 6:
    case 7:
    case 8:
        use_fd();
        break;
    case 9:
        note("unlink %s", a);
        BOTH("unlink", unlinkat(root[s], a, 0));
        break;
    case 10:
        note("rmdir %s", a);
        BOTH("rmdir", unlinkat(root[s], a, AT_REMOVEDIR));
        break;
    case 11:
    case 12:
        flags = below(4) == 0 ? RENAME_NOREPLACE : below(6) == 0 ? RENAME_EXCHANGE : 0;
        note("rename %s %s flags %u", a, b, flags);
        BOTH("rename", renameat2(root[s], a, root[s], b, flags));
        break;
    case 13:
        flags = below(2) ? AT_SYMLINK_FOLLOW : 0;
        note("link %s %s flags %x", a, b, flags);
        BOTH("link", linkat(root[s], a, root[s], b, (int)flags));
        break;
    case 14:
        note("symlink %s -> %s", a, b);
        BOTH("symlink", symlinkat(b, root[s], a));
        break;
    case 15:
        note("readlink %s", a);
        n = BOTH("readlink", readlinkat(root[s], a, link[s], sizeof(link[s])));
        if (n > 0 && memcmp(link[0], link[1], (size_t)n) != 0)
            differ("target of %s", a);
        break;
    case 16:
        mode = kinds[below(5)] | 0640;
        note("mknod %s mode %o", a, mode);
        /* Numbers that are nobody's: opening such a device is ENXIO. */
        BOTH("mknod", mknodat(root[s], a, mode, makedev(120, 7)));
        break;
    case 17:
    case 18:
    case 19:
        change_attr(a);
        break;
    case 20:
        use_xattr(a);
        break;
    default:
        note("look at %s", a);
        check_content(a);
        check_list(below(3) == 0 ? "." : a);
        break;
    }
    be_root();
    watches_end();
    check_stat(a);
}

/*
 * The directory to work in, some levels below the given one: symbolic links with `..` climb, and
 * what they find there has to be the same on both sides.
 */
static int open_root(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY);

    for (int i = 0; i < DEPTH && fd >= 0; i++) {
        int below_fd;

        if (mkdirat(fd, "below", 0755) < 0) {
            close(fd);
            return -1;
        }
        below_fd = openat(fd, "below", O_RDONLY | O_DIRECTORY);
        close(fd);
        fd = below_fd;
    }
    /* So that others than root find something to do. */
    if (fd >= 0 && fchmod(fd, 0777) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool knows_direct(int dir)
{
    int fd = openat(dir, "direct", O_RDWR | O_CREAT | O_DIRECT, 0600);

    (void)unlinkat(dir, "direct", 0);
    return fd >= 0 && close(fd) == 0;
}

int main(int argc, char **argv)
{
    unsigned long ops;

    if (argc < 5 || argc > 6) {
        fputs("usage: differential REFERENCE SUBJECT OPS SEED [MAX]\n", stderr);
        return 2;
    }
    ops = strtoul(argv[3], NULL, 10);
    state = seed = strtoul(argv[4], NULL, 10);
    if (argc > 5)
        size_max = strtoull(argv[5], NULL, 10);
    verbose = getenv("VERBOSE") != NULL;
    umask(022);
    for (int s = 0; s < SIDES; s++) {
        root[s] = open_root(argv[1 + s]);
        if (root[s] < 0) {
            perror(argv[1 + s]);
            return 2;
        }
    }
    has_direct = knows_direct(root[0]) && knows_direct(root[1]);
    for (int i = 0; i < FDS; i++)
        fds[i][0] = fds[i][1] = -1;
    for (step = 0; step < ops; step++)
        one_step();
    for (int i = 0; i < FDS; i++)
        for (int s = 0; s < SIDES; s++)
            if (fds[i][s] >= 0)
                close(fds[i][s]);
    note("comparing the trees");
    compare_trees(".", 0);
    printf("# seed %lu: %lu operations, no difference\n", seed, ops);
    return 0;
}
