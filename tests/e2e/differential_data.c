/* differential: what is done with open files. */
#include "tests/e2e/differential.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

void fill_data(size_t n)
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

static void allocate_some(int slot, off_t at, off_t len)
{
    static const int modes[] = {0,
                                FALLOC_FL_KEEP_SIZE,
                                FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                FALLOC_FL_ZERO_RANGE,
                                FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                                FALLOC_FL_PUNCH_HOLE};
    int mode = modes[below(6)];

    /* Where no byte changes, each file system moves times as it likes; then they are set. */
    watches_forget();
    note("fallocate slot %d mode %d at %ld len %ld", slot, mode, (long)at, (long)len);
    if (BOTH("fallocate", fallocate(fds[slot][s], mode, at, len)) == 0)
        BOTH("futimens", futimens(fds[slot][s], NULL));
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

/* What a mapping shows, and that what is written to a private one stays there. */
static void look_by_mapping(int slot, off_t at, size_t len)
{
    off_t start = at / BLOCK * BLOCK;
    bool private = below(2);
    struct stat st;
    long r;

    if (fstat(fds[slot][0], &st) < 0 || !S_ISREG(st.st_mode) || at >= st.st_size)
        len = 0;
    else if (at + (off_t)len > st.st_size)
        len = (size_t)(st.st_size - at);
    if (len == 0) {
        note("nothing to map of slot %d", slot);
        return;
    }
    note("read by %s mapping from slot %d at %ld len %zu", private ? "private" : "shared", slot,
         (long)at, len);
    r = BOTH("mmap", ({
                 size_t size = len + (size_t)(at - start);
                 char *m = mmap(NULL, size, PROT_READ | (private ? PROT_WRITE : 0),
                                private ? MAP_PRIVATE : MAP_SHARED, fds[slot][s], start);

                 if (m != MAP_FAILED) {
                     memcpy(got[s], m + (at - start), len);
                     if (private)
                         memset(m + (at - start), 'P', len);
                     (void)munmap(m, size);
                 }
                 m == MAP_FAILED ? -1 : 0;
             }));
    if (r == 0 && memcmp(got[0], got[1], len) != 0)
        differ("what is mapped of slot %d", slot);
}

/* In three pieces, some with O_DSYNC for this write alone. */
static void write_vector(int slot, off_t at, size_t len)
{
    size_t a = len / 3, b = len / 2;
    struct iovec v[] = {{data, a}, {data + a, b}, {data + a + b, len - a - b}};
    int flags = below(4) == 0 ? RWF_DSYNC : 0;

    note("pwritev2 slot %d at %ld len %zu flags %d", slot, (long)at, len, flags);
    BOTH("pwritev2", pwritev2(fds[slot][s], v, 3, at, flags));
}

static void read_vector(int slot, off_t at, size_t len)
{
    size_t a = len / 3, b = len / 2;
    ssize_t n;

    note("preadv slot %d at %ld len %zu", slot, (long)at, len);
    n = BOTH("preadv", ({
                 struct iovec v[] = {{got[s], a}, {got[s] + a, b}, {got[s] + a + b, len - a - b}};

                 preadv(fds[slot][s], v, 3, at);
             }));
    if (n > 0 && memcmp(got[0], got[1], (size_t)n) != 0)
        differ("bytes of slot %d", slot);
}

/*
 * Past the page cache and back into it: the open file is switched for one call. Only in whole
 * blocks: what is not aligned is refused by most local file systems, and done by the mount.
 */
static void direct_some(int slot, off_t at, size_t len)
{
    static uint8_t *block[SIDES];
    bool is_write = below(2);
    int flags = fcntl(fds[slot][0], F_GETFL);
    struct stat st;
    ssize_t n;

    if (!has_direct || flags < 0 || fstat(fds[slot][0], &st) < 0 || !S_ISREG(st.st_mode)) {
        note("nothing to do past the page cache of slot %d", slot);
        return;
    }
    at = at / BLOCK * BLOCK;
    len = len / BLOCK * BLOCK;
    if (is_write && (flags & O_APPEND) && (st.st_size % BLOCK != 0 || len == 0))
        is_write = false;
    for (int s = 0; s < SIDES; s++)
        if (block[s] == NULL && (block[s] = aligned_alloc(BLOCK, DATA_MAX / BLOCK * BLOCK)) == NULL)
            abort();
    note("O_DIRECT %s slot %d at %ld len %zu", is_write ? "pwrite" : "pread", slot, (long)at, len);
    for (int s = 0; s < SIDES; s++)
        if (is_write)
            memcpy(block[s], data, len);
    BOTH("F_SETFL", fcntl(fds[slot][s], F_SETFL, flags | O_DIRECT));
    n = BOTH("direct", is_write ? pwrite(fds[slot][s], block[s], len, at)
                                : pread(fds[slot][s], block[s], len, at));
    BOTH("F_SETFL", fcntl(fds[slot][s], F_SETFL, flags));
    if (n > 0 && memcmp(block[0], block[1], (size_t)n) != 0)
        differ("bytes of slot %d", slot);
}

static void close_slot(int slot)
{
    note("close slot %d", slot);
    BOTH("close", close(fds[slot][s]));
    fds[slot][0] = fds[slot][1] = -1;
}

void use_fd(void)
{
    int slot = (int)below(FDS);
    size_t len = pick_len();
    off_t at = pick_offset(len);
    unsigned what = below(18);
    bool data_only;
    ssize_t n;

    if (fds[slot][0] < 0) {
        note("no fd in slot %d", slot);
        return;
    }
    if (what < 16)
        watch_slot(slot);
    /* With O_APPEND the offset does not count. */
    if (lseek(fds[slot][0], 0, SEEK_END) + (off_t)len > (off_t)size_max && what < 8)
        len = 0;
    (void)lseek(fds[slot][1], 0, SEEK_END);
    fill_data(len);
    switch (what) {
    case 0:
    case 1:
        note("pwrite slot %d at %ld len %zu", slot, (long)at, len);
        BOTH("pwrite", pwrite(fds[slot][s], data, len, at));
        break;
    case 2:
    case 3:
        note("write slot %d at %ld len %zu", slot, (long)at, len);
        BOTH("lseek", lseek(fds[slot][s], at, SEEK_SET));
        BOTH("write", write(fds[slot][s], data, len));
        BOTH("lseek", lseek(fds[slot][s], 0, SEEK_CUR));
        break;
    case 4:
        write_vector(slot, at, len);
        break;
    case 5:
    case 6:
        direct_some(slot, at, len);
        break;
    case 7:
        copy_some(slot, at, len);
        break;
    case 8:
        note("pread slot %d at %ld len %zu", slot, (long)at, len);
        n = BOTH("pread", pread(fds[slot][s], got[s], len, at));
        if (n > 0 && memcmp(got[0], got[1], (size_t)n) != 0)
            differ("bytes of slot %d", slot);
        break;
    case 9:
        read_vector(slot, at, len);
        break;
    case 10:
        note("ftruncate slot %d to %ld", slot, (long)at);
        BOTH("ftruncate", ftruncate(fds[slot][s], at));
        break;
    case 11:
        data_only = below(2);
        note("%s slot %d", data_only ? "fdatasync" : "fsync", slot);
        BOTH("fsync", data_only ? fdatasync(fds[slot][s]) : fsync(fds[slot][s]));
        break;
    case 12:
        note("fstat slot %d", slot);
        check_fstat(slot);
        break;
    case 13:
        allocate_some(slot, at, (off_t)len);
        break;
    case 14:
        map_some(slot, at, len);
        break;
    case 15:
        look_by_mapping(slot, at, len);
        break;
    default:
        close_slot(slot);
        break;
    }
}
