/*
 * Random files under faults: writers that know what every sector of theirs must hold.
 *
 *   chaos_io run    SHADOW SECONDS SEED WRITERS MOUNT...    writer i works on MOUNT i
 *   chaos_io verify SHADOW exact|crash MOUNT...             each file, through each mount
 *
 * Each sector written says who wrote it, where, and by which write (`stamp`), and is filled from
 * that. What must be there is kept in SHADOW, one mapped file for each file: the number of the last
 * write of each sector, and that of the last one that an fsync covered. `exact` asks for the last
 * write; `crash` (everything was killed) for what was synced or anything written since. Names, sizes
 * cut or grown by truncate, and removals are durable when the call returns.
 *
 * An error of any call is a failure, and so is a sector that holds anything else: the seed, the file,
 * the offset, what was expected and what was found are printed. With CHAOS_FULL=1 in the environment
 * disks may be full: ENOSPC of a change of names is tried again, and after ENOSPC of written data the
 * file is synced until that works, and from then on it holds what is found: whole writes, none of them
 * older than what was synced before; so it is when what is read and not synced is wrong: its ENOSPC may
 * not have been told yet, and only if that sync works the right bytes have to be there. With
 * CHAOS_COLD=1 all copies may lose power while the writers live: the same after EIO of written data; what
 * was not synced may read as an older write until then; and files are synced before they are closed. A
 * sync that works says that nothing was lost. A chunk of which nothing was ever synced may be gone, and is
 * EIO until it is written again.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAGIC UINT64_C(0x6f69736f61686364)
#define MiB (UINT64_C(1) << 20)

enum {
    SECTOR = 512,
    IO_MAX = 1 << 20,
    FILES = 6,
    BIG_FILES = 2,
    CHUNK = (64 << 20) / SECTOR,
    FULL_TRIES = 1800, /* with FULL_PAUSE_US between two: three minutes */
    FULL_PAUSE_US = 100000,
};
#define SMALL_SIZE (8 * MiB)
#define BIG_SIZE (200 * MiB)
#define SECTORS_MAX (BIG_SIZE / SECTOR)

struct stamp {
    uint64_t magic, file, offset, counter;
};

/* Lives in a mapped file, so that it outlives its writer. */
struct shadow {
    uint64_t seed, file; /* of this life: a file made anew has a new number */
    uint64_t next_file, counter;
    uint64_t size, size_low, size_high; /* now; least and most since the last fsync */
    uint64_t dirty_from, dirty_to;      /* sectors changed since then */
    uint32_t writer, slot, exists, changing_name, cut; /* cut: shortened since the last fsync */
    char name[64], other_name[64];
    uint64_t last[SECTORS_MAX], synced[SECTORS_MAX];
};

struct writer {
    uint64_t seed, random;
    unsigned number;
    const char *mount, *other_mount;
    struct shadow *files[FILES];
    int fds[FILES];
    unsigned char *data;
    uint64_t ops, slowest_ms, full_count, cold_count, gone_count;
    const char *slowest;
};

static bool may_be_full, may_be_cold;

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t draw(struct writer *w, uint64_t below)
{
    w->random = mix(w->random);
    return w->random % below;
}

static uint64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

__attribute__((noreturn, format(printf, 2, 3))) static void fail(const struct shadow *s,
                                                                 const char *what, ...)
{
    va_list args;

    printf("FAILED seed=%" PRIu64 " writer=%u slot=%u name=%s file=%" PRIx64 " size=%" PRIu64 ": ",
           s->seed, s->writer, s->slot, s->name, s->file, s->size);
    va_start(args, what);
    vprintf(what, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
    _exit(1);
}

static void sector_fill(unsigned char *sector, uint64_t file, uint64_t index, uint64_t counter)
{
    uint64_t words[SECTOR / 8];
    uint64_t x = mix(file ^ mix(index ^ mix(counter)));

    if (counter == 0) {
        memset(sector, 0, SECTOR);
        return;
    }
    memcpy(words, &(struct stamp){MAGIC, file, index * SECTOR, counter}, sizeof(struct stamp));
    for (size_t i = sizeof(struct stamp) / 8; i < SECTOR / 8; i++) {
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        words[i] = x;
    }
    memcpy(sector, words, SECTOR);
}

/* The number of the write that made this sector whole, 0 for zeros. False if no write did. */
static bool sector_counter(const unsigned char *sector, uint64_t file, uint64_t index,
                           uint64_t *ret)
{
    unsigned char expected[SECTOR];
    struct stamp stamp;

    memcpy(&stamp, sector, sizeof(stamp));
    sector_fill(expected, file, index, stamp.counter);
    *ret = stamp.counter;
    return memcmp(sector, expected, SECTOR) == 0;
}

static bool sector_right(const struct shadow *s, uint64_t index, const unsigned char *sector,
                         bool crash)
{
    unsigned char expected[SECTOR];
    uint64_t counter;

    if (!crash) {
        sector_fill(expected, s->file, index, s->last[index]);
        return memcmp(sector, expected, SECTOR) == 0;
    }
    if (!sector_counter(sector, s->file, index, &counter))
        return false;
    if (counter == 0 && (s->cut || s->last[index] == 0 || s->synced[index] == 0))
        return true;
    return counter >= s->synced[index] && counter <= s->counter;
}

/* All copies lost it, and it was never promised. */
static bool chunk_may_be_gone(const struct shadow *s, uint64_t index)
{
    uint64_t begin = index / CHUNK * CHUNK;

    for (uint64_t i = begin; i < begin + CHUNK && i < SECTORS_MAX; i++)
        if (s->synced[i] != 0)
            return false;
    return true;
}

static void check_range(const struct shadow *s, const char *mount, uint64_t first, uint64_t count,
                        const unsigned char *data, bool crash)
{
    for (uint64_t i = 0; i < count; i++) {
        const unsigned char *sector = data + i * SECTOR;
        struct stamp found;
        uint64_t counter;
        bool whole;

        if (sector_right(s, first + i, sector, crash))
            continue;
        memcpy(&found, sector, sizeof(found));
        whole = sector_counter(sector, s->file, first + i, &counter);
        fail(s,
             "%s: offset %" PRIu64 " (sector %" PRIu64 " of %" PRIu64
             " read) should hold write %" PRIu64 ", synced %" PRIu64 "; found magic=%" PRIx64
             " file=%" PRIx64 " offset=%" PRIu64 " write=%" PRIu64 "%s; newest write %" PRIu64,
             mount, (first + i) * SECTOR, i, count, s->last[first + i], s->synced[first + i],
             found.magic, found.file, found.offset, found.counter, whole ? " (whole)" : "",
             s->counter);
    }
}

/* ---- the operations of a writer ---- */

static const char *path_of(char *path, size_t size, const char *mount, const char *name)
{
    snprintf(path, size, "%s/%s", mount, name);
    return path;
}

static void took(struct writer *w, const char *what, uint64_t since)
{
    uint64_t ms = now_ms() - since;

    w->ops++;
    if (ms > w->slowest_ms) {
        w->slowest_ms = ms;
        w->slowest = what;
    }
}

/* Whether the call that has just failed is to be tried again: `tried` counts. */
static bool was_full(struct writer *w, unsigned *tried)
{
    if (!may_be_full || errno != ENOSPC || ++*tried == FULL_TRIES)
        return false;
    w->full_count++;
    usleep(FULL_PAUSE_US);
    return true;
}

/* Whether written data may be lost, and the call that has just failed says so. */
static bool was_lost(struct writer *w, unsigned *tried)
{
    if (may_be_cold && errno == EIO && ++*tried < FULL_TRIES) {
        w->cold_count++;
        return true;
    }
    return was_full(w, tried);
}

static void open_file(struct writer *w, unsigned slot, int flags)
{
    struct shadow *s = w->files[slot];
    char path[4096];
    unsigned tried = 0;

    do
        w->fds[slot] = open(path_of(path, sizeof(path), w->mount, s->name), flags, 0644);
    while (w->fds[slot] < 0 && was_full(w, &tried));
    if (w->fds[slot] < 0)
        fail(s, "open: %s", strerror(errno));
}

static void note_dirty(struct shadow *s, uint64_t first, uint64_t end)
{
    if (s->dirty_from == s->dirty_to) {
        s->dirty_from = first;
        s->dirty_to = end;
    }
    s->dirty_from = first < s->dirty_from ? first : s->dirty_from;
    s->dirty_to = end > s->dirty_to ? end : s->dirty_to;
}

static void note_synced(struct shadow *s)
{
    for (uint64_t i = s->dirty_from; i < s->dirty_to; i++)
        s->synced[i] = s->last[i];
    s->dirty_from = s->dirty_to = 0;
    s->size_low = s->size_high = s->size;
    s->cut = 0;
}

/* What is written into a chunk that is gone makes a new one. */
static void make_chunk_again(struct writer *w, struct shadow *s, int fd, uint64_t index)
{
    s->last[index] = ++s->counter;
    sector_fill(w->data, s->file, index, s->counter);
    if (pwrite(fd, w->data, SECTOR, (off_t)(index * SECTOR)) != SECTOR || fsync(fd) < 0)
        fail(s, "a chunk that is gone at %" PRIu64 " cannot be written: %s", index * SECTOR,
             strerror(errno));
}

static void take_as_found(struct writer *w, struct shadow *s, int fd, uint64_t first)
{
    ssize_t n = pread(fd, w->data, IO_MAX, (off_t)(first * SECTOR));

    if (n < 0 && errno == EIO && may_be_cold && chunk_may_be_gone(s, first)) {
        w->gone_count++;
        make_chunk_again(w, s, fd, first);
        n = pread(fd, w->data, IO_MAX, (off_t)(first * SECTOR));
    }
    if (n < 0 || n % SECTOR != 0)
        fail(s, "after an error: read at %" PRIu64 ": %s", first * SECTOR,
             n < 0 ? strerror(errno) : "odd");
    check_range(s, "after an error", first, (uint64_t)n / SECTOR, w->data, true);
    for (uint64_t i = 0; i < (uint64_t)n / SECTOR; i++)
        (void)sector_counter(w->data + i * SECTOR, s->file, first + i, &s->last[first + i]);
}

/* After ENOSPC or EIO of this file's data. False: it was another error. */
static bool recover(struct writer *w, unsigned slot)
{
    struct shadow *s = w->files[slot];
    unsigned tried = 0;
    struct stat st;

    if (!was_lost(w, &tried))
        return false;
    while (fsync(w->fds[slot]) < 0)
        if (!was_lost(w, &tried))
            fail(s, "fsync after an error: %s", strerror(errno));
    if (s->exists) { /* What is read before the next open may still be what was lost. */
        if (close(w->fds[slot]) < 0)
            fail(s, "close after an error: %s", strerror(errno));
        open_file(w, slot, O_RDWR);
    }
    if (fstat(w->fds[slot], &st) < 0)
        fail(s, "fstat after an error: %s", strerror(errno));
    if ((uint64_t)st.st_size < s->size_low || (uint64_t)st.st_size > s->size_high)
        fail(s, "after an error its size is %" PRIu64 ", not %" PRIu64 " to %" PRIu64,
             (uint64_t)st.st_size, s->size_low, s->size_high);
    s->size = (uint64_t)st.st_size;
    for (uint64_t at = 0; at < s->size / SECTOR; at += IO_MAX / SECTOR)
        take_as_found(w, s, w->fds[slot], at);
    for (uint64_t i = s->size / SECTOR; i < s->size_high / SECTOR; i++)
        s->last[i] = 0;
    note_dirty(s, 0, (s->size > s->size_high ? s->size : s->size_high) / SECTOR);
    note_synced(s);
    return true;
}

static void do_sync(struct writer *w, unsigned slot)
{
    struct shadow *s = w->files[slot];
    bool data_only = draw(w, 2) == 0;

    if ((data_only ? fdatasync(w->fds[slot]) : fsync(w->fds[slot])) == 0)
        note_synced(s);
    else if (!recover(w, slot))
        fail(s, "%s: %s", data_only ? "fdatasync" : "fsync", strerror(errno));
}

static void close_file(struct writer *w, unsigned slot)
{
    struct shadow *s = w->files[slot];
    int error;

    if (may_be_cold)
        do_sync(w, slot);
    error = close(w->fds[slot]) < 0 ? errno : 0;
    w->fds[slot] = -1;
    if (error == 0)
        return;
    if (error != ENOSPC || !may_be_full)
        fail(s, "close: %s", strerror(error));
    if (!s->exists)
        return;
    open_file(w, slot, O_RDWR);
    errno = error;
    (void)recover(w, slot);
    if (close(w->fds[slot]) < 0)
        fail(s, "close after an error: %s", strerror(errno));
    w->fds[slot] = -1;
}

static void create_file(struct writer *w, unsigned slot)
{
    struct shadow *s = w->files[slot];

    s->next_file++;
    s->file = mix(w->seed) << 24 | (uint64_t)w->number << 16 | (uint64_t)slot << 12 | s->next_file;
    memset(s->last, 0, sizeof(s->last));
    memset(s->synced, 0, sizeof(s->synced));
    s->counter = s->size = s->size_low = s->size_high = 0;
    s->dirty_from = s->dirty_to = 0;
    s->cut = 0;
    snprintf(s->name, sizeof(s->name), "w%u-f%u", w->number, slot);
    s->changing_name = 1; /* There, or not yet. */
    s->exists = 1;
    memcpy(s->other_name, s->name, sizeof(s->name));
    open_file(w, slot, O_RDWR | O_CREAT | O_EXCL);
    s->changing_name = 0;
}

static uint64_t some_place(struct writer *w, unsigned slot)
{
    /* Big files: their begin, where two chunks meet, and far out. */
    static const uint64_t windows[] = {0, 63 * MiB, 130 * MiB};
    uint64_t base = slot < BIG_FILES ? windows[draw(w, 3)] : 0;

    return base / SECTOR + draw(w, (slot < BIG_FILES ? 2 * MiB : SMALL_SIZE - IO_MAX) / SECTOR);
}

static uint64_t some_length(struct writer *w)
{
    return 1 + draw(w, draw(w, 3) == 0 ? IO_MAX / SECTOR : 16);
}

static void do_write(struct writer *w, unsigned slot)
{
    struct shadow *s = w->files[slot];
    uint64_t first = draw(w, 4) == 0 && slot >= BIG_FILES ? s->size / SECTOR : some_place(w, slot);
    uint64_t count = some_length(w), end;
    ssize_t n;

    if (first + count > SECTORS_MAX || (slot >= BIG_FILES && first + count > SMALL_SIZE / SECTOR))
        first = 0;
    end = (first + count) * SECTOR;
    s->counter++;
    note_dirty(s, first, first + count);
    if (end > s->size_high)
        s->size_high = end;
    for (uint64_t i = 0; i < count; i++) {
        s->last[first + i] = s->counter;
        sector_fill(w->data + i * SECTOR, s->file, first + i, s->counter);
    }
    n = pwrite(w->fds[slot], w->data, count * SECTOR, (off_t)(first * SECTOR));
    if (n >= 0 && n < (ssize_t)(count * SECTOR))
        errno = ENOSPC; /* What did not fit. */
    if (n != (ssize_t)(count * SECTOR) && recover(w, slot))
        return;
    if (n != (ssize_t)(count * SECTOR))
        fail(s, "write of %" PRIu64 " at %" PRIu64 ": %s", count * SECTOR, first * SECTOR,
             n < 0 ? strerror(errno) : "short");
    if (end > s->size)
        s->size = end;
}

static void read_and_check(struct writer *w, struct shadow *s, int fd, const char *mount,
                           uint64_t first, uint64_t count, bool crash)
{
    uint64_t end = first + count < s->size / SECTOR ? first + count : s->size / SECTOR;
    ssize_t n = pread(fd, w->data, count * SECTOR, (off_t)(first * SECTOR));

    if (n < 0 && errno == EIO && crash && chunk_may_be_gone(s, first))
        return;
    if (n < 0)
        fail(s, "%s: read of %" PRIu64 " at %" PRIu64 ": %s", mount, count * SECTOR, first * SECTOR,
             strerror(errno));
    count = end > first ? end - first : 0;
    if (crash)
        count = (uint64_t)n / SECTOR; /* The size was checked. */
    if ((uint64_t)n != count * SECTOR)
        fail(s, "%s: read at %" PRIu64 " gave %zd bytes, not %" PRIu64, mount, first * SECTOR, n,
             count * SECTOR);
    check_range(s, mount, first, count, w->data, crash);
}

static bool is_right(struct writer *w, unsigned slot, uint64_t first, uint64_t count)
{
    const struct shadow *s = w->files[slot];
    uint64_t end = first + count < s->size / SECTOR ? first + count : s->size / SECTOR;
    ssize_t n = pread(w->fds[slot], w->data, count * SECTOR, (off_t)(first * SECTOR));

    if (n != (ssize_t)((end > first ? end - first : 0) * SECTOR))
        return false;
    for (uint64_t i = 0; i < (uint64_t)n / SECTOR; i++)
        if (!sector_right(s, first + i, w->data + i * SECTOR, false))
            return false;
    return true;
}

static void do_read(struct writer *w, unsigned slot)
{
    struct shadow *s = w->files[slot];
    uint64_t first = some_place(w, slot), count = some_length(w);
    bool crash = may_be_cold && s->dirty_to > 0;

    /* What found no room after its write() had returned is told by the next fsync, and not there before. */
    if (may_be_full && !crash && s->dirty_to > 0 && !is_right(w, slot, first, count))
        do_sync(w, slot);
    read_and_check(w, s, w->fds[slot], w->mount, first, count, crash);
}

static void do_truncate(struct writer *w, unsigned slot)
{
    struct shadow *s = w->files[slot];
    uint64_t sectors = draw(w, 8) == 0 ? 0 : some_place(w, slot), old = s->size;

    if (sectors * SECTOR < old) {
        s->cut = 1;
        note_dirty(s, sectors, old / SECTOR);
    }
    if (sectors * SECTOR > s->size_high)
        s->size_high = sectors * SECTOR;
    if (sectors * SECTOR < s->size_low)
        s->size_low = sectors * SECTOR;
    if (ftruncate(w->fds[slot], (off_t)(sectors * SECTOR)) < 0) {
        if (recover(w, slot))
            return;
        fail(s, "truncate to %" PRIu64 ": %s", sectors * SECTOR, strerror(errno));
    }
    for (uint64_t i = sectors; i < old / SECTOR; i++)
        s->last[i] = 0;
    s->size = sectors * SECTOR;
}

static void do_rename(struct writer *w, unsigned slot)
{
    struct shadow *s = w->files[slot];
    char from[4096], to[4096];
    unsigned tried = 0;

    snprintf(s->other_name, sizeof(s->other_name), "w%u-f%u-%" PRIu64, w->number, slot,
             draw(w, 1000000));
    path_of(from, sizeof(from), w->mount, s->name);
    path_of(to, sizeof(to), w->mount, s->other_name);
    s->changing_name = 1;
    while (rename(from, to) < 0)
        if (!was_full(w, &tried))
            fail(s, "rename to %s: %s", s->other_name, strerror(errno));
    memcpy(s->name, s->other_name, sizeof(s->name));
    s->changing_name = 0;
}

static void do_recreate(struct writer *w, unsigned slot)
{
    struct shadow *s = w->files[slot];
    char path[4096];
    bool close_first = draw(w, 2) == 0;

    if (close_first)
        close_file(w, slot);
    s->exists = 0;
    if (unlink(path_of(path, sizeof(path), w->mount, s->name)) < 0)
        fail(s, "unlink: %s", strerror(errno));
    if (!close_first) { /* What is open lives on without a name. */
        do_write(w, slot);
        do_sync(w, slot);
        do_read(w, slot);
        close_file(w, slot);
    }
    create_file(w, slot);
}

static void check_size(const struct shadow *s, int fd, const char *mount, bool crash)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        fail(s, "%s: fstat: %s", mount, strerror(errno));
    if (crash ? (uint64_t)st.st_size < s->size_low || (uint64_t)st.st_size > s->size_high
              : (uint64_t)st.st_size != s->size)
        fail(s, "%s: its size is %" PRIu64 ", not %" PRIu64 " (%" PRIu64 " to %" PRIu64 ")", mount,
             (uint64_t)st.st_size, s->size, s->size_low, s->size_high);
}

/* Close here, open there: the other mount sees it all. */
static void do_reopen(struct writer *w, unsigned slot)
{
    struct shadow *s = w->files[slot];
    char path[4096];
    int fd;

    close_file(w, slot);
    fd = open(path_of(path, sizeof(path), w->other_mount, s->name), O_RDONLY);
    if (fd < 0)
        fail(s, "%s: open: %s", w->other_mount, strerror(errno));
    check_size(s, fd, w->other_mount, false);
    for (int i = 0; i < 4; i++)
        read_and_check(w, s, fd, w->other_mount, some_place(w, slot), some_length(w), false);
    if (close(fd) < 0)
        fail(s, "%s: close: %s", w->other_mount, strerror(errno));
    open_file(w, slot, O_RDWR);
    check_size(s, w->fds[slot], w->mount, false);
}

static void step(struct writer *w)
{
    static const struct {
        unsigned weight;
        const char *name;
        void (*run)(struct writer *w, unsigned slot);
    } ops[] = {
        {44, "write", do_write},      {26, "read", do_read},    {10, "sync", do_sync},
        {6, "truncate", do_truncate}, {5, "rename", do_rename}, {3, "recreate", do_recreate},
        {6, "reopen", do_reopen},
    };
    unsigned slot = (unsigned)draw(w, FILES), chance = (unsigned)draw(w, 100), i = 0;
    uint64_t start = now_ms();

    for (; chance >= ops[i].weight; i++)
        chance -= ops[i].weight;
    ops[i].run(w, slot);
    took(w, ops[i].name, start);
}

/* ---- the two commands ---- */

static struct shadow *shadow_map(const char *dir, unsigned writer, unsigned slot, bool make)
{
    char path[4096];
    struct shadow *s;
    int fd;

    snprintf(path, sizeof(path), "%s/w%u-f%u.shadow", dir, writer, slot);
    fd = open(path, O_RDWR | (make ? O_CREAT | O_TRUNC : 0), 0644);
    if (fd < 0)
        return NULL;
    if (make && ftruncate(fd, sizeof(*s)) < 0)
        exit(2);
    s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    return s == MAP_FAILED ? NULL : s;
}

static int write_until(struct writer *w, const char *dir, uint64_t end_ms)
{
    for (unsigned i = 0; i < FILES; i++) {
        struct shadow *s = shadow_map(dir, w->number, i, true);

        if (s == NULL)
            exit(2);
        s->seed = w->seed;
        s->writer = w->number;
        s->slot = i;
        w->files[i] = s;
        create_file(w, i);
    }
    while (now_ms() < end_ms) {
        step(w);
        usleep((useconds_t)draw(w, 20000));
    }
    for (unsigned i = 0; i < FILES; i++)
        close_file(w, i);
    printf("writer %u: %" PRIu64 " operations, %" PRIu64 " times no space, %" PRIu64
           " times lost and told, %" PRIu64 " chunks gone, slowest %s %" PRIu64 " ms\n",
           w->number, w->ops, w->full_count, w->cold_count, w->gone_count, w->slowest,
           w->slowest_ms);
    return 0;
}

static int run(int argc, char **argv)
{
    unsigned seconds = (unsigned)atoi(argv[3]), writers = (unsigned)atoi(argv[5]), failed = 0;
    uint64_t seed = strtoull(argv[4], NULL, 10), end = now_ms() + seconds * UINT64_C(1000);
    int mounts = argc - 6;

    for (unsigned i = 0; i < writers; i++) {
        struct writer w = {
            .seed = seed,
            .number = i,
            .random = mix(seed ^ mix(i)),
            .mount = argv[6 + (int)i % mounts],
            .other_mount = argv[6 + ((int)i + 1) % mounts],
            .slowest = "nothing",
        };
        pid_t pid = fork();

        if (pid != 0) {
            failed += pid < 0;
            continue;
        }
        w.data = malloc(IO_MAX);
        exit(w.data == NULL ? 2 : write_until(&w, argv[2], end));
    }
    for (int status; wait(&status) > 0;)
        failed += status != 0;
    return failed != 0;
}

static void verify_file(struct writer *w, struct shadow *s, const char *mount, bool crash)
{
    char path[4096], other[4096];
    int fd = open(path_of(path, sizeof(path), mount, s->name), O_RDONLY);

    if (fd < 0 && crash && s->changing_name && errno == ENOENT) {
        fd = open(path_of(other, sizeof(other), mount, s->other_name), O_RDONLY);
        if (fd < 0 && errno == ENOENT && s->counter == 0)
            return; /* It was about to be made. */
    }
    if (fd < 0 && crash && !s->exists && errno == ENOENT)
        return;
    if (fd < 0)
        fail(s, "%s: open: %s", mount, strerror(errno));
    check_size(s, fd, mount, crash);
    for (uint64_t at = 0; at < s->size_high / SECTOR || at < s->size / SECTOR;
         at += IO_MAX / SECTOR)
        read_and_check(w, s, fd, mount, at, IO_MAX / SECTOR, crash);
    (void)close(fd);
}

static int verify(int argc, char **argv)
{
    bool crash = strcmp(argv[3], "crash") == 0;
    struct writer w = {.data = malloc(IO_MAX)};
    unsigned files = 0;

    for (int m = 4; m < argc; m++) {
        for (unsigned i = 0;; i++) {
            struct shadow *s = NULL;

            for (unsigned slot = 0; slot < FILES; slot++) {
                s = shadow_map(argv[2], i, slot, false);
                if (s == NULL)
                    break;
                verify_file(&w, s, argv[m], crash);
                (void)munmap(s, sizeof(*s));
                files++;
            }
            if (s == NULL)
                break;
        }
    }
    free(w.data);
    printf("%u files are right\n", files);
    return files == 0;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    may_be_full = getenv("CHAOS_FULL") != NULL;
    may_be_cold = getenv("CHAOS_COLD") != NULL;
    if (argc >= 7 && strcmp(argv[1], "run") == 0)
        return run(argc, argv);
    if (argc >= 5 && strcmp(argv[1], "verify") == 0)
        return verify(argc, argv);
    fprintf(stderr, "usage: chaos_io run SHADOW SECONDS SEED WRITERS MOUNT...\n"
                    "       chaos_io verify SHADOW exact|crash MOUNT...\n");
    return 2;
}
