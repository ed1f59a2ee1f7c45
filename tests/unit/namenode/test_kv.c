/* The contract of kv.h, kept by both stores; and what RocksDB is trusted to do without its log. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <rocksdb/c.h>

#include "common/compiler.h"
#include "namenode/kv.h"
#include "namenode/kv_mem.h"
#include "namenode/kv_rocks.h"

struct fx {
    bool on_rocks;
    char dir[64], path[128];
    struct kv *kv;
    struct kv_batch batch;
};

static const struct kv_rocks_options small_store = {.cache_bytes = 8 << 20,
                                                    .memtable_bytes = 4 << 20};

static int setup(void **state, bool on_rocks)
{
    struct fx *f = calloc(1, sizeof(*f));

    f->on_rocks = on_rocks;
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/dfs-kv-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof(f->path), "%s/kv", f->dir);
    assert_int_equal(on_rocks ? kv_rocks_open(f->path, &small_store, &f->kv) : kv_mem_new(&f->kv),
                     0);
    kv_batch_init(&f->batch);
    *state = f;
    return 0;
}

static int setup_mem(void **state)
{
    return setup(state, false);
}

static int setup_rocks(void **state)
{
    return setup(state, true);
}

static int teardown(void **state)
{
    struct fx *f = *state;
    char command[128];

    kv_batch_done(&f->batch);
    kv_close(f->kv);
    (void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
    (void)!system(command);
    free(f);
    return 0;
}

static void put(struct kv *kv, const char *key, const char *value)
{
    struct kv_batch b;

    kv_batch_init(&b);
    (void)kv_batch_put(&b, key, strlen(key), value, strlen(value));
    assert_int_equal(kv_write(kv, &b), 0);
    kv_batch_done(&b);
}

/* NULL when it is not there; static. */
static const char *get_from(struct kv *kv, const char *key, bool persisted)
{
    static char text[64];
    struct kv_value v;
    int r =
        persisted ? kv_get_persisted(kv, key, strlen(key), &v) : kv_get(kv, key, strlen(key), &v);

    if (r == -ENOENT)
        return NULL;
    assert_int_equal(r, 0);
    assert_true(v.len < sizeof(text));
    memcpy(text, v.data, v.len);
    text[v.len] = '\0';
    kv_value_done(kv, &v);
    return text;
}

static void batch_puts_and_deletes_in_order(void **state)
{
    struct fx *f = *state;

    put(f->kv, "old", "1");
    (void)kv_batch_put(&f->batch, "a", 1, "1", 1);
    (void)kv_batch_put(&f->batch, "a", 1, "two", 3);
    (void)kv_batch_put(&f->batch, "b", 1, "x", 1);
    kv_batch_delete(&f->batch, "b", 1);
    kv_batch_delete(&f->batch, "old", 3);
    kv_batch_delete(&f->batch, "never", 5);
    (void)kv_batch_put(&f->batch, "empty", 5, "", 0);
    assert_int_equal(kv_write(f->kv, &f->batch), 0);
    assert_string_equal(get_from(f->kv, "a", false), "two");
    assert_null(get_from(f->kv, "b", false));
    assert_null(get_from(f->kv, "old", false));
    assert_string_equal(get_from(f->kv, "empty", false), "");
}

static void iterator_walks_in_byte_order(void **state)
{
    struct fx *f = *state;
    const char *expected[] = {"a", "ab", "b", "\xff"};
    struct kv_iter *it;

    for (unsigned i = 4; i > 0; i--)
        put(f->kv, expected[i - 1], "v");
    assert_int_equal(kv_iter_new(f->kv, "", 0, &it), 0);
    assert_int_equal(kv_iter_seek(it, "", 0), 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(it->valid);
        assert_int_equal(it->key_len, strlen(expected[i]));
        assert_memory_equal(it->key, expected[i], it->key_len);
        assert_int_equal(kv_iter_next(it), 0);
    }
    assert_false(it->valid);
    assert_int_equal(kv_iter_seek(it, "aa", 2), 0);
    assert_memory_equal(it->key, "ab", 2);
    kv_iter_free(it);
}

static void iterator_ends_with_its_prefix(void **state)
{
    struct fx *f = *state;
    const char *keys[] = {"a", "b", "b\xff", "b\xff\xff", "b\xff\xffz", "c", "\xff", "\xff\xff"};
    const struct {
        const char *prefix;
        unsigned first, count;
    } cases[] = {{"b", 1, 4}, {"b\xff", 2, 3}, {"b\xff\xff", 3, 2}, {"c", 5, 1},
                 {"d", 0, 0}, {"\xff", 6, 2},  {"\xff\xff", 7, 1},  {"", 0, 8}};

    for (unsigned i = 0; i < ARRAY_COUNT(keys); i++)
        put(f->kv, keys[i], "v");
    for (unsigned c = 0; c < ARRAY_COUNT(cases); c++) {
        const char *prefix = cases[c].prefix;
        struct kv_iter *it;

        assert_int_equal(kv_iter_new(f->kv, prefix, strlen(prefix), &it), 0);
        assert_int_equal(kv_iter_seek(it, prefix, strlen(prefix)), 0);
        for (unsigned i = 0; i < cases[c].count; i++) {
            const char *want = keys[cases[c].first + i];

            assert_true(it->valid);
            assert_int_equal(it->key_len, strlen(want));
            assert_memory_equal(it->key, want, it->key_len);
            assert_int_equal(kv_iter_next(it), 0);
        }
        assert_false(it->valid);
        kv_iter_free(it);
    }
}

/* Behind the placement groups lie the answers kept for sessions, of which those of millions of
 * operations have been removed: a walk over the groups took a new leader seconds, too long for the
 * others to go on believing in it. */
static void iterator_does_not_walk_what_was_removed_behind_its_prefix(void **state)
{
    struct fx *f = *state;
    rocksdb_perfcontext_t *perf;
    struct kv_iter *it;
    char key[16];

    put(f->kv, "P1", "v");
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof(key), "R%04u", i);
        put(f->kv, key, "v");
        kv_batch_clear(&f->batch);
        kv_batch_delete(&f->batch, key, strlen(key));
        assert_int_equal(kv_write(f->kv, &f->batch), 0);
    }
    assert_int_equal(kv_flush(f->kv, true), 0);
    rocksdb_set_perf_level(rocksdb_enable_count);
    perf = rocksdb_perfcontext_create();
    rocksdb_perfcontext_reset(perf);
    assert_int_equal(kv_iter_new(f->kv, "P", 1, &it), 0);
    assert_int_equal(kv_iter_seek(it, "P", 1), 0);
    assert_true(it->valid);
    assert_int_equal(kv_iter_next(it), 0);
    assert_false(it->valid);
    kv_iter_free(it);
    assert_int_equal(rocksdb_perfcontext_metric(perf, rocksdb_internal_delete_skipped_count), 0);
    rocksdb_perfcontext_destroy(perf);
    rocksdb_set_perf_level(rocksdb_disable);
}

/* Question 12.5: the persisted tier answers the flushed value of a key that is also in the
 * memtable. */
static void persisted_read_skips_what_is_not_flushed(void **state)
{
    struct fx *f = *state;

    assert_null(get_from(f->kv, "k", true));
    put(f->kv, "k", "1");
    assert_null(get_from(f->kv, "k", true));
    assert_int_equal(kv_flush(f->kv, true), 0);
    put(f->kv, "k", "2");
    put(f->kv, "other", "x");
    assert_string_equal(get_from(f->kv, "k", true), "1");
    assert_string_equal(get_from(f->kv, "k", false), "2");
    assert_null(get_from(f->kv, "other", true));
    assert_int_equal(kv_flush(f->kv, true), 0);
    assert_string_equal(get_from(f->kv, "k", true), "2");
}

static struct kv *open_checkpoint(struct fx *f, const char *dir)
{
    struct kv *kv;

    assert_int_equal(f->on_rocks ? kv_rocks_open(dir, &small_store, &kv) : kv_mem_open(dir, &kv),
                     0);
    return kv;
}

static void checkpoint_holds_all_that_was_written(void **state)
{
    struct fx *f = *state;
    struct kv *copy;
    char dir[128];

    put(f->kv, "flushed", "1");
    assert_int_equal(kv_flush(f->kv, true), 0);
    put(f->kv, "in memory", "2");
    (void)snprintf(dir, sizeof(dir), "%s/copy", f->dir);
    assert_int_equal(kv_checkpoint(f->kv, dir), 0);
    put(f->kv, "later", "3");
    copy = open_checkpoint(f, dir);
    assert_string_equal(get_from(copy, "flushed", false), "1");
    assert_string_equal(get_from(copy, "in memory", false), "2");
    assert_null(get_from(copy, "later", false));
    put(copy, "own", "4");
    assert_null(get_from(f->kv, "own", false));
    kv_close(copy);
    assert_true(kv_checkpoint(f->kv, dir) < 0); /* It exists. */
}

static void memory_forgets_in_a_crash_what_was_not_flushed(void **state)
{
    struct fx *f = *state;

    put(f->kv, "a", "1");
    assert_int_equal(kv_flush(f->kv, true), 0);
    put(f->kv, "a", "2");
    put(f->kv, "b", "2");
    kv_mem_crash(f->kv);
    assert_string_equal(get_from(f->kv, "a", false), "1");
    assert_null(get_from(f->kv, "b", false));
}

static void memory_refuses_a_damaged_checkpoint(void **state)
{
    struct fx *f = *state;
    char dir[96], path[128];
    struct kv *copy = NULL;
    FILE *file;

    put(f->kv, "a", "1");
    (void)snprintf(dir, sizeof(dir), "%s/copy", f->dir);
    assert_int_equal(kv_checkpoint(f->kv, dir), 0);
    (void)snprintf(path, sizeof(path), "%s/kv", dir);
    file = fopen(path, "r+");
    assert_int_equal(fseek(file, 10, SEEK_SET), 0);
    assert_int_equal(fputc('x', file), 'x');
    assert_int_equal(fclose(file), 0);
    assert_int_equal(kv_mem_open(dir, &copy), -EBADMSG);
    assert_int_equal(kv_mem_open("/nonexistent", &copy), -ENOENT);
}

static void rocksdb_is_opened_by_one_at_a_time(void **state)
{
    struct fx *f = *state;
    struct kv_rocks_options must_exist = {.must_exist = true};
    struct kv *other;
    char path[128];

    assert_int_equal(kv_rocks_open(f->path, NULL, &other), -EBUSY);
    (void)snprintf(path, sizeof(path), "%s/none", f->dir);
    assert_int_equal(kv_rocks_open(path, &must_exist, &other), -ENOENT);
}

static void rocksdb_says_when_its_files_are_damaged(void **state)
{
    struct fx *f = *state;
    char command[256];
    struct kv *other;

    put(f->kv, "a", "1");
    assert_int_equal(kv_flush(f->kv, true), 0);
    kv_close(f->kv);
    f->kv = NULL;
    (void)snprintf(command, sizeof(command), "for m in %s/MANIFEST-*; do printf x > $m; done",
                   f->path);
    assert_int_equal(system(command), 0);
    assert_int_equal(kv_rocks_open(f->path, NULL, &other), -EBADMSG);
}

/* ---- rot and torn writes in RocksDB's files ---- */

enum { STATES = 3 };

/* State n: key "a" and "index" hold n, and n keys are there; each state is flushed. */
static void make_states(struct fx *f)
{
    for (unsigned n = 1; n <= STATES; n++) {
        char key[16], value[16];

        (void)snprintf(key, sizeof(key), "key%u", n);
        (void)snprintf(value, sizeof(value), "%u", n);
        (void)kv_batch_put(&f->batch, "a", 1, value, 1);
        (void)kv_batch_put(&f->batch, "index", 5, value, 1);
        (void)kv_batch_put(&f->batch, key, strlen(key), value, 1);
        assert_int_equal(kv_write(f->kv, &f->batch), 0);
        kv_batch_clear(&f->batch);
        assert_int_equal(kv_flush(f->kv, true), 0);
    }
    kv_close(f->kv);
    f->kv = NULL;
}

/* The number of the state, all of which has to be there; -1: an error, told as such. */
static int state_of(const char *path)
{
    static const struct kv_rocks_options must_exist = {
        .cache_bytes = 1 << 20, .memtable_bytes = 1 << 20, .must_exist = true};
    struct kv *kv = NULL;
    struct kv_iter *it = NULL;
    int n = 0, count = 0, r = kv_rocks_open(path, &must_exist, &kv);

    if (r < 0) {
        assert_true(r == -EBADMSG || r == -ENOENT || r == -EIO);
        return -1;
    }
    assert_int_equal(kv_iter_new(kv, "", 0, &it), 0);
    for (r = kv_iter_seek(it, "", 0); r == 0 && it->valid; r = kv_iter_next(it)) {
        int value = it->value[0] - '0';

        assert_int_equal(it->value_len, 1);
        if (memcmp(it->key, "key", 3) == 0)
            assert_int_equal(value, it->key[3] - '0');
        else
            n = count == 0 ? value : n;
        if (memcmp(it->key, "index", 5) == 0)
            assert_int_equal(value, n);
        count++;
    }
    kv_iter_free(it);
    if (r < 0)
        assert_true(kv_is_damaged(kv));
    else
        assert_int_equal(count, n == 0 ? 0 : n + 2);
    kv_close(kv);
    return r < 0 ? -1 : n;
}

#define RUN(...)                                                                                   \
    do {                                                                                           \
        char command_[512];                                                                        \
        (void)snprintf(command_, sizeof(command_), __VA_ARGS__);                                   \
        assert_int_equal(system(command_), 0);                                                     \
    } while (0)

static void change_file(const char *path, long offset, const void *bytes, size_t len)
{
    FILE *file = fopen(path, "r+");

    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

/* An append to the MANIFEST was not synced when the power failed: its end did not arrive. */
static void a_torn_manifest_is_cut(void **state)
{
    /* CRC, 1200 bytes, of them some, and zeros. */
    static const uint8_t torn[7 + 1200] = {0x12, 0x34, 0x56, 0x78, 0xb0, 0x04, 1, 3, 7, 9};
    struct fx *f = *state;
    char manifest[192];
    struct stat st;
    FILE *names;

    make_states(f);
    RUN("ls %s/MANIFEST-* >%s/names", f->path, f->dir);
    (void)snprintf(manifest, sizeof(manifest), "%s/names", f->dir);
    names = fopen(manifest, "r");
    assert_non_null(names);
    assert_int_equal(fscanf(names, "%191s", manifest), 1);
    assert_int_equal(fclose(names), 0);
    assert_int_equal(stat(manifest, &st), 0);
    change_file(manifest, st.st_size, torn, sizeof(torn));
    assert_int_equal(state_of(f->path), STATES);
    assert_int_equal(state_of(f->path), STATES);
    (void)snprintf(manifest, sizeof(manifest), "%s/TORN", f->path);
    assert_int_equal(access(manifest, F_OK), 0); /* as it was */
}

struct flips {
    unsigned done, same, older, told;
};

static void flip_each(struct fx *f, const char *name, long step, struct flips *flips)
{
    static uint8_t good[64 << 10];
    char path[512];
    size_t len;
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", f->path, name);
    file = fopen(path, "r");
    assert_non_null(file);
    len = fread(good, 1, sizeof(good), file);
    assert_int_equal(fclose(file), 0);
    for (long at = step / 2; at < (long)len; at += step) {
        uint8_t bad = (uint8_t)(good[at] ^ 1U << (at * 5 + 1) % 8);
        int n;

        RUN("rm -rf %s/flip && mkdir %s/flip", f->dir, f->dir);
        RUN("cp %s/* %s/flip", f->path, f->dir);
        (void)snprintf(path, sizeof(path), "%s/flip/%s", f->dir, name);
        change_file(path, at, &bad, 1);
        (void)snprintf(path, sizeof(path), "%s/flip", f->dir);
        n = state_of(path);
        flips->done++;
        flips->same += n == STATES;
        flips->older += n >= 0 && n < STATES;
        flips->told += n < 0;
    }
}

/*
 * A flipped bit in any file of the store: an error, or the whole of a state. Only the MANIFEST may
 * give an older one; its index says so, and the log makes up for it. DFS_ALL_BITS=1: in each byte.
 */
static void rot_is_never_wrong_content(void **state)
{
    struct fx *f = *state;
    bool all = getenv("DFS_ALL_BITS") != NULL;
    char name[192];
    FILE *names;

    make_states(f);
    RUN("ls %s | grep -v LOCK >%s/names", f->path, f->dir);
    (void)snprintf(name, sizeof(name), "%s/names", f->dir);
    names = fopen(name, "r");
    assert_non_null(names);
    while (fscanf(names, "%191s", name) == 1) {
        struct flips flips = {0};
        bool is_data = strstr(name, ".sst") || strstr(name, "MANIFEST");

        flip_each(f, name, all ? 1 : is_data ? 149 : 997, &flips);
        print_message("# %-18s %5u flips: %5u without effect, %4u older, %5u told\n", name,
                      flips.done, flips.same, flips.older, flips.told);
        assert_true(flips.older == 0 || strstr(name, "MANIFEST"));
    }
    assert_int_equal(fclose(names), 0);
}

/* ---- many tables, and one of them damaged ---- */

enum { TABLE_KEYS = 3000, TABLE_ROUNDS = 6 };

/* A store of several tables, which none of ours is while it is small. */
static void make_tables(struct fx *f)
{
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_block_based_table_options_t *t = rocksdb_block_based_options_create();
    rocksdb_writeoptions_t *w = rocksdb_writeoptions_create();
    rocksdb_flushoptions_t *flush = rocksdb_flushoptions_create();
    char *err = NULL, key[40], value[40];
    rocksdb_t *db;

    kv_close(f->kv);
    f->kv = NULL;
    rocksdb_block_based_options_set_index_type(
        t, rocksdb_block_based_table_index_type_two_level_index_search);
    rocksdb_block_based_options_set_partition_filters(t, 1);
    rocksdb_block_based_options_set_metadata_block_size(t, 512);
    rocksdb_block_based_options_set_filter_policy(t, rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_block_based_options_set_format_version(t, 5);
    rocksdb_options_set_block_based_table_factory(o, t);
    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_target_file_size_base(o, 64 << 10);
    rocksdb_options_set_compression(o, rocksdb_lz4_compression);
    rocksdb_writeoptions_disable_WAL(w, 1);
    db = rocksdb_open(o, f->path, &err);
    assert_null(err);
    for (unsigned i = 0; i < TABLE_KEYS * TABLE_ROUNDS; i++) {
        int key_len = snprintf(key, sizeof(key), "key-%06u", i * 7919 % 100000);
        int value_len = snprintf(value, sizeof(value), "of %u: %u", i, i * i);

        rocksdb_put(db, w, key, (size_t)key_len, value, (size_t)value_len, &err);
        if (i % TABLE_KEYS == TABLE_KEYS - 1)
            rocksdb_flush(db, flush, &err);
        assert_null(err);
    }
    rocksdb_compact_range(db, NULL, 0, NULL, 0);
    rocksdb_close(db);
    rocksdb_writeoptions_destroy(w);
    rocksdb_flushoptions_destroy(flush);
    rocksdb_block_based_options_destroy(t);
    rocksdb_options_destroy(o);
}

/* How many entries a walk finds, or its error. */
static int walk(struct fx *f)
{
    struct kv *kv;
    struct kv_iter *it;
    int r, count = 0;

    r = kv_rocks_open(f->path, &small_store, &kv);
    if (r < 0)
        return r;
    assert_int_equal(kv_iter_new(kv, NULL, 0, &it), 0);
    for (r = kv_iter_seek(it, "", 0); r == 0 && it->valid; r = kv_iter_next(it))
        count++;
    kv_iter_free(it);
    kv_close(kv);
    return r < 0 ? r : count;
}

static bool has_log(struct fx *f)
{
    char path[160];

    (void)snprintf(path, sizeof(path), "%s/LOG", f->path);
    return access(path, F_OK) == 0;
}

/* What is checked of each of `step` places of each table, which has one bit flipped. */
static void flip_tables(struct fx *f, long step, void (*check)(struct fx *f))
{
    char name[192], path[400];
    unsigned tables = 0;
    FILE *names;

    RUN("ls %s | grep sst >%s/names", f->path, f->dir);
    (void)snprintf(name, sizeof(name), "%s/names", f->dir);
    names = fopen(name, "r");
    assert_non_null(names);
    for (; fscanf(names, "%191s", name) == 1; tables++) {
        struct stat st;
        FILE *file;

        (void)snprintf(path, sizeof(path), "%s/%s", f->path, name);
        assert_int_equal(stat(path, &st), 0);
        file = fopen(path, "r");
        assert_non_null(file);
        for (long at = 0; at < st.st_size; at += step) {
            uint8_t good, bad;

            assert_int_equal(fseek(file, at, SEEK_SET), 0);
            good = (uint8_t)fgetc(file);
            bad = good ^ 4;
            change_file(path, at, &bad, 1);
            check(f);
            change_file(path, at, &good, 1);
        }
        assert_int_equal(fclose(file), 0);
    }
    assert_int_equal(fclose(names), 0);
    assert_true(tables > 2);
}

static void check_walk(struct fx *f)
{
    int r = walk(f);

    assert_true(r == -EBADMSG || r == TABLE_KEYS * TABLE_ROUNDS);
}

/* RocksDB ended walks at a table that it could not open, or whose first block was damaged, as if there
 * was nothing behind: what is listed would lack names, and a directory would be empty that is not. */
static void a_walk_does_not_end_at_a_damaged_table(void **state)
{
    struct fx *f = *state;

    make_tables(f);
    assert_int_equal(walk(f), TABLE_KEYS * TABLE_ROUNDS);
    flip_tables(f, 3001, check_walk);
}

static int verify(struct fx *f, bool from_disk)
{
    struct kv_rocks_verify how = {.from_disk = from_disk};
    int r = kv_rocks_verify(f->path, &how);

    assert_false(has_log(f));
    return r;
}

static unsigned unseen;

static void check_verify(struct fx *f)
{
    int r = verify(f, false);

    assert_true(r == 0 || r == -EBADMSG);
    if (r < 0)
        return;
    unseen++;
    assert_int_equal(walk(f), TABLE_KEYS * TABLE_ROUNDS); /* Nobody misses what was damaged. */
    RUN("rm -f %s/LOG*", f->path);
}

/* Every block of every table, also of those that a walk does not read: indexes and filters. */
static void verifying_finds_damage_in_any_block(void **state)
{
    struct fx *f = *state;
    atomic_bool stop = true;
    struct kv_rocks_verify how = {.stop = &stop, .rate_bytes = 1};

    make_tables(f);
    RUN("rm -f %s/LOG*", f->path);
    assert_int_equal(verify(f, false), 0);
    assert_int_equal(verify(f, true), 0);
    assert_int_equal(kv_rocks_verify(f->path, &how), -ECANCELED);
    unseen = 0;
    flip_tables(f, 2003, check_verify);
    print_message("# unseen %u\n", unseen);
    assert_true(unseen < 10);
    RUN("rm %s/$(ls %s | grep sst | tail -n 1)", f->path, f->path);
    assert_int_equal(verify(f, false), -EBADMSG);
}

static void verifying_keeps_its_pace(void **state)
{
    struct kv_rocks_verify how = {.rate_bytes = 1 << 20};
    struct fx *f = *state;
    static char value[8192];
    struct timespec a, b;

    for (unsigned i = 0; i < 160; i++) {
        (void)kv_batch_put(&f->batch, &i, sizeof(i), value, sizeof(value));
        assert_int_equal(kv_write(f->kv, &f->batch), 0);
        kv_batch_clear(&f->batch);
    }
    assert_int_equal(kv_flush(f->kv, true), 0);
    kv_close(f->kv);
    f->kv = NULL;
    (void)clock_gettime(CLOCK_MONOTONIC, &a);
    assert_int_equal(kv_rocks_verify(f->path, &how), 0);
    (void)clock_gettime(CLOCK_MONOTONIC, &b);
    assert_true(b.tv_sec - a.tv_sec + (b.tv_nsec - a.tv_nsec) / 1e9 >= 0.9);
}

/* Writes numbered batches of two keys each and flushes now and then, until it is killed. */
static int write_until_killed(const char *path)
{
    struct kv_batch b;
    struct kv *kv;

    if (kv_rocks_open(path, &small_store, &kv) < 0)
        return 1;
    kv_batch_init(&b);
    for (uint64_t i = 1;; i++) {
        char key[32];
        int len = snprintf(key, sizeof(key), "key%06llu", (unsigned long long)i);

        kv_batch_clear(&b);
        (void)kv_batch_put(&b, key, (size_t)len, &i, sizeof(i));
        (void)kv_batch_put(&b, "index", 5, &i, sizeof(i));
        if (kv_write(kv, &b) < 0)
            return 2;
        if (i % 1000 != 0)
            continue;
        if (kv_flush(kv, true) < 0 || write(STDOUT_FILENO, &i, sizeof(i)) != sizeof(i))
            return 3;
    }
}

static uint64_t get_number(struct kv *kv, const char *key)
{
    struct kv_value v;
    uint64_t n;

    if (kv_get(kv, key, strlen(key), &v) < 0)
        return 0;
    assert_int_equal(v.len, sizeof(n));
    memcpy(&n, v.data, sizeof(n));
    kv_value_done(kv, &v);
    return n;
}

/*
 * Without its log, RocksDB must come back with a prefix of the batches: not less than the last
 * flush, and never the index ahead of its data. Everything above rests on this.
 */
static void kill_leaves_a_prefix_of_the_batches(void **state)
{
    struct fx *f = *state;

    for (unsigned round = 0; round < 3; round++) {
        uint64_t flushed = 0, index;
        int pipe_fds[2], status;
        char path[128];
        struct kv *kv;
        pid_t child;

        (void)snprintf(path, sizeof(path), "%s/killed%u", f->dir, round);
        assert_int_equal(pipe(pipe_fds), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) { /* A program of its own: RocksDB's threads do not survive a fork. */
            (void)dup2(pipe_fds[1], STDOUT_FILENO);
            (void)execl("/proc/self/exe", "test_kv", path, (char *)NULL);
            _exit(4);
        }
        for (unsigned i = 0; i < 3 + round; i++)
            assert_int_equal(read(pipe_fds[0], &flushed, sizeof(flushed)), sizeof(flushed));
        (void)usleep(1000 * round);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        (void)close(pipe_fds[0]);
        (void)close(pipe_fds[1]);

        assert_int_equal(kv_rocks_open(path, &small_store, &kv), 0);
        index = get_number(kv, "index");
        assert_true(index >= flushed);
        for (uint64_t i = 1; i <= index + 10; i++) {
            char key[32];

            (void)snprintf(key, sizeof(key), "key%06llu", (unsigned long long)i);
            assert_int_equal(get_number(kv, key), i <= index ? i : 0);
        }
        kv_close(kv);
    }
}

#define BOTH(test)                                                                                 \
    {#test " (memory)", test, setup_mem, teardown, NULL},                                          \
    {                                                                                              \
#test " (rocksdb)", test, setup_rocks, teardown, NULL                                      \
    }

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BOTH(batch_puts_and_deletes_in_order),
        BOTH(iterator_walks_in_byte_order),
        BOTH(iterator_ends_with_its_prefix),
        cmocka_unit_test_setup_teardown(iterator_does_not_walk_what_was_removed_behind_its_prefix,
                                        setup_rocks, teardown),
        BOTH(persisted_read_skips_what_is_not_flushed),
        BOTH(checkpoint_holds_all_that_was_written),
        cmocka_unit_test_setup_teardown(memory_forgets_in_a_crash_what_was_not_flushed, setup_mem,
                                        teardown),
        cmocka_unit_test_setup_teardown(memory_refuses_a_damaged_checkpoint, setup_mem, teardown),
        cmocka_unit_test_setup_teardown(rocksdb_is_opened_by_one_at_a_time, setup_rocks, teardown),
        cmocka_unit_test_setup_teardown(rocksdb_says_when_its_files_are_damaged, setup_rocks,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_torn_manifest_is_cut, setup_rocks, teardown),
        cmocka_unit_test_setup_teardown(rot_is_never_wrong_content, setup_rocks, teardown),
        cmocka_unit_test_setup_teardown(a_walk_does_not_end_at_a_damaged_table, setup_rocks,
                                        teardown),
        cmocka_unit_test_setup_teardown(verifying_finds_damage_in_any_block, setup_rocks, teardown),
        cmocka_unit_test_setup_teardown(verifying_keeps_its_pace, setup_rocks, teardown),
        cmocka_unit_test_setup_teardown(kill_leaves_a_prefix_of_the_batches, setup_mem, teardown),
    };

    if (argc == 2)
        return write_until_killed(argv[1]);
    return cmocka_run_group_tests_name("kv", tests, NULL, NULL);
}
