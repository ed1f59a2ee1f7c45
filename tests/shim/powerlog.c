/* The library that is preloaded: see powerlog.h. Threads are put in a row by one lock. */
#include "tests/shim/powerlog.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FDS_MAX = 65536 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static const char *dir, *boot_id;
static size_t dir_len;
static bool tracked[FDS_MAX];
static uint32_t open_flags[FDS_MAX];

#define REAL(name) ((__typeof__(&name))real_of(#name))

static void *real_of(const char *name)
{
    void *f = dlsym(RTLD_NEXT, name);

    if (!f)
        abort();
    return f;
}

__attribute__((constructor)) static void start(void)
{
    const char *file = getenv("POWERLOG_FILE");

    boot_id = getenv("POWERLOG_BOOT_ID");
    dir = getenv("POWERLOG_DIR");
    if (!dir || !file)
        return;
    dir_len = strlen(dir);
    log_fd = REAL(open)(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static bool is_ours(const char *path)
{
    return log_fd >= 0 && strncmp(path, dir, dir_len) == 0 &&
           (path[dir_len] == '/' || path[dir_len] == '\0');
}

static bool is_tracked(int fd)
{
    return fd >= 0 && fd < FDS_MAX && tracked[fd];
}

static void note(struct powerlog_record r, const char *name, const char *to,
                 const struct iovec *data, int data_count)
{
    struct iovec iov[3 + 1024];
    size_t want = sizeof(r);
    int n = 0, error = errno;

    r.name_len = name ? (uint32_t)strlen(name) : 0;
    r.to_len = to ? (uint32_t)strlen(to) : 0;
    iov[n++] = (struct iovec){&r, sizeof(r)};
    iov[n++] = (struct iovec){(void *)(uintptr_t)name, r.name_len};
    iov[n++] = (struct iovec){(void *)(uintptr_t)to, r.to_len};
    want += r.name_len + r.to_len + (data_count > 0 ? r.len : 0);
    for (int i = 0; i < data_count && i < 1000; i++)
        iov[n++] = data[i];
    if (REAL(writev)(log_fd, iov, n) != (ssize_t)want)
        abort();
    errno = error;
}

#define NOTE(type_, ...)                                                                           \
    note((struct powerlog_record){.type = POWERLOG_##type_, __VA_ARGS__}, NULL, NULL, NULL, 0)
#define NOTE_NAME(type_, name, to, ...)                                                            \
    note((struct powerlog_record){.type = POWERLOG_##type_, __VA_ARGS__}, name, to, NULL, 0)

__attribute__((visibility("default"))) void powerlog_mark(const char *text);
void powerlog_mark(const char *text)
{
    (void)pthread_mutex_lock(&lock);
    if (log_fd >= 0)
        NOTE_NAME(MARK, text, NULL, .fd = -1);
    (void)pthread_mutex_unlock(&lock);
}

/* ---- open and close ---- */

static int do_open(const char *path, int flags, mode_t mode)
{
    int fd;

    if (boot_id && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0)
        path = boot_id;
    if (!is_ours(path))
        return REAL(open)(path, flags, mode);
    (void)pthread_mutex_lock(&lock);
    fd = REAL(open)(path, flags, mode);
    if (fd >= 0 && fd < FDS_MAX) {
        tracked[fd] = true;
        open_flags[fd] = (uint32_t)flags;
        NOTE_NAME(OPEN, path, NULL, .fd = fd, .flags = (uint32_t)flags);
    }
    (void)pthread_mutex_unlock(&lock);
    return fd;
}

#define EXPORT __attribute__((visibility("default")))
#define MODE_OF(flags)                                                                             \
    mode_t mode = 0;                                                                               \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                       \
        va_list ap;                                                                                \
        va_start(ap, flags);                                                                       \
        mode = va_arg(ap, mode_t);                                                                 \
        va_end(ap);                                                                                \
    }

EXPORT int open(const char *path, int flags, ...)
{
    MODE_OF(flags)
    return do_open(path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...)
{
    MODE_OF(flags)
    return do_open(path, flags, mode);
}

/* Only whole paths are looked at. */
EXPORT int openat(int at, const char *path, int flags, ...)
{
    MODE_OF(flags)
    return is_ours(path) ? do_open(path, flags, mode) : REAL(openat)(at, path, flags, mode);
}

EXPORT int close(int fd)
{
    int r;

    if (!is_tracked(fd))
        return REAL(close)(fd);
    (void)pthread_mutex_lock(&lock);
    tracked[fd] = false;
    NOTE(CLOSE, .fd = fd);
    r = REAL(close)(fd);
    (void)pthread_mutex_unlock(&lock);
    return r;
}

/* ---- bytes ---- */

/* offset < 0: where the file stands. */
static ssize_t do_write(int fd, const struct iovec *iov, int count, off_t offset)
{
    struct powerlog_record rec = {.type = POWERLOG_WRITE, .fd = fd};
    ssize_t n;

    (void)pthread_mutex_lock(&lock);
    n = offset < 0 ? REAL(writev)(fd, iov, count) : REAL(pwritev)(fd, iov, count, offset);
    if (n > 0) {
        uint8_t *copy = malloc((size_t)n);
        struct iovec whole = {copy, (size_t)n};
        size_t at = 0;

        for (int i = 0; i < count && at < (size_t)n; i++) {
            size_t len = iov[i].iov_len < (size_t)n - at ? iov[i].iov_len : (size_t)n - at;

            memcpy(copy + at, iov[i].iov_base, len);
            at += len;
        }
        rec.offset = (uint64_t)(offset < 0 ? lseek(fd, 0, SEEK_CUR) - n : offset);
        rec.len = (uint64_t)n;
        rec.flags = open_flags[fd];
        note(rec, NULL, NULL, &whole, 1);
        free(copy);
    }
    (void)pthread_mutex_unlock(&lock);
    return n;
}

EXPORT ssize_t write(int fd, const void *buf, size_t len)
{
    struct iovec iov = {(void *)(uintptr_t)buf, len};

    return is_tracked(fd) ? do_write(fd, &iov, 1, -1) : REAL(write)(fd, buf, len);
}

EXPORT ssize_t writev(int fd, const struct iovec *iov, int count)
{
    return is_tracked(fd) ? do_write(fd, iov, count, -1) : REAL(writev)(fd, iov, count);
}

EXPORT ssize_t pwrite(int fd, const void *buf, size_t len, off_t offset)
{
    struct iovec iov = {(void *)(uintptr_t)buf, len};

    return is_tracked(fd) ? do_write(fd, &iov, 1, offset) : REAL(pwrite)(fd, buf, len, offset);
}

EXPORT ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t offset)
{
    return pwrite(fd, buf, len, offset);
}

EXPORT ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    return is_tracked(fd) ? do_write(fd, iov, count, offset)
                          : REAL(pwritev)(fd, iov, count, offset);
}

EXPORT ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t offset)
{
    return pwritev(fd, iov, count, offset);
}

EXPORT int ftruncate(int fd, off_t size)
{
    int r;

    if (!is_tracked(fd))
        return REAL(ftruncate)(fd, size);
    (void)pthread_mutex_lock(&lock);
    r = REAL(ftruncate)(fd, size);
    if (r == 0)
        NOTE(TRUNCATE, .fd = fd, .offset = (uint64_t)size);
    (void)pthread_mutex_unlock(&lock);
    return r;
}

EXPORT int ftruncate64(int fd, off64_t size)
{
    return ftruncate(fd, size);
}

/*
 * With FALLOC_FL_KEEP_SIZE alone nothing changes that a reader could see. What else there is, and is
 * not used here, would be missing from the log.
 */
EXPORT int fallocate(int fd, int mode, off_t offset, off_t len)
{
    bool is_punch = mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
    int r;

    if (!is_tracked(fd))
        return REAL(fallocate)(fd, mode, offset, len);
    (void)pthread_mutex_lock(&lock);
    r = REAL(fallocate)(fd, mode, offset, len);
    if (mode != 0 && mode != FALLOC_FL_KEEP_SIZE && !is_punch)
        abort();
    if (r == 0 && (mode == 0 || is_punch))
        note((struct powerlog_record){.type = is_punch ? POWERLOG_PUNCH : POWERLOG_ALLOCATE,
                                      .fd = fd,
                                      .offset = (uint64_t)offset,
                                      .len = (uint64_t)len},
             NULL, NULL, NULL, 0);
    (void)pthread_mutex_unlock(&lock);
    return r;
}

EXPORT int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
    return fallocate(fd, mode, offset, len);
}

EXPORT int posix_fallocate(int fd, off_t offset, off_t len)
{
    return is_tracked(fd) ? (fallocate(fd, 0, offset, len) == 0 ? 0 : errno)
                          : REAL(posix_fallocate)(fd, offset, len);
}

EXPORT int posix_fallocate64(int fd, off64_t offset, off64_t len)
{
    return posix_fallocate(fd, offset, len);
}

static int do_sync(int fd)
{
    (void)pthread_mutex_lock(&lock);
    NOTE(SYNC, .fd = fd);
    (void)pthread_mutex_unlock(&lock);
    return 0;
}

EXPORT int fsync(int fd)
{
    return is_tracked(fd) ? do_sync(fd) : REAL(fsync)(fd);
}

EXPORT int fdatasync(int fd)
{
    return is_tracked(fd) ? do_sync(fd) : REAL(fdatasync)(fd);
}

/* Everything below the directory, which is taken for a file system of its own. */
EXPORT int syncfs(int fd)
{
    if (!is_tracked(fd))
        return REAL(syncfs)(fd);
    (void)pthread_mutex_lock(&lock);
    NOTE(SYNC_ALL, .fd = fd);
    (void)pthread_mutex_unlock(&lock);
    return 0;
}

/* ---- names ---- */

#define NAMES(call, type_, path, to)                                                               \
    int r;                                                                                         \
    if (!is_ours(path))                                                                            \
        return call;                                                                               \
    (void)pthread_mutex_lock(&lock);                                                               \
    r = call;                                                                                      \
    if (r == 0)                                                                                    \
        NOTE_NAME(type_, path, to, .fd = -1);                                                      \
    (void)pthread_mutex_unlock(&lock);                                                             \
    return r

EXPORT int rename(const char *path, const char *to)
{
    NAMES(REAL(rename)(path, to), RENAME, path, to);
}

EXPORT int link(const char *path, const char *to)
{
    NAMES(REAL(link)(path, to), LINK, path, to);
}

EXPORT int unlink(const char *path)
{
    NAMES(REAL(unlink)(path), UNLINK, path, NULL);
}

EXPORT int mkdir(const char *path, mode_t mode)
{
    NAMES(REAL(mkdir)(path, mode), MKDIR, path, NULL);
}

EXPORT int rmdir(const char *path)
{
    NAMES(REAL(rmdir)(path), RMDIR, path, NULL);
}
