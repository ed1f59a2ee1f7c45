#include "tests/unit/datanode/store_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/crc32c.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/rng.h"
#include "common/slab.h"

static void on_failed(void *ctx, struct target *t, int why)
{
    struct fixture *f = ctx;

    (void)t;
    f->failed = why;
}

static struct fixture *make(bool on_fake_disk)
{
    struct fixture *f = MEM_NEW(struct fixture);

    assert_ok(loop_new(&f->loop));
    f->slabs = slab_pool_new(1 << 20);
    clock_fake_init(&f->clock, 1000 * CLOCK_NS_PER_S, 0);
    if (on_fake_disk) {
        f->fake = vfs_fake_new();
        f->vfs = vfs_fake_vfs(f->fake);
        strcpy(f->dir, "/target");
    } else {
        f->vfs = vfs_posix();
        strcpy(f->dir, "/tmp/test_store_XXXXXX");
        assert_non_null(mkdtemp(f->dir));
    }
    f->options = (struct store_options){
        .vfs = f->vfs,
        .clock = &f->clock.clock,
        .slabs = f->slabs,
        .inline_io = on_fake_disk,
        .reserve_percent = 5,
        .direct_min = CHUNK_BLOCK_SIZE,
        .on_failed = on_failed,
        .ctx = f,
    };
    memset(f->options.cluster.b, 0x11, 16);
    memset(f->options.boot_id.b, 0x22, 16);
    return f;
}

struct fixture *fixture_new_closed(void)
{
    return make(true);
}

struct fixture *fixture_new(bool on_fake_disk)
{
    struct fixture *f = make(on_fake_disk);

    assert_ok(fixture_open(f));
    return f;
}

int fixture_open(struct fixture *f)
{
    int r;

    assert_null(f->store);
    f->failed = 0;
    assert_ok(store_new(f->loop, &f->options, &f->store));
    r = store_open_target(f->store, f->dir, f->err, sizeof(f->err), &f->t);
    if (r < 0) {
        store_free(f->store);
        f->store = NULL;
        f->t = NULL;
    }
    return r;
}

static void set_true(void *ctx)
{
    *(bool *)ctx = true;
}

void fixture_close(struct fixture *f)
{
    bool is_closed = false;

    store_close(f->store, set_true, &is_closed);
    while (!is_closed)
        loop_run_once(f->loop, true);
    store_free(f->store);
    f->store = NULL;
    f->t = NULL;
}

void fixture_bury(struct fixture *f)
{
    vfs_fake_stop_after(f->fake, 0);
    store_free(STEAL(f->store));
    vfs_fake_kill(f->fake);
    f->t = NULL;
}

void fixture_kill(struct fixture *f)
{
    vfs_fake_kill(f->fake);
    fixture_bury(f);
}

void fixture_crash(struct fixture *f, struct rng *rng)
{
    vfs_fake_crash(f->fake, rng);
    fixture_bury(f);
    f->options.boot_id.b[0]++;
}

void fixture_free(struct fixture *f)
{
    if (f->store)
        store_free(f->store);
    if (!f->fake)
        (void)vfs_remove_all(f->vfs, f->dir);
    vfs_fake_free(f->fake);
    slab_pool_free(f->slabs);
    loop_free(f->loop);
    free(f);
}

void fixture_tick(struct fixture *f, uint64_t ms)
{
    clock_fake_advance(&f->clock, ms * CLOCK_NS_PER_MS);
    store_tick(f->store);
    settle(f);
}

void answer_done(void *ctx, int status, uint32_t result)
{
    struct answer *a = ctx;

    assert_false(a->is_done);
    *a = (struct answer){true, status, result};
}

int wait_for(struct fixture *f, struct answer *a)
{
    while (!a->is_done)
        loop_run_once(f->loop, true);
    return a->status;
}

void settle(struct fixture *f)
{
    loop_run_once(f->loop, false);
    while (disk_job_count(f->t->disk))
        loop_run_once(f->loop, true);
    loop_run_once(f->loop, false);
}

void fill(uint8_t *bytes, size_t len, uint32_t offset, uint32_t seed)
{
    for (size_t i = 0; i < len; i++) {
        uint32_t x = (offset + (uint32_t)i) * 2654435761u + seed * 40503u;

        bytes[i] = (uint8_t)(x >> 13);
    }
}

/* CRCs of the pieces that the block borders cut. */
static unsigned piece_crcs(const uint8_t *bytes, uint32_t offset, uint32_t len, uint32_t *crcs)
{
    unsigned n = 0;

    while (len) {
        uint32_t piece = CHUNK_BLOCK_SIZE - offset % CHUNK_BLOCK_SIZE;

        if (piece > len)
            piece = len;
        crcs[n++] = crc32c(bytes, piece);
        bytes += piece;
        offset += piece;
        len -= piece;
    }
    return n;
}

static void submit_write(struct fixture *f, uint64_t chunk, uint32_t offset, const void *bytes,
                         uint32_t len, unsigned flags, struct answer *a)
{
    struct slab *slab = slab_alloc(f->slabs, len);
    uint32_t crcs[300];
    struct store_write w = {
        .chunk = {chunk},
        .pg = {PG},
        .ver = {1, ++f->seq},
        .offset = offset,
        .len = len,
        .flags = flags,
        .crcs = crcs,
        .bytes = slab->data,
        .slab = slab,
    };

    memcpy(slab->data, bytes, len);
    w.crc_count = piece_crcs(slab->data, offset, len, crcs);
    store_write(f->t, &w, answer_done, a);
    assert_false(a->is_done);
    slab_unref(slab);
}

void start_write(struct fixture *f, uint64_t chunk, uint32_t offset, uint32_t len, uint32_t seed,
                 unsigned flags, struct answer *a)
{
    uint8_t *bytes = mem_alloc(len);

    fill(bytes, len, offset, seed);
    submit_write(f, chunk, offset, bytes, len, flags, a);
    free(bytes);
}

int write_bytes(struct fixture *f, uint64_t chunk, uint32_t offset, const void *bytes, uint32_t len,
                unsigned flags, uint32_t *ret_result)
{
    struct answer a = {0};

    submit_write(f, chunk, offset, bytes, len, flags, &a);
    (void)wait_for(f, &a);
    if (ret_result)
        *ret_result = a.result;
    return a.status;
}

int write_fill(struct fixture *f, uint64_t chunk, uint32_t offset, uint32_t len, uint32_t seed,
               unsigned flags)
{
    struct answer a = {0};

    start_write(f, chunk, offset, len, seed, flags, &a);
    return wait_for(f, &a);
}

int truncate_to(struct fixture *f, uint64_t chunk, uint32_t from, unsigned flags)
{
    struct answer a = {0};

    store_truncate(f->t, (struct chunk_id){chunk}, from, (struct chunk_ver){1, ++f->seq}, flags,
                   answer_done, &a);
    return wait_for(f, &a);
}

int sync_chunk(struct fixture *f, uint64_t chunk)
{
    struct answer a = {0};

    store_sync(f->t, &(struct chunk_id){chunk}, 1, answer_done, &a);
    return wait_for(f, &a);
}

int delete_chunk(struct fixture *f, uint64_t chunk)
{
    struct answer a = {0};

    store_delete(f->t, (struct chunk_id){chunk}, (struct pg_id){PG}, answer_done, &a);
    return wait_for(f, &a);
}

struct reading {
    struct answer a;
    uint8_t *buf;
    uint32_t len, asked;
};

static void on_read(void *ctx, int status, struct store_read_result *r)
{
    struct reading *rd = ctx;

    rd->a = (struct answer){true, status, 0};
    if (status < 0)
        return;
    rd->len = r->len;
    memset(rd->buf, 0, rd->asked);
    memcpy(rd->buf, r->slab->data, r->len);
}

int read_bytes(struct fixture *f, uint64_t chunk, uint32_t offset, uint32_t len, void *buf,
               uint32_t *ret_len)
{
    struct reading rd = {.buf = buf, .asked = len};

    store_read(f->t,
               &(struct store_read){.chunk = {chunk}, .offset = offset, .len = len, .verify = true},
               on_read, &rd);
    (void)wait_for(f, &rd.a);
    if (ret_len)
        *ret_len = rd.len;
    return rd.a.status;
}

void check_fill(struct fixture *f, uint64_t chunk, uint32_t offset, uint32_t len, uint32_t seed)
{
    uint32_t first = offset / 4096 * 4096, end = (offset + len + 4095) / 4096 * 4096;
    uint8_t *want = mem_alloc(len), *buf = mem_alloc(end - first);

    fill(want, len, offset, seed);
    for (uint32_t at = first, n; at < end; at += n) {
        n = end - at < IO_SIZE_MAX ? end - at : IO_SIZE_MAX;
        assert_ok(read_bytes(f, chunk, at, n, buf + (at - first), NULL));
    }
    assert_memory_equal(want, buf + (offset - first), len);
    free(want);
    free(buf);
}

unsigned flags_of(struct fixture *f, uint64_t chunk)
{
    struct chunk_state s;

    assert_ok(store_chunk_state(f->t, (struct chunk_id){chunk}, &s));
    return s.flags;
}

uint32_t len_of(struct fixture *f, uint64_t chunk)
{
    struct chunk_state s;

    assert_ok(store_chunk_state(f->t, (struct chunk_id){chunk}, &s));
    return s.len;
}

struct verifying {
    struct answer a;
    unsigned bad;
    uint64_t digest;
};

static void on_crcs(void *ctx, int status, const struct store_crcs *c)
{
    struct verifying *v = ctx;

    v->a = (struct answer){true, status, 0};
    if (status < 0)
        return;
    v->bad = c->bad_count;
    v->digest = c->digest;
}

int verify_chunk(struct fixture *f, uint64_t chunk, unsigned *ret_bad, uint64_t *ret_digest)
{
    struct verifying v = {0};

    store_crcs(f->t, (struct chunk_id){chunk}, true, on_crcs, &v);
    (void)wait_for(f, &v.a);
    if (ret_bad)
        *ret_bad = v.bad;
    if (ret_digest)
        *ret_digest = v.digest;
    return v.a.status;
}

void chunk_path(struct fixture *f, uint64_t chunk, char *path, size_t size)
{
    (void)snprintf(path, size, "%s/c/%03x/%016llx", f->dir, (unsigned)(chunk >> 10) % 4096,
                   (unsigned long long)chunk);
}
