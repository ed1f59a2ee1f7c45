#include "shell/recopy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "common/clock.h"
#include "common/compiler.h"
#include "common/limits.h"
#include "common/mem.h"
#include "libdfs/dfs.h"
#include "shell/client.h"
#include "shell/report.h"

enum {
    STEP = 1 << 20,        /* bytes of one read */
    HOLE_GRAIN = 64 << 10, /* zeros of so many bytes are left out */
    HEAD = 2 * INLINE_MAX, /* always written: so that it is a chunk, and not in the metadata */
    SWAP_MAX = 64,
    SWAP_TRIES = 20, /* our own close, too, takes a moment */
    SWAP_PAUSE_MS = 50,
};

struct recopy {
    struct client *client;
    const atomic_bool *stop;
    uint8_t *copies; /* by number of the placement group; 0: not known */
    size_t group_count;
    uint8_t *buffer;
    unsigned made; /* files without a name */
};

/* ---- which chunk is where ---- */

static int ask_groups(struct recopy *r)
{
    char *document = NULL;
    json_t *report;
    const json_t *pgs;
    int error = dfs_report_json(r->client->dfs, &document);

    if (error < 0)
        return error;
    report = json_loads(document, 0, NULL);
    free(document);
    if (report == NULL)
        return -EIO;
    pgs = json_object_get(report, "pgs");
    for (size_t i = 0; i < json_array_size(pgs); i++) {
        const json_t *pg = json_array_get(pgs, i);
        json_int_t number = report_number(pg, "pg");

        if (number < 0 || number >= PG_COUNT_MAX)
            continue;
        if ((size_t)number >= r->group_count) {
            r->copies = mem_realloc(r->copies, (size_t)number + 1, 1);
            memset(r->copies + r->group_count, 0, (size_t)number + 1 - r->group_count);
            r->group_count = (size_t)number + 1;
        }
        r->copies[number] = (uint8_t)report_number(pg, "copies");
    }
    json_decref(report);
    return 0;
}

static unsigned copies_of(struct recopy *r, uint32_t pg)
{
    return pg < r->group_count ? r->copies[pg] : 0;
}

struct look {
    struct recopy *recopy;
    unsigned copies;
    struct recopy_count count;
    bool is_strange; /* a group was not known */
    uint32_t from;   /* the first that is elsewhere from here on is looked for, and found: */
    bool found;
    uint32_t index, end; /* it, and the next that holds bytes (or as far as one swap goes) */
};

static int look_at(void *ctx, uint32_t index, uint64_t chunk, uint32_t pg)
{
    struct look *l = ctx;
    unsigned copies = copies_of(l->recopy, pg);

    (void)chunk;
    l->is_strange |= copies == 0;
    l->count.chunks++;
    l->count.others += copies != l->copies;
    if (l->found) {
        l->end = MIN(l->end, index);
    } else if (copies != l->copies && index >= l->from) {
        l->found = true;
        l->index = index;
        l->end = index > UINT32_MAX - SWAP_MAX ? UINT32_MAX : index + SWAP_MAX;
    }
    return 0;
}

/* A group that was made meanwhile is asked for. */
static int look(struct recopy *r, uint64_t ino, unsigned copies, uint32_t from, struct look *ret)
{
    int error;

    for (unsigned i = 0; i < 2; i++) {
        *ret = (struct look){.recopy = r, .copies = copies, .from = from};
        error = dfs_chunks(r->client->dfs, ino, look_at, ret);
        if (error < 0 || !ret->is_strange)
            return error;
        error = ask_groups(r);
        if (error < 0)
            return error;
    }
    return 0;
}

int recopy_count(struct recopy *r, uint64_t ino, unsigned copies, struct recopy_count *ret_count)
{
    struct look l;
    int error = look(r, ino, copies, 0, &l);

    if (error == 0)
        *ret_count = l.count;
    return error;
}

/* ---- one chunk ---- */

/* Beside path, so that it is in the same place for permissions; open, and with its name gone. */
static int make_nameless(struct recopy *r, const char *path, unsigned copies,
                         struct dfs_file **ret_file)
{
    int dir_len = (int)(strrchr(path, '/') + 1 - path), error;
    char *name = mem_printf("%.*s.dfs-setrep-%ld-%llx-%u", dir_len, path, (long)getpid(),
                            (unsigned long long)clock_wall_ns(clock_system()), r->made++);
    struct dfs *dfs = r->client->dfs;
    char digit = (char)('0' + copies);
    struct dfs_file *file;

    error = dfs_open(dfs, name, O_RDWR | O_CREAT | O_EXCL, 0600, &file);
    if (error == 0) {
        error = dfs_setxattr(dfs, name, "dfs.copies", &digit, 1, 0);
        if (error == 0)
            error = dfs_unlink(dfs, name);
        else
            (void)dfs_unlink(dfs, name);
        if (error < 0)
            (void)dfs_close(file);
        else
            *ret_file = file;
    }
    free(name);
    return error;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/* Holes stay holes, but for the head of the chunk. */
static int write_step(struct dfs_file *to, const uint8_t *bytes, size_t len, uint64_t at)
{
    for (size_t done = 0; done < len; done += HOLE_GRAIN) {
        size_t n = MIN(len - done, (size_t)HOLE_GRAIN);
        ssize_t written;

        if (is_zero(bytes + done, n) && (at + done) % CHUNK_SIZE != 0)
            continue;
        written = dfs_pwrite(to, bytes + done, n, at + done);
        if (written < 0)
            return (int)written;
    }
    return 0;
}

static int copy_bytes(struct recopy *r, struct dfs_file *from, struct dfs_file *to, uint64_t begin)
{
    uint64_t end = begin + CHUNK_SIZE;

    for (uint64_t at = begin; at < end; at += STEP) {
        ssize_t got = dfs_pread(from, r->buffer, STEP, at);
        size_t len = (size_t)MAX(got, (ssize_t)0);
        int error;

        if (got < 0)
            return (int)got;
        if (*r->stop)
            return -ECANCELED;
        if (at == begin && len < HEAD) { /* Zeros behind the end. */
            memset(r->buffer + len, 0, HEAD - len);
            len = HEAD;
        }
        error = write_step(to, r->buffer, len, at);
        if (error < 0)
            return error;
        if (got < STEP)
            break;
    }
    return dfs_fsync(to);
}

static int swap(struct recopy *r, uint64_t ino, struct dfs_file *other, const struct look *l,
                uint64_t version)
{
    struct dfs_stat st;
    int error = dfs_fstat(other, &st);

    if (error < 0)
        return error;
    for (unsigned tries = 1;; tries++) {
        error = dfs_swap_chunks(r->client->dfs, ino, st.ino, l->index, l->end - l->index, version);
        if (error != -EBUSY || tries == SWAP_TRIES || *r->stop)
            return error;
        clock_sleep_ms(SWAP_PAUSE_MS);
    }
}

static int copy_chunk(struct recopy *r, const char *path, uint64_t ino, unsigned copies,
                      const struct look *l)
{
    struct dfs_file *from, *to = NULL;
    uint64_t version = 0;
    struct dfs_stat st;
    int error = make_nameless(r, path, copies, &to);

    if (error < 0)
        return error;
    error = dfs_open(r->client->dfs, path, O_RDONLY | O_NOFOLLOW, 0, &from);
    if (error == 0) {
        version = dfs_file_version(from); /* Before anything is read. */
        error = dfs_fstat(from, &st);
        if (error == 0 && st.ino != ino)
            error = -ESTALE; /* Another file has the name by now. */
        if (error == 0)
            error = copy_bytes(r, from, to, (uint64_t)l->index * CHUNK_SIZE);
        (void)dfs_close(from);
    }
    if (error == 0)
        error = swap(r, ino, to, l, version);
    (void)dfs_close(to); /* With what it holds then. */
    return error;
}

static uint64_t bytes_in(uint64_t size, uint32_t index)
{
    uint64_t begin = (uint64_t)index * CHUNK_SIZE;

    return size <= begin ? 0 : MIN(size - begin, (uint64_t)CHUNK_SIZE);
}

int recopy_file(struct recopy *r, const char *path, unsigned copies, uint64_t *ret_bytes)
{
    struct look l = {.index = 0};
    struct dfs_stat st;
    int error = dfs_lstat(r->client->dfs, path, &st);

    *ret_bytes = 0;
    for (uint32_t from = 0; error == 0; from = l.index + 1) {
        error = look(r, st.ino, copies, from, &l);
        if (error < 0 || !l.found)
            break;
        error = copy_chunk(r, path, st.ino, copies, &l);
        if (error == 0)
            *ret_bytes += bytes_in(st.size, l.index);
    }
    return error;
}

/* ---- life ---- */

int recopy_new(struct client *client, const atomic_bool *stop, struct recopy **ret_recopy)
{
    struct recopy *r = MEM_NEW(struct recopy);
    int error;

    r->client = client;
    r->stop = stop;
    r->buffer = mem_alloc(STEP);
    error = ask_groups(r);
    if (error < 0) {
        recopy_free(r);
        return error;
    }
    *ret_recopy = r;
    return 0;
}

void recopy_free(struct recopy *r)
{
    if (r == NULL)
        return;
    free(r->copies);
    free(r->buffer);
    free(r);
}
