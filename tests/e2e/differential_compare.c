/* differential: attributes, content, listings, and which times moved. */
#include "tests/e2e/differential.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WATCHES = 8 };

static struct watch {
    char name[1100];
    int fd[SIDES]; /* of a path: O_PATH, so the inode stays the same whatever becomes of its name */
    int slot;      /* of an open file, or -1 */
    struct stat before[SIDES];
} watches[WATCHES];
static size_t watch_count;

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static void compare_stat(const char *path, const struct stat *a, const struct stat *b)
{
    if (a->st_mode != b->st_mode)
        differ("mode of %s: %o and %o", path, a->st_mode, b->st_mode);
    if (a->st_uid != b->st_uid || a->st_gid != b->st_gid)
        differ("owner of %s: %u:%u and %u:%u", path, a->st_uid, a->st_gid, b->st_uid, b->st_gid);
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
    /* Times set by utimensat are known by their nanoseconds; those the system chose are not the
     * same, nor a fifo's: local file systems take what flows through it for a change. */
    if (S_ISFIFO(a->st_mode))
        return;
    if (a->st_mtim.tv_nsec == 123456789 || b->st_mtim.tv_nsec == 123456789)
        if (!same_time(&a->st_mtim, &b->st_mtim))
            differ("mtime of %s: %ld.%09ld and %ld.%09ld", path, (long)a->st_mtim.tv_sec,
                   a->st_mtim.tv_nsec, (long)b->st_mtim.tv_sec, b->st_mtim.tv_nsec);
}

void check_stat(const char *path)
{
    struct stat st[SIDES];

    if (BOTH("lstat", fstatat(root[s], path, &st[s], AT_SYMLINK_NOFOLLOW)) == 0)
        compare_stat(path, &st[0], &st[1]);
}

void check_times(const char *path, bool follow)
{
    struct stat st[SIDES];

    if (BOTH("stat", fstatat(root[s], path, &st[s], follow ? 0 : AT_SYMLINK_NOFOLLOW)) < 0)
        return;
    compare_stat(path, &st[0], &st[1]);
    if (st[0].st_atim.tv_nsec == 123456789 || st[1].st_atim.tv_nsec == 123456789)
        if (!same_time(&st[0].st_atim, &st[1].st_atim))
            differ("atime of %s: %ld.%09ld and %ld.%09ld", path, (long)st[0].st_atim.tv_sec,
                   st[0].st_atim.tv_nsec, (long)st[1].st_atim.tv_sec, st[1].st_atim.tv_nsec);
}

void check_fstat(int slot)
{
    struct stat st[SIDES];

    if (BOTH("fstat", fstat(fds[slot][s], &st[s])) == 0)
        compare_stat("a descriptor", &st[0], &st[1]);
}

void check_content(const char *path)
{
    int f[SIDES];
    struct stat st;
    off_t at = 0;
    ssize_t n = 0;

    if (BOTH("open for reading",
             (f[s] = openat(root[s], path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW)) < 0 ? -1 : 0) < 0)
        return;
    if (fstat(f[0], &st) == 0 && S_ISREG(st.st_mode))
        do {
            n = BOTH("pread", pread(f[s], got[s], DATA_MAX, at));
            if (n > 0 && memcmp(got[0], got[1], (size_t)n) != 0)
                differ("content of %s from %ld", path, (long)at);
            at += n;
        } while (n > 0);
    close(f[0]);
    close(f[1]);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* NAME/TYPE| for each, sorted. */
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
        if (asprintf(&names[n], "%s/%d", e->d_name, e->d_type) > 0)
            n++;
    closedir(d);
    qsort(names, n, sizeof(names[0]), by_name);
    for (size_t i = 0; i < n; i++) {
        used += (size_t)snprintf(out + used, used < size ? size - used : 0, "%s|", names[i]);
        free(names[i]);
    }
}

void check_list(const char *path)
{
    static char a[65536], b[65536];

    rights_drop();
    list(0, path, a, sizeof(a));
    list(1, path, b, sizeof(b));
    rights_take();
    if (strcmp(a, b) != 0)
        differ("listing of %s:\n#   %s\n#   %s", path, a, b);
}

void compare_trees(const char *path, int depth)
{
    static char names[65536];
    char *copy, *save = NULL, child[4096];

    check_list(path);
    check_stat(path);
    list(0, path, names, sizeof(names));
    copy = strdup(names);
    for (char *name = strtok_r(copy, "|", &save); name != NULL; name = strtok_r(NULL, "|", &save)) {
        struct stat st;

        *strchrnul(name, '/') = '\0';
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

/* ---- which times moved ---- */

/* Local file systems may take their times from a clock of few ticks: until it is past this one. */
static void wait_past(const struct timespec *t)
{
    struct timespec now;

    while (clock_gettime(CLOCK_REALTIME_COARSE, &now) == 0 &&
           (now.tv_sec < t->tv_sec || (now.tv_sec == t->tv_sec && now.tv_nsec <= t->tv_nsec)))
        usleep(500);
}

static void watch(struct watch *w, const char *name, int slot)
{
    const int *fd = slot < 0 ? w->fd : fds[slot];

    for (int s = 0; s < SIDES; s++)
        if (fd[s] < 0 || fstat(fd[s], &w->before[s]) < 0)
            return;
    snprintf(w->name, sizeof(w->name), "%s", name);
    w->slot = slot;
    watch_count++;
    wait_past(&w->before[0].st_ctim);
}

void watch_path(const char *path, bool follow)
{
    struct watch *w = &watches[watch_count];

    if (watch_count == WATCHES)
        return;
    for (int s = 0; s < SIDES; s++)
        w->fd[s] = openat(root[s], path, O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
    watch(w, path, -1);
    if (w == &watches[watch_count])
        for (int s = 0; s < SIDES; s++)
            if (w->fd[s] >= 0)
                close(w->fd[s]);
}

void watch_slot(int slot)
{
    if (watch_count < WATCHES)
        watch(&watches[watch_count], "a descriptor", slot);
}

#define TIME(t) (long)(t).tv_sec, (t).tv_nsec
#define TIMES(which)                                                                               \
    TIME(w->before[0].st_##which), TIME(st[0].st_##which), TIME(w->before[1].st_##which),          \
        TIME(st[1].st_##which)

static void watch_compare(const struct watch *w)
{
    const int *fd = w->slot < 0 ? w->fd : fds[w->slot];
    struct stat st[SIDES];
    bool moved[SIDES];

    /* What has no name any more may have no attributes any more on the mount, if it is not open. */
    for (int s = 0; s < SIDES; s++)
        if (fstat(fd[s], &st[s]) < 0 || st[s].st_nlink == 0 || S_ISFIFO(st[s].st_mode))
            return;
    for (int s = 0; s < SIDES; s++)
        moved[s] = !same_time(&st[s].st_mtim, &w->before[s].st_mtim);
    if (moved[0] != moved[1])
        differ("mtime of %s moved %s only: %ld.%09ld to %ld.%09ld and %ld.%09ld to %ld.%09ld",
               w->name, moved[0] ? "locally" : "on the mount", TIMES(mtim));
    for (int s = 0; s < SIDES; s++)
        moved[s] = !same_time(&st[s].st_ctim, &w->before[s].st_ctim);
    /* What was written to a file moves its ctime once more when it goes out, by age or by a close. */
    if (S_ISREG(st[0].st_mode) ? moved[0] && !moved[1] : moved[0] != moved[1])
        differ("ctime of %s moved %s only: %ld.%09ld to %ld.%09ld and %ld.%09ld to %ld.%09ld",
               w->name, moved[0] ? "locally" : "on the mount", TIMES(ctim));
}

void watches_forget(void)
{
    for (; watch_count > 0; watch_count--)
        for (int s = 0; s < SIDES && watches[watch_count - 1].slot < 0; s++)
            close(watches[watch_count - 1].fd[s]);
}

void watches_end(void)
{
    for (size_t i = 0; i < watch_count; i++)
        watch_compare(&watches[i]);
    watches_forget();
}
