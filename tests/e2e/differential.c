/*
 * differential REFERENCE SUBJECT OPS SEED [MAX]: does the same random operations in two directories, the
 * first on the local file system, the second on the mount, and compares after each: result, errno,
 * attributes, content, listings. Prints the seed and the last operations when they differ. No file
 * grows beyond MAX bytes (3300000), which at 4096 leaves the datanodes out of it.
 *
 * What legitimately differs is not compared: inode and device numbers, times that the system chose,
 * sizes and link counts of directories on file systems that don't count them, blocks.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { SIDES = 2, PATHS = 40, FDS = 6, DATA_MAX = 300000, TRACE = 24, DEPTH = 12 };

static uint64_t state;
static int root[SIDES];
static int fds[FDS][SIDES];
static char trace[TRACE][512];
static unsigned long step, seed;
static uint64_t size_max = 3300000;
static int verbose;
static uint8_t data[DATA_MAX], got[SIDES][DATA_MAX];

static uint64_t next(void)
{
    uint64_t z = (state += 0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static unsigned below(unsigned n)
{
    return (unsigned)(next() % n);
}

__attribute__((format(printf, 1, 2))) static void note(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(trace[step % TRACE], sizeof(trace[0]), fmt, ap);
    va_end(ap);
    if (verbose)
        printf("# %lu %s\n", step, trace[step % TRACE]);
}

__attribute__((format(printf, 1, 2), noreturn)) static void differ(const char *fmt, ...)
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

static void same(const char *what, const long *r, const int *e)
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

/* Runs the expression on both sides, as s = 0 and 1, and compares result and errno. */
#define BOTH(what, expr)                                                                           \
    ({                                                                                             \
        long r_[SIDES];                                                                            \
        int e_[SIDES];                                                                             \
        for (int s = 0; s < SIDES; s++) {                                                          \
            errno = 0;                                                                             \
            r_[s] = (long)(expr);                                                                  \
            e_[s] = errno;                                                                         \
        }                                                                                          \
        same(what, r_, e_);                                                                        \
        r_[0];                                                                                     \
    })

static void compare_stat(const char *path, const struct stat *a, const struct stat *b)
{
    if (a->st_mode != b->st_mode)
        differ("mode of %s: %o and %o", path, a->st_mode, b->st_mode);
    if (a->st_uid != b->st_uid || a->st_gid != b->st_gid)
        differ("owner of %s", path);
    if (!S_ISDIR(a->st_mode) && a->st_nlink != b->st_nlink)
        differ("links of %s: %lu and %lu", path, (unsigned long)a->st_nlink,
               (unsigned long)b->st_nlink);
    if (S_ISDIR(a->st_mode) && a->st_nlink > 1 && a->st_nlink != b->st_nlink)
        differ("links of directory %s: %lu and %lu", path, (unsigned long)a->st_nlink,
               (unsigned long)b->st_nlink);
    if (!S_ISDIR(a->st_mode) && a->st_size != b->st_size)
        differ("size of %s: %ld and %ld", path, (long)a->st_size, (long)b->st_size);
    if (a->st_rdev != b->st_rdev)
        differ("device of %s", path);
    /* Times set by utimensat are known by their nanoseconds; those the system chose are not compared,
     * nor a fifo's: local file systems take what flows through it for a change. */
    if (S_ISFIFO(a->st_mode))
        return;
    if (a->st_mtim.tv_nsec == 123456789 || b->st_mtim.tv_nsec == 123456789)
        if (a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec)
            differ("mtime of %s: %ld.%09ld and %ld.%09ld", path, (long)a->st_mtim.tv_sec,
                   a->st_mtim.tv_nsec, (long)b->st_mtim.tv_sec, b->st_mtim.tv_nsec);
}

static void check_stat(const char *path)
{
    struct stat st[SIDES];

    if (BOTH("lstat", fstatat(root[s], path, &st[s], AT_SYMLINK_NOFOLLOW)) == 0)
        compare_stat(path, &st[0], &st[1]);
}

static void check_content(const char *path)
{
    int f[SIDES];
    struct stat st;
    ssize_t n;

    if (BOTH("open for reading",
             (f[s] = openat(root[s], path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW)) < 0 ? -1 : 0) < 0)
        return;
    if (fstat(f[0], &st) == 0 && S_ISREG(st.st_mode)) {
        off_t at = st.st_size > 0 ? (off_t)(next() % (uint64_t)st.st_size) : 0;

        n = BOTH("pread", pread(f[s], got[s], DATA_MAX, at));
        if (n > 0 && memcmp(got[0], got[1], (size_t)n) != 0)
            differ("content of %s from %ld", path, (long)at);
    }
    close(f[0]);
    close(f[1]);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(int side, const char *path, char *out, size_t size)
{
    int fd = openat(root[side], path, O_RDONLY | O_DIRECTORY);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    char *names[4096];
    size_t n = 0, used = 0;
    struct dirent *e;

    out[0] = '\0';
    if (d == NULL) {
        snprintf(out, size, "error %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((e = readdir(d)) != NULL && n < 4096)
        names[n++] = strdup(e->d_name);
    closedir(d);
    qsort(names, n, sizeof(names[0]), by_name);
    for (size_t i = 0; i < n; i++) {
        used += (size_t)snprintf(out + used, used < size ? size - used : 0, "%s|", names[i]);
        free(names[i]);
    }
}

static void check_list(const char *path)
{
    static char a[65536], b[65536];

    list(0, path, a, sizeof(a));
    list(1, path, b, sizeof(b));
    if (strcmp(a, b) != 0)
        differ("listing of %s:\n#   %s\n#   %s", path, a, b);
}

static void fill_data(size_t n)
{
    uint64_t v = next();

    for (size_t i = 0; i < n; i++)
        data[i] = (uint8_t)(v + i * 31 + (i >> 8));
}

static size_t pick_len(void)
{
    size_t len = 0;

    switch (below(4)) {
    case 0:
        len = below(100);
        break;
    case 1:
        len = below(5000);
        break;
    case 2:
        len = 4096 * (1 + below(8));
        break;
    default:
        len = below(DATA_MAX);
        break;
    }
    return len < size_max ? len : len % size_max;
}

/* Where to read or write len bytes. */
static off_t pick_offset(size_t len)
{
    uint64_t at = below(3) == 0 ? next() % 3000000 : next() % 100000;

    return (off_t)(at + len <= size_max ? at : at % (size_max - len + 1));
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
    int flag = flags[below(10)] | O_NONBLOCK, slot = (int)below(FDS);
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

static void allocate_some(int slot, off_t at, off_t len)
{
    static const int modes[] = {0,
                                FALLOC_FL_KEEP_SIZE,
                                FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                FALLOC_FL_ZERO_RANGE,
                                FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                                FALLOC_FL_PUNCH_HOLE};
    int mode = modes[below(6)];

    note("fallocate slot %d mode %d at %ld len %ld", slot, mode, (long)at, (long)len);
    BOTH("fallocate", fallocate(fds[slot][s], mode, at, len));
}

static void copy_some(int slot, off_t at, size_t len)
{
    int from = (int)below(FDS);
    off_t in = pick_offset(len);

    if (fds[from][0] < 0) {
        note("no fd in slot %d", from);
        return;
    }
    note("copy_file_range slot %d at %ld to slot %d at %ld len %zu", from, (long)in, slot, (long)at,
         len);
    BOTH("copy_file_range", ({
             off_t a = in, b = at;
             ssize_t done = 0, n;

             /* How much one call does is the file system's business. */
             while ((n = copy_file_range(fds[from][s], &a, fds[slot][s], &b, len - (size_t)done,
                                         0)) > 0 &&
                    (size_t)(done += n) < len)
                 ;
             n < 0 && done == 0 ? -1 : done;
         }));
}

/* Through a mapping as far as there is a file, the rest is left. */
static void map_some(int slot, off_t at, size_t len)
{
    off_t start = at / 4096 * 4096;
    struct stat st;

    if (fstat(fds[slot][0], &st) < 0 || !S_ISREG(st.st_mode) || at >= st.st_size)
        len = 0;
    else if (at + (off_t)len > st.st_size)
        len = (size_t)(st.st_size - at);
    if (len == 0) {
        note("nothing to map of slot %d", slot);
        return;
    }
    fill_data(len);
    note("write by mapping to slot %d at %ld len %zu", slot, (long)at, len);
    BOTH("mmap", ({
             size_t size = len + (size_t)(at - start);
             char *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fds[slot][s], start);
             int r = m == MAP_FAILED ? -1 : 0;

             if (r == 0) {
                 memcpy(m + (at - start), data, len);
                 r = msync(m, size, MS_SYNC);
                 (void)munmap(m, size);
             }
             r;
         }));
}

static void use_fd(void)
{
    int slot = (int)below(FDS);
    size_t len = pick_len();
    off_t at = pick_offset(len);
    struct stat st[SIDES];
    ssize_t n;

    if (fds[slot][0] < 0) {
        note("no fd in slot %d", slot);
        return;
    }
    switch (below(13)) {
    case 0:
    case 1:
        /* With O_APPEND the offset does not count. */
        if (lseek(fds[slot][0], 0, SEEK_END) + (off_t)len > (off_t)size_max)
            len = 0;
        (void)lseek(fds[slot][1], 0, SEEK_END);
        fill_data(len);
        note("pwrite slot %d at %ld len %zu", slot, (long)at, len);
        BOTH("pwrite", pwrite(fds[slot][s], data, len, at));
        break;
    case 2:
        if (lseek(fds[slot][0], 0, SEEK_END) + (off_t)len > (off_t)size_max)
            len = 0;
        BOTH("lseek", lseek(fds[slot][s], at, SEEK_SET));
        fill_data(len);
        note("write slot %d len %zu", slot, len);
        BOTH("write", write(fds[slot][s], data, len));
        break;
    case 3:
        note("pread slot %d at %ld len %zu", slot, (long)at, len);
        n = BOTH("pread", pread(fds[slot][s], got[s], len, at));
        if (n > 0 && memcmp(got[0], got[1], (size_t)n) != 0)
            differ("bytes of slot %d", slot);
        break;
    case 4:
        note("ftruncate slot %d to %ld", slot, (long)at);
        BOTH("ftruncate", ftruncate(fds[slot][s], at));
        break;
    case 5:
        note("fsync slot %d", slot);
        BOTH("fsync", fsync(fds[slot][s]));
        break;
    case 6:
        note("fstat slot %d", slot);
        if (BOTH("fstat", fstat(fds[slot][s], &st[s])) == 0)
            compare_stat("a descriptor", &st[0], &st[1]);
        break;
    case 9:
        allocate_some(slot, at, (off_t)len);
        break;
    case 10:
        copy_some(slot, at, len);
        break;
    case 11:
        map_some(slot, at, len);
        break;
    case 7:
        note("lseek slot %d end", slot);
        BOTH("lseek", (lseek(fds[slot][s], 0, SEEK_END), 0));
        break;
    default:
        note("close slot %d", slot);
        BOTH("close", close(fds[slot][s]));
        fds[slot][0] = fds[slot][1] = -1;
        break;
    }
}

static void change_attr(const char *path)
{
    struct timespec ts[2] = {{.tv_sec = 1000000 + below(1000000), .tv_nsec = 123456789},
                             {.tv_sec = 1500000000 + below(1000000), .tv_nsec = 123456789}};
    char value[64], back[SIDES][256];
    mode_t mode = below(010000);
    int follow = below(2) ? 0 : AT_SYMLINK_NOFOLLOW;
    off_t size = (off_t)(next() % (size_max < 200000 ? size_max : 200000));
    ssize_t n;

    switch (below(6)) {
    case 0:
        note("chmod %s %o", path, mode);
        BOTH("chmod", fchmodat(root[s], path, mode, 0));
        break;
    case 1:
        note("utimens %s", path);
        BOTH("utimensat", utimensat(root[s], path, ts, follow));
        break;
    case 2:
        note("chown %s", path);
        n = (ssize_t)below(3);
        BOTH("chown", fchownat(root[s], path, (uid_t)n, (gid_t)n, AT_SYMLINK_NOFOLLOW));
        break;
    case 3: {
        int f[SIDES];

        note("truncate %s to %ld", path, (long)size);
        if (BOTH("open", (f[s] = openat(root[s], path, O_WRONLY | O_NONBLOCK)) < 0 ? -1 : 0) == 0) {
            BOTH("ftruncate", ftruncate(f[s], size));
            BOTH("close", close(f[s]));
        }
        break;
    }
    default: {
        int f[SIDES];

        snprintf(value, sizeof(value), "value %lu", step);
        note("xattr of %s", path);
        if (BOTH("open", (f[s] = openat(root[s], path, O_RDONLY | O_NONBLOCK)) < 0 ? -1 : 0) < 0)
            break;
        n = (ssize_t)below(3);
        BOTH("fsetxattr", fsetxattr(f[s], "user.test", value, strlen(value), (int)n));
        n = BOTH("fgetxattr", fgetxattr(f[s], "user.test", back[s], sizeof(back[s])));
        if (n > 0 && memcmp(back[0], back[1], (size_t)n) != 0)
            differ("xattr of %s", path);
        if (below(3) == 0)
            BOTH("fremovexattr", fremovexattr(f[s], "user.test"));
        close(f[0]);
        close(f[1]);
    }
    }
}

static void one_step(void)
{
    char a[1024], b[1024], link[SIDES][1024];
    unsigned flags;
    ssize_t n;

    pick_path(a);
    pick_path(b);
    switch (below(20)) {
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
        note("link %s %s", a, b);
        BOTH("link", linkat(root[s], a, root[s], b, 0));
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
        flags = below(3);
        note("mknod %s kind %u", a, flags);
        BOTH("mknod", mknodat(root[s], a,
                              (flags == 0   ? S_IFIFO
                               : flags == 1 ? S_IFSOCK
                                            : S_IFREG) |
                                  0640,
                              0));
        break;
    case 17:
    case 18:
        change_attr(a);
        break;
    default:
        note("look at %s", a);
        check_content(a);
        check_list(below(3) == 0 ? "." : a);
        break;
    }
    check_stat(a);
}

static void compare_trees(const char *path, int depth)
{
    static char names[65536];
    char *copy, *save = NULL, child[4096];

    check_list(path);
    check_stat(path);
    list(0, path, names, sizeof(names));
    copy = strdup(names);
    for (char *name = strtok_r(copy, "|", &save); name != NULL; name = strtok_r(NULL, "|", &save)) {
        struct stat st;

        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        snprintf(child, sizeof(child), "%s/%s", path, name);
        note("final look at %s", child);
        check_stat(child);
        if (fstatat(root[0], child, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (S_ISDIR(st.st_mode) && depth < 20)
            compare_trees(child, depth + 1);
        else if (S_ISREG(st.st_mode))
            check_content(child);
    }
    free(copy);
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
    return fd;
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
