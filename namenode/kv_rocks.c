/*
 * The only door to RocksDB.
 *
 * One column family: with the log off, a flush is then one memtable's and so atomic, which several
 * families could not have through this API. Bounds on memory: the block cache (index and filter
 * blocks live in it) and three memtables.
 */
#include "namenode/kv_rocks.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/vfs.h"
#include "namenode/kv_manifest.h"
#include "namenode/mutants.h"

enum {
    READ_TIER_PERSISTED = 2, /* kPersistedTier of options.h */
    OPEN_FILES_MAX = 512,
    CACHE_SHARD_BITS = 2,
    /* One that is written, one on its way to the disk, and one so that neither a write nor the
     * beginning of a flush waits for that way: both are called on the loop thread. */
    MEMTABLES_MAX = 3,
    VERIFY_TABLES_OPEN = 20, /* while all is read: each holds its index and filter in memory */
    VERIFY_STEP = 1 << 20,   /* bytes between two looks at the clock */
    PATH_SIZE = 1024,
};

struct kv_rocks {
    struct kv kv;
    rocksdb_t *db;
    uint64_t cache_bytes, memtable_bytes;
    rocksdb_cache_t *cache;
    rocksdb_options_t *options;
    rocksdb_writeoptions_t *write_options;
    rocksdb_readoptions_t *read_options, *persisted_options;
    rocksdb_writebatch_t *batch;

    unsigned view_count;
    bool is_closed; /* the last view takes the rest with it */
    /* Of a view: db is that of its store. */
    struct kv_rocks *of;
    const rocksdb_snapshot_t *snapshot;
};

struct rocks_iter {
    struct kv_iter it;
    struct kv_rocks *k;
    rocksdb_iterator_t *ri;
    rocksdb_readoptions_t *options; /* points to end */
    uint8_t end[KV_PREFIX_MAX];     /* the first key behind those of the prefix */
    struct buf last;                /* the key before, and a zero byte: what follows is behind it */
};

static bool is_corruption(const char *err)
{
    return strncmp(err, "Corruption", strlen("Corruption")) == 0;
}

/* Takes the message of a failed call apart, logs it and frees it. */
static int error_take(const char *what, char *err)
{
    int r = -EIO;

    if (strstr(err, "does not exist (create_if_missing is false)"))
        r = -ENOENT;
    else if (strstr(err, "While lock file") || strstr(err, "lock hold by current process"))
        r = -EBUSY;
    else if (is_corruption(err) || strstr(err, "No such file or directory"))
        r = -EBADMSG; /* Also when one of its files is gone. */
    log_warn("rocksdb failed", "call=%s message=\"%s\"", what, err);
    rocksdb_free(err);
    return r;
}

static int failed_take(struct kv_rocks *k, const char *what, char *err)
{
    int r = error_take(what, err);

    k->kv.is_damaged = k->kv.is_damaged || r == -EBADMSG;
    return r;
}

static int rocks_get(struct kv *kv, const void *key, size_t len, bool persisted,
                     struct kv_value *ret)
{
    struct kv_rocks *k = CONTAINER_OF(kv, struct kv_rocks, kv);
    rocksdb_pinnableslice_t *pin;
    char *err = NULL;
    size_t value_len;
    const char *value;

    pin = rocksdb_get_pinned(k->db, persisted ? k->persisted_options : k->read_options, key, len,
                             &err);
    if (err)
        return failed_take(k, "get", err);
    if (!pin)
        return -ENOENT;
    value = rocksdb_pinnableslice_value(pin, &value_len);
    *ret = (struct kv_value){.data = (const uint8_t *)value, .len = value_len, .pin = pin};
    return 0;
}

static void rocks_value_done(struct kv *kv, struct kv_value *v)
{
    (void)kv;
    if (v->pin)
        rocksdb_pinnableslice_destroy(v->pin);
    *v = (struct kv_value){0};
}

static int rocks_write(struct kv *kv, const struct kv_batch *b)
{
    struct kv_rocks *k = CONTAINER_OF(kv, struct kv_rocks, kv);
    struct kv_change c;
    char *err = NULL;
    size_t pos = 0;

    rocksdb_writebatch_clear(k->batch);
    while (kv_batch_next(b, &pos, &c)) {
        if (c.op == KV_PUT)
            rocksdb_writebatch_put(k->batch, (const char *)c.key, c.key_len, (const char *)c.value,
                                   c.value_len);
        else
            rocksdb_writebatch_delete(k->batch, (const char *)c.key, c.key_len);
    }
    rocksdb_write(k->db, k->write_options, k->batch, &err);
    return err ? failed_take(k, "write", err) : 0;
}

static int rocks_flush(struct kv *kv, bool wait)
{
    struct kv_rocks *k = CONTAINER_OF(kv, struct kv_rocks, kv);
    rocksdb_flushoptions_t *o = rocksdb_flushoptions_create();
    char *err = NULL;

    rocksdb_flushoptions_set_wait(o, wait);
    rocksdb_flush(k->db, o, &err);
    rocksdb_flushoptions_destroy(o);
    return err ? failed_take(k, "flush", err) : 0;
}

static int rocks_checkpoint(struct kv *kv, const char *dir)
{
    struct kv_rocks *k = CONTAINER_OF(kv, struct kv_rocks, kv);
    rocksdb_checkpoint_t *c;
    char *err = NULL;

    c = rocksdb_checkpoint_object_create(k->db, &err);
    if (err)
        return failed_take(k, "checkpoint", err);
    /* 0: always flush first. Anything else could leave out the memtable, as there is no log. */
    rocksdb_checkpoint_create(c, dir, MUTANT(CHECKPOINT_UNFLUSHED) ? UINT64_MAX : 0, &err);
    rocksdb_checkpoint_object_destroy(c);
    return err ? failed_take(k, "checkpoint", err) : 0;
}

static int iter_stand(struct rocks_iter *i)
{
    char *err = NULL;

    i->it.valid = rocksdb_iter_valid(i->ri);
    if (!i->it.valid) {
        rocksdb_iter_get_error(i->ri, &err);
        return err ? failed_take(i->k, "iterate", err) : 0;
    }
    i->it.key = (const uint8_t *)rocksdb_iter_key(i->ri, &i->it.key_len);
    i->it.value = (const uint8_t *)rocksdb_iter_value(i->ri, &i->it.value_len);
    return 0;
}

static int rocks_iter_seek(struct kv_iter *it, const void *key, size_t len)
{
    struct rocks_iter *i = CONTAINER_OF(it, struct rocks_iter, it);

    rocksdb_iter_seek(i->ri, key, len);
    return iter_stand(i);
}

/*
 * RocksDB up to 8.6 takes a table for the end of everything, and says nothing, when it goes on into it
 * and cannot open it or read its first block. Whoever seeks there is told: so an end is asked twice. (If
 * the last keys of the table before are all removed ones, that says nothing either.)
 */
static int rocks_iter_next(struct kv_iter *it)
{
    struct rocks_iter *i = CONTAINER_OF(it, struct rocks_iter, it);
    int r;

    buf_clear(&i->last);
    buf_append(&i->last, it->key, it->key_len);
    rocksdb_iter_next(i->ri);
    r = iter_stand(i);
    if (r < 0 || it->valid)
        return r;
    buf_append(&i->last, "", 1);
    rocksdb_iter_seek(i->ri, (const char *)i->last.data, i->last.len);
    return iter_stand(i);
}

static void rocks_iter_free(struct kv_iter *it)
{
    struct rocks_iter *i = CONTAINER_OF(it, struct rocks_iter, it);

    rocksdb_iter_destroy(i->ri);
    rocksdb_readoptions_destroy(i->options);
    buf_done(&i->last);
    free(i);
}

static const struct kv_iter_ops rocks_iter_ops = {
    .seek = rocks_iter_seek,
    .next = rocks_iter_next,
    .free = rocks_iter_free,
};

static int rocks_iter_new(struct kv *kv, const void *prefix, size_t len, struct kv_iter **ret_iter)
{
    struct kv_rocks *k = CONTAINER_OF(kv, struct kv_rocks, kv);
    struct rocks_iter *i = MEM_NEW(struct rocks_iter);

    assert(len <= sizeof(i->end));
    i->it.ops = &rocks_iter_ops;
    i->k = k;
    i->options = rocksdb_readoptions_create();
    if (k->snapshot) {
        rocksdb_readoptions_set_snapshot(i->options, k->snapshot);
        rocksdb_readoptions_set_fill_cache(i->options, 0);
    }
    if (len > 0)
        memcpy(i->end, prefix, len);
    while (len > 0 && i->end[len - 1] == UINT8_MAX)
        len--;
    if (len > 0) {
        i->end[len - 1]++;
        rocksdb_readoptions_set_iterate_upper_bound(i->options, (const char *)i->end, len);
    }
    i->ri = rocksdb_create_iterator(k->db, i->options);
    *ret_iter = &i->it;
    return 0;
}

static void store_close(struct kv_rocks *k)
{
    if (k->db)
        rocksdb_close(k->db);
    rocksdb_writebatch_destroy(k->batch);
    rocksdb_readoptions_destroy(k->read_options);
    rocksdb_readoptions_destroy(k->persisted_options);
    rocksdb_writeoptions_destroy(k->write_options);
    rocksdb_options_destroy(k->options);
    rocksdb_cache_destroy(k->cache);
    free(k);
}

static void rocks_close(struct kv *kv)
{
    struct kv_rocks *k = CONTAINER_OF(kv, struct kv_rocks, kv);

    k->is_closed = true;
    if (k->view_count == 0)
        store_close(k);
}

static const struct kv_ops rocks_ops = {
    .get = rocks_get,
    .value_done = rocks_value_done,
    .write = rocks_write,
    .flush = rocks_flush,
    .checkpoint = rocks_checkpoint,
    .iter_new = rocks_iter_new,
    .close = rocks_close,
};

/* ---- a view ---- */

static int view_refuses_write(struct kv *kv, const struct kv_batch *b)
{
    (void)kv;
    (void)b;
    return -EROFS;
}

static int view_refuses_flush(struct kv *kv, bool wait)
{
    (void)kv;
    (void)wait;
    return -EROFS;
}

static int view_refuses_checkpoint(struct kv *kv, const char *dir)
{
    (void)kv;
    (void)dir;
    return -EROFS;
}

static void view_close(struct kv *kv)
{
    struct kv_rocks *v = CONTAINER_OF(kv, struct kv_rocks, kv), *of = v->of;

    rocksdb_release_snapshot(of->db, v->snapshot);
    rocksdb_readoptions_destroy(v->read_options);
    of->kv.is_damaged = of->kv.is_damaged || kv->is_damaged;
    free(v);
    if (--of->view_count == 0 && of->is_closed)
        store_close(of);
}

static const struct kv_ops view_ops = {
    .get = rocks_get,
    .value_done = rocks_value_done,
    .write = view_refuses_write,
    .flush = view_refuses_flush,
    .checkpoint = view_refuses_checkpoint,
    .iter_new = rocks_iter_new,
    .close = view_close,
};

int kv_rocks_view(struct kv *kv, struct kv **ret_view)
{
    struct kv_rocks *k = CONTAINER_OF(kv, struct kv_rocks, kv), *v = MEM_NEW(struct kv_rocks);

    v->kv.ops = &view_ops;
    v->of = k;
    v->db = k->db;
    v->snapshot = rocksdb_create_snapshot(k->db);
    v->read_options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_snapshot(v->read_options, v->snapshot);
    rocksdb_readoptions_set_fill_cache(v->read_options, 0);
    v->persisted_options = v->read_options;
    k->view_count++;
    *ret_view = &v->kv;
    return 0;
}

/* One thread reads: few shards, so that each is large beside what it holds. */
static rocksdb_cache_t *cache_new(uint64_t bytes)
{
    rocksdb_lru_cache_options_t *o = rocksdb_lru_cache_options_create();
    rocksdb_cache_t *cache;

    rocksdb_lru_cache_options_set_capacity(o, bytes);
    rocksdb_lru_cache_options_set_num_shard_bits(o, CACHE_SHARD_BITS);
    cache = rocksdb_cache_create_lru_opts(o);
    rocksdb_lru_cache_options_destroy(o);
    return cache;
}

/*
 * Index and filter live in the cache, so that it bounds them, and in partitions: the index of a
 * whole file is megabytes, and one that does not fit is read and unpacked again for every get.
 */
static void set_table_options(rocksdb_options_t *o, rocksdb_cache_t *cache)
{
    rocksdb_block_based_table_options_t *t = rocksdb_block_based_options_create();

    rocksdb_block_based_options_set_block_cache(t, cache);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(t, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(t, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(t, 1);
    rocksdb_block_based_options_set_index_type(
        t, rocksdb_block_based_table_index_type_two_level_index_search);
    rocksdb_block_based_options_set_partition_filters(t, 1);
    rocksdb_block_based_options_set_pin_top_level_index_and_filter(t, 1);
    /* Most lookups of a create are for names that are not there. */
    rocksdb_block_based_options_set_filter_policy(t, rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_block_based_options_set_whole_key_filtering(t, 1);
    rocksdb_block_based_options_set_format_version(t, 5);
    rocksdb_options_set_block_based_table_factory(o, t);
    rocksdb_block_based_options_destroy(t);
}

static rocksdb_options_t *options_new(const struct kv_rocks *k, bool must_exist)
{
    rocksdb_options_t *o = rocksdb_options_create();

    rocksdb_options_set_create_if_missing(o, !must_exist);
    rocksdb_options_set_paranoid_checks(o, 1);
    rocksdb_options_set_write_buffer_size(o, k->memtable_bytes);
    rocksdb_options_set_max_write_buffer_number(o, MEMTABLES_MAX);
    rocksdb_options_set_memtable_whole_key_filtering(o, 1);
    rocksdb_options_set_memtable_prefix_bloom_size_ratio(o, 0.02);
    rocksdb_options_set_compression(o, rocksdb_lz4_compression);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
    rocksdb_options_set_max_open_files(o, OPEN_FILES_MAX);
    rocksdb_options_set_max_background_jobs(o, 2);
    rocksdb_options_set_info_log_level(o, 2); /* warnings */
    rocksdb_options_set_keep_log_file_num(o, 2);
    rocksdb_options_set_stats_dump_period_sec(o, 0);
    set_table_options(o, k->cache);
    return o;
}

int kv_rocks_open(const char *dir, const struct kv_rocks_options *options, struct kv **ret_kv)
{
    struct kv_rocks *k = MEM_NEW(struct kv_rocks);
    CLEANUP(kv) struct kv *kv = &k->kv;
    char *err = NULL;

    k->kv.ops = &rocks_ops;
    k->cache_bytes = options && options->cache_bytes ? options->cache_bytes : 256 * MIB;
    k->memtable_bytes = options && options->memtable_bytes ? options->memtable_bytes : 64 * MIB;
    k->cache = cache_new(k->cache_bytes);
    k->options = options_new(k, options && options->must_exist);
    k->batch = rocksdb_writebatch_create();
    k->read_options = rocksdb_readoptions_create();
    k->persisted_options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_read_tier(k->persisted_options, READ_TIER_PERSISTED);
    k->write_options = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(k->write_options, 1);

    k->db = rocksdb_open(k->options, dir, &err);
    if (err && is_corruption(err) && kv_manifest_cut(dir) > 0) {
        rocksdb_free(STEAL(err));
        k->db = rocksdb_open(k->options, dir, &err);
    }
    if (err)
        return failed_take(k, "open", err);
    *ret_kv = STEAL(kv);
    return 0;
}

static uint64_t property(const struct kv_rocks *k, const char *name)
{
    uint64_t v = 0;

    return rocksdb_property_int(k->db, name, &v) == 0 ? v : 0;
}

void kv_rocks_usage(struct kv *kv, struct kv_rocks_usage *ret_usage)
{
    const struct kv_rocks *k = CONTAINER_OF(kv, struct kv_rocks, kv);

    *ret_usage = (struct kv_rocks_usage){
        .cache = rocksdb_cache_get_usage(k->cache),
        .cache_max = k->cache_bytes,
        .cache_pinned = rocksdb_cache_get_pinned_usage(k->cache),
        .memtables = property(k, "rocksdb.cur-size-all-mem-tables"),
        .memtables_max = MEMTABLES_MAX * k->memtable_bytes,
        .table_readers = property(k, "rocksdb.estimate-table-readers-mem"),
        .tables = property(k, "rocksdb.total-sst-files-size"),
        .is_busy = property(k, "rocksdb.mem-table-flush-pending") > 0 ||
                   property(k, "rocksdb.num-running-flushes") > 0 ||
                   property(k, "rocksdb.compaction-pending") > 0 ||
                   property(k, "rocksdb.num-running-compactions") > 0,
    };
}

/* ---- reading all of it ---- */

struct verifier {
    const struct kv_rocks_verify *how;
    rocksdb_t *db;
    rocksdb_readoptions_t *options;
    uint64_t begun_ns, bytes;
};

/*
 * Each table is opened with its index and its filter read, which no walk does, and few at a time, for
 * the sake of memory. This API sets that in words only.
 */
static rocksdb_options_t *verify_options_new(bool direct)
{
    static const char tables[] =
        "block_based_table_factory={block_cache=8M;cache_index_and_filter_blocks=true;"
        "filter_policy=bloomfilter:10:false;"
        "metadata_cache_options={partition_pinning=kAll;top_level_index_pinning=kAll;"
        "unpartitioned_pinning=kAll}}";
    rocksdb_options_t *plain = rocksdb_options_create(), *o = rocksdb_options_create();
    char *err = NULL;

    rocksdb_options_set_paranoid_checks(plain, 1);
    rocksdb_options_set_max_open_files(plain, VERIFY_TABLES_OPEN);
    rocksdb_options_set_table_cache_numshardbits(plain, 0);
    rocksdb_options_set_max_sequential_skip_in_iterations(plain, UINT64_MAX);
    rocksdb_options_set_use_direct_reads(plain, direct);
    rocksdb_options_set_info_log_level(plain, 4); /* fatal */
    rocksdb_get_options_from_string(plain, tables, o, &err);
    assert(!err && "our own words");
    rocksdb_options_destroy(plain);
    return o;
}

/* 0, when the pace allows to go on. */
static int verify_pace(struct verifier *v)
{
    const struct kv_rocks_verify *how = v->how;
    uint64_t due_ns;

    if (how->rate_bytes == 0)
        return how->stop && atomic_load(how->stop) ? -ECANCELED : 0;
    due_ns = v->begun_ns + v->bytes / how->rate_bytes * CLOCK_NS_PER_S +
             v->bytes % how->rate_bytes * CLOCK_NS_PER_S / how->rate_bytes;
    while (!how->stop || !atomic_load(how->stop)) {
        if (clock_monotonic_ns(clock_system()) >= due_ns)
            return 0;
        clock_sleep_ms(10);
    }
    return -ECANCELED;
}

/* Whatever a walk would pass over in silence at the beginning of a table (rocks_iter_next()), a seek
 * to that place says. */
static int verify_beginnings(struct verifier *v, rocksdb_iterator_t *it)
{
    const rocksdb_livefiles_t *files = rocksdb_livefiles(v->db);
    int count = rocksdb_livefiles_count(files), r = 0;

    for (int i = 0; i < count && r == 0; i++) {
        char *err = NULL;
        size_t len;
        const char *key = rocksdb_livefiles_smallestkey(files, i, &len);

        rocksdb_iter_seek(it, key, len);
        rocksdb_iter_get_error(it, &err);
        r = err ? error_take("verify", err) : verify_pace(v);
    }
    rocksdb_livefiles_destroy(files);
    return r;
}

static int verify_rest(struct verifier *v, rocksdb_iterator_t *it)
{
    uint64_t looked = 0;
    char *err = NULL;

    for (rocksdb_iter_seek_to_first(it); rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
        size_t key_len, value_len;
        int r;

        (void)rocksdb_iter_key(it, &key_len);
        (void)rocksdb_iter_value(it, &value_len);
        v->bytes += key_len + value_len;
        if (v->bytes - looked < VERIFY_STEP)
            continue;
        looked = v->bytes;
        r = verify_pace(v);
        if (r < 0)
            return r;
    }
    rocksdb_iter_get_error(it, &err);
    return err ? error_take("verify", err) : 0;
}

static int verify_all(struct verifier *v)
{
    rocksdb_iterator_t *it = rocksdb_create_iterator(v->db, v->options);
    int r = verify_beginnings(v, it);

    if (r == 0)
        r = verify_rest(v, it);
    rocksdb_iter_destroy(it);
    return r;
}

static bool can_direct(const char *dir)
{
    char path[PATH_SIZE];
    int fd;

    if ((size_t)snprintf(path, sizeof(path), "%s/CURRENT", dir) >= sizeof(path))
        return false;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

/* What RocksDB writes when it opens a store, also to read it: of no use to whom this one is sent. */
static int remove_log(void *ctx, const char *name, bool is_dir)
{
    char path[PATH_SIZE];

    if (is_dir || strncmp(name, "LOG", 3) != 0)
        return 0;
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", (const char *)ctx, name) >= sizeof(path))
        return -ENAMETOOLONG;
    return vfs_unlink(vfs_posix(), path);
}

int kv_rocks_verify(const char *dir, const struct kv_rocks_verify *how)
{
    rocksdb_options_t *o = verify_options_new(how->from_disk && can_direct(dir));
    struct verifier v = {.how = how, .begun_ns = clock_monotonic_ns(clock_system())};
    char *err = NULL, *path = mem_strdup(dir);
    int r;

    v.db = rocksdb_open_for_read_only(o, dir, 0, &err);
    rocksdb_options_destroy(o);
    if (err) {
        r = error_take("verify", err);
    } else {
        v.options = rocksdb_readoptions_create();
        rocksdb_readoptions_set_verify_checksums(v.options, 1);
        rocksdb_readoptions_set_fill_cache(v.options, 0);
        r = verify_all(&v);
        rocksdb_readoptions_destroy(v.options);
        rocksdb_close(v.db);
    }
    (void)vfs_list(vfs_posix(), dir, remove_log, path);
    free(path);
    return r;
}
