#include "tests/unit/libdfs/file_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/limits.h"
#include "common/rng.h"
#include "common/slab.h"

const struct ll_cred test_root = {.kernel_checked = true};

int cluster_set_up(void **state)
{
    *state = cluster_new();
    return 0;
}

int cluster_tear_down(void **state)
{
    cluster_free(*state);
    return 0;
}

void result_open(void *ctx, int status, struct ll_file *file, const struct ll_attr *attr,
                 bool keep_cache)
{
    struct result *r = ctx;

    r->done = true;
    r->status = status;
    r->file = file;
    r->keep_cache = keep_cache;
    if (attr != NULL)
        r->attr = *attr;
}

void result_status(void *ctx, int status)
{
    struct result *r = ctx;

    assert_false(r->done);
    r->done = true;
    r->status = status;
}

void result_attr(void *ctx, int status, const struct ll_attr *attr)
{
    struct result *r = ctx;

    r->done = true;
    r->status = status;
    if (status == 0)
        r->attr = *attr;
}

void result_data(void *ctx, int status, const struct iovec *iov, unsigned count, size_t len)
{
    struct result *r = ctx;
    size_t at = 0;

    assert_false(r->done);
    r->done = true;
    r->status = status;
    if (status < 0)
        return;
    for (unsigned k = 0; k < count; k++) {
        assert_true(at + iov[k].iov_len <= r->len);
        memcpy(r->bytes + at, iov[k].iov_base, iov[k].iov_len);
        at += iov[k].iov_len;
    }
    assert_int_equal(at, len);
    r->len = len;
}

struct result file_open(struct cluster *c, uint64_t ino, int flags)
{
    struct result r = {0};

    ll_open(&c->ll, &r.call, &test_root, (struct ino){ino}, flags, result_open, &r);
    cluster_wait(c, &r.done);
    return r;
}

struct ll_file *file_create(struct cluster *c)
{
    struct result r = {0};

    ll_create(&c->ll, &r.call, &test_root, (struct ino){1}, "f", 0644, O_RDWR, result_open, &r);
    cluster_wait(c, &r.done);
    assert_int_equal(r.status, 0);
    return r.file;
}

int file_put(struct cluster *c, struct ll_file *f, uint64_t offset, const void *bytes, size_t len)
{
    struct result r = {0};
    struct slab *slab = len <= IO_SIZE_MAX ? slab_alloc(c->slabs, len) : NULL;

    if (slab != NULL)
        memcpy(slab->data, bytes, len);
    ll_write(f, &r.call, offset, slab != NULL ? slab->data : bytes, len, slab, result_status, &r);
    cluster_wait(c, &r.done);
    slab_unref(slab);
    return r.status;
}

int file_append(struct cluster *c, struct ll_file *f, const void *bytes, size_t len)
{
    struct result r = {0};

    ll_append(f, &r.call, bytes, len, NULL, result_status, &r);
    cluster_wait(c, &r.done);
    return r.status;
}

int file_flush(struct cluster *c, struct ll_file *f)
{
    struct result r = {0};

    ll_flush(f, &r.call, result_status, &r);
    cluster_wait(c, &r.done);
    return r.status;
}

int file_sync(struct cluster *c, struct ll_file *f, bool datasync)
{
    struct result r = {0};

    ll_fsync(f, &r.call, datasync, result_status, &r);
    cluster_wait(c, &r.done);
    return r.status;
}

struct result file_get(struct cluster *c, struct ll_file *f, uint64_t offset, size_t len)
{
    struct result r = {.bytes = malloc(len + 1), .len = len};

    ll_read(f, &r.call, offset, len, result_data, &r);
    cluster_wait(c, &r.done);
    return r;
}

void file_expect(struct cluster *c, struct ll_file *f, uint64_t offset, const void *bytes,
                 size_t len)
{
    struct result r = file_get(c, f, offset, len);

    assert_int_equal(r.status, 0);
    assert_int_equal(r.len, len);
    assert_memory_equal(r.bytes, bytes, len);
    free(r.bytes);
}

int file_cut(struct cluster *c, struct ll_file *f, uint64_t size)
{
    struct result r = {0};

    ll_truncate(&c->ll, &r.call, &test_root, ll_file_ino(f), size, result_attr, &r);
    cluster_wait(c, &r.done);
    if (r.status == 0)
        assert_int_equal(r.attr.size, size);
    return r.status;
}

unsigned cluster_ops(const struct cluster *c)
{
    return c->dns[0].ops + c->dns[1].ops + c->dns[2].ops;
}

unsigned cluster_reads(const struct cluster *c)
{
    return c->dns[0].reads + c->dns[1].reads + c->dns[2].reads;
}

uint8_t *test_pattern(size_t len, uint64_t seed)
{
    uint8_t *p = malloc(len);
    struct rng rng;

    rng_seed(&rng, seed);
    rng_bytes(&rng, p, len);
    return p;
}

int file_allocate(struct cluster *c, struct ll_file *f, int mode, uint64_t offset, uint64_t len)
{
    struct result r = {0};

    ll_fallocate(f, &r.call, mode, offset, len, result_status, &r);
    cluster_wait(c, &r.done);
    return r.status;
}
