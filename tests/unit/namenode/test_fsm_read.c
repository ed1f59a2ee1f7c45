/* What is answered without the log. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/namenode/fsm_fixture.h"

static int readdir_from(struct fx *f, uint64_t ino, const char *after, uint32_t limit, bool attrs)
{
    REQ(READDIR, readdir, DFS__READDIR_OP__INIT);

    body.ino = ino;
    body.after = bytes_of(after);
    body.limit = limit;
    body.with_attrs = attrs;
    return fx_read(f, &req);
}

static void directory_is_read_in_name_order_and_pages(void **state)
{
    struct fx *f = *state;
    uint64_t d = fx_dir(f, ROOT, "d");
    char name[16], after[16] = "";
    unsigned seen = 0;

    for (unsigned i = 0; i < 25; i++) {
        (void)snprintf(name, sizeof(name), "n%02u", (i * 7) % 25);
        fx_file(f, d, name);
    }
    fx_dir(f, ROOT, "e"); /* A neighbour that must not show. */
    fx_file(f, 28, "other");
    do {
        assert_int_equal(readdir_from(f, d, after, 10, false), 0);
        for (size_t i = 0; i < f->reply->dir->n_entries; i++) {
            const Dfs__Dirent *e = f->reply->dir->entries[i];

            (void)snprintf(name, sizeof(name), "n%02u", seen++);
            assert_int_equal(e->name.len, 3);
            assert_memory_equal(e->name.data, name, 3);
            assert_int_equal(e->type, S_IFREG);
            assert_null(e->attr);
        }
        memcpy(after, name, sizeof(after));
    } while (!f->reply->dir->end);
    assert_int_equal(seen, 25);
    assert_int_equal(f->reply->dir->parent, ROOT);
    assert_int_equal(readdir_from(f, d, "n24", 10, false), 0);
    assert_int_equal(f->reply->dir->n_entries, 0);
    assert_true(f->reply->dir->end);
    /* From a name that is not there any more. */
    assert_int_equal(fx_unlink(f, d, "n10"), 0);
    assert_int_equal(readdir_from(f, d, "n10", 1, false), 0);
    assert_memory_equal(f->reply->dir->entries[0]->name.data, "n11", 3);
}

static void directory_is_read_with_attributes(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x");

    assert_int_equal(fx_write_inline(f, x, "12345"), 0);
    assert_int_equal(readdir_from(f, ROOT, "", 0, true), 0);
    assert_int_equal(f->reply->dir->n_entries, 1);
    assert_int_equal(f->reply->dir->entries[0]->attr->size, 5);
    assert_int_equal(f->reply->dir->entries[0]->attr->ino, x);
    assert_true(f->reply->dir->end);
}

/* Of a directory that was emptied the store still knows each name for a while. */
static void an_empty_directory_is_not_scanned(void **state)
{
    struct fx *f = *state;
    uint64_t d = fx_dir(f, ROOT, "d");

    fx_file(f, d, "a");
    fx_count_kv(f);
    assert_int_equal(readdir_from(f, d, "", 10, false), 0);
    assert_int_equal(fx_kv_counts().scans, 1);
    assert_int_equal(fx_unlink(f, d, "a"), 0);
    assert_int_equal(readdir_from(f, d, "", 10, false), 0);
    assert_int_equal(fx_kv_counts().scans, 1);
    assert_int_equal(f->reply->dir->n_entries, 0);
    assert_true(f->reply->dir->end);
    assert_true(f->reply->dir->dir_version > 0);
}

static void readdir_has_its_errors(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x"), d;

    assert_int_equal(fx_create(f, ROOT, "d", S_IFDIR | 0711), 0);
    d = f->reply->entry->attr->ino;
    assert_int_equal(readdir_from(f, x, "", 1, false), -ENOTDIR);
    assert_int_equal(readdir_from(f, 99, "", 1, false), -ESTALE);
    fx_as(f, 1, 1);
    assert_int_equal(readdir_from(f, d, "", 1, false), -EACCES);
    assert_int_equal(fx_lookup(f, d, "x"), -ENOENT);
}

static void removed_directory_reads_as_empty(void **state)
{
    struct fx *f = *state;
    uint64_t d = fx_dir(f, ROOT, "d");

    assert_int_equal(fx_rmdir(f, ROOT, "d"), 0);
    assert_int_equal(readdir_from(f, d, "", 0, true), 0);
    assert_int_equal(f->reply->dir->n_entries, 0);
    assert_true(f->reply->dir->end);
}

static void open_checks_what_it_is_opened_for(void **state)
{
    struct fx *f = *state;
    uint64_t x, s;

    assert_int_equal(fx_create(f, ROOT, "x", S_IFREG | 0444), 0);
    x = f->reply->entry->attr->ino;
    assert_int_equal(fx_symlink(f, ROOT, "s", "x"), 0);
    s = f->reply->entry->attr->ino;
    fx_as(f, 1, 1);
    assert_int_equal(fx_open(f, x, O_RDONLY), 0);
    assert_int_equal(fx_open(f, x, O_WRONLY), -EACCES);
    assert_int_equal(fx_open(f, x, O_RDWR), -EACCES);
    assert_int_equal(fx_open(f, x, O_RDONLY | O_TRUNC), -EACCES);
    assert_int_equal(fx_open(f, s, O_RDONLY), -ELOOP);
    assert_int_equal(fx_open(f, ROOT, O_RDONLY | O_DIRECTORY), 0);
    assert_int_equal(fx_open(f, ROOT, O_WRONLY), -EISDIR);
    assert_int_equal(fx_open(f, 99, O_RDONLY), -ESTALE);
    fx_as(f, 0, 0);
    assert_int_equal(fx_open(f, x, O_RDWR), 0);
}

static void open_brings_the_start_of_the_chunk_map(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x");

    fx_make_pgs(f, 1);
    assert_int_equal(fx_alloc(f, x, 0, 60, 1), 0);
    assert_int_equal(fx_alloc(f, x, 60, 60, 1), 0);
    assert_int_equal(fx_open(f, x, O_RDONLY), 0);
    assert_int_equal(f->reply->entry->n_chunks, FSM_OPEN_CHUNKS);
    assert_int_equal(f->reply->entry->chunks[63]->index, 63);
}

static void statfs_counts_inodes(void **state)
{
    struct fx *f = *state;
    struct fsm_space space = {.bytes_total = 100, .bytes_free = 50, .inodes_max = 1000};
    Dfs__MetaReply *reply;
    REQ(STATFS, statfs, DFS__STATFS_OP__INIT);

    fx_file(f, ROOT, "x");
    assert_int_equal(fsm_read(f->fsm, &req, &space, &reply), 0);
    assert_int_equal(reply->statfs->inodes_used, 2);
    assert_int_equal(reply->statfs->bytes_total, 100);
    assert_int_equal(reply->statfs->bytes_free, 50);
    assert_int_equal(reply->statfs->inodes_max, 1000);
}

static void a_change_is_no_read(void **state)
{
    struct fx *f = *state;
    REQ(UNLINK, unlink, DFS__UNLINK_OP__INIT);

    assert_int_equal(fx_read(f, &req), -EPROTO);
    req.op_case = DFS__META_REQUEST__OP__NOT_SET;
    assert_int_equal(fx_read(f, &req), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH_STORES(directory_is_read_in_name_order_and_pages),
        ON_BOTH_STORES(directory_is_read_with_attributes),
        ON_BOTH_STORES(an_empty_directory_is_not_scanned),
        ON_BOTH_STORES(readdir_has_its_errors),
        ON_BOTH_STORES(removed_directory_reads_as_empty),
        ON_BOTH_STORES(open_checks_what_it_is_opened_for),
        ON_BOTH_STORES(open_brings_the_start_of_the_chunk_map),
        ON_BOTH_STORES(statfs_counts_inodes),
        ON_BOTH_STORES(a_change_is_no_read),
    };

    return cmocka_run_group_tests_name("fsm_read", tests, NULL, NULL);
}
