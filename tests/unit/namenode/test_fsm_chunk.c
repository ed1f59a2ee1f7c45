/* Content: inline data, chunk map, truncate, commit, reaping and garbage. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "namenode/keys.h"
#include "tests/unit/namenode/fsm_fixture.h"

#define CHUNK ((uint64_t)CHUNK_SIZE)

static const Dfs__Attr *got(struct fx *f)
{
    return f->reply->entry->attr;
}

/* As a client that has written [0, end) of a chunked file. */
static int commit_chunks(struct fx *f, uint64_t ino, uint64_t end, uint32_t first, uint32_t count)
{
    uint32_t indexes[FSM_ALLOC_MAX];
    Dfs__CommitOp op = DFS__COMMIT_OP__INIT;

    for (uint32_t i = 0; i < count; i++)
        indexes[i] = first + i;
    op.ino = ino;
    op.end = end;
    op.mtime_ns = f->time_ns;
    op.materialized = indexes;
    op.n_materialized = count;
    return fx_commit(f, op);
}

static size_t layout(struct fx *f, uint64_t ino, uint32_t first, uint32_t count)
{
    REQ(LAYOUT, layout, DFS__LAYOUT_OP__INIT);

    body.ino = ino;
    body.first_index = first;
    body.count = count;
    assert_int_equal(fx_read(f, &req), 0);
    return f->reply->layout->n_chunks;
}

static size_t garbage(struct fx *f, uint32_t pg, uint64_t *ids, size_t max)
{
    size_t count;

    assert_int_equal(fsm_list_garbage(f->fsm, pg, 0, max, ids, &count), 0);
    return count;
}

static void inline_content_is_kept_whole(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x"), version = fx_attr(f, x)->data_version;
    REQ(OPEN, open, DFS__OPEN_OP__INIT);

    assert_int_equal(fx_write_inline(f, x, "hello world"), 0);
    assert_true(got(f)->is_inline);
    assert_int_equal(got(f)->size, 11);
    assert_true(got(f)->data_version > version);
    version = got(f)->data_version;
    assert_int_equal(fx_open(f, x, O_RDONLY), 0);
    assert_true(f->reply->entry->has_inline);
    assert_memory_equal(f->reply->entry->inline_data.data, "hello world", 11);
    body.ino = x;
    body.known_data_version = version;
    assert_int_equal(fx_read(f, &req), 0);
    assert_false(f->reply->entry->has_inline);
    /* Shorter content does not make the file shorter: that is a truncate's work. */
    assert_int_equal(fx_write_inline(f, x, "bye"), 0);
    assert_int_equal(got(f)->size, 11);
}

static void empty_file_is_not_inline(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x");

    assert_int_equal(fx_write_inline(f, x, ""), 0);
    assert_false(got(f)->is_inline);
    assert_int_equal(fx_write_inline(f, x, "abc"), 0);
    assert_int_equal(fx_truncate(f, x, 0), 0);
    assert_false(got(f)->is_inline);
    fx_check_tree(f);
}

static void inline_content_has_its_limit(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x");
    char text[4098];
    Dfs__CommitOp op = DFS__COMMIT_OP__INIT;

    memset(text, 't', sizeof(text));
    text[4097] = '\0';
    assert_int_equal(fx_write_inline(f, x, text), -EINVAL);
    text[4096] = '\0';
    assert_int_equal(fx_write_inline(f, x, text), 0);
    assert_int_equal(fx_truncate(f, x, 4097), -EAGAIN);
    op.ino = x;
    op.end = 4097;
    assert_int_equal(fx_commit(f, op), -EAGAIN);
    assert_int_equal(fx_truncate(f, x, 0), 0);
    assert_int_equal(fx_truncate(f, x, 5000), 0); /* Sparse, without content. */
    assert_int_equal(fx_write_inline(f, x, "a"), -EAGAIN);
}

static void inline_content_is_cut_for_good(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x");

    assert_int_equal(fx_write_inline(f, x, "0123456789"), 0);
    assert_int_equal(fx_truncate(f, x, 4), 0);
    assert_int_equal(fx_truncate(f, x, 8), 0);
    assert_int_equal(fx_open(f, x, O_RDONLY), 0);
    assert_int_equal(got(f)->size, 8);
    assert_int_equal(f->reply->entry->inline_data.len, 4); /* The rest reads as zeros. */
    assert_memory_equal(f->reply->entry->inline_data.data, "0123", 4);
}

static void inline_content_moves_into_chunks_in_one_step(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x");
    uint32_t index = 0;
    Dfs__CommitOp op = DFS__COMMIT_OP__INIT;

    fx_make_pgs(f, 1);
    assert_int_equal(fx_write_inline(f, x, "small"), 0);
    assert_int_equal(fx_alloc(f, x, 0, 1, 1), 0);
    op.ino = x;
    op.end = 10000;
    op.materialized = &index;
    op.n_materialized = 1;
    assert_int_equal(fx_commit(f, op), -EAGAIN);
    op.clear_inline = true;
    assert_int_equal(fx_commit(f, op), 0);
    assert_false(got(f)->is_inline);
    assert_int_equal(got(f)->size, 10000);
    assert_int_equal(fx_write_inline(f, x, "back"), -EAGAIN);
    fx_check_tree(f);
}

static void allocation_is_found_again_and_never_twice(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x"), first;
    struct chunk_owner_rec owner;
    struct fsm_pg_chunk listed[8];
    size_t count;

    fx_make_pgs(f, 2);
    assert_int_equal(fx_alloc(f, x, 254, 4, 2), 0); /* Over the end of a map page. */
    assert_int_equal(f->reply->layout->n_chunks, 4);
    first = f->reply->layout->chunks[0]->chunk_id;
    assert_int_equal(f->reply->layout->chunks[0]->index, 254);
    assert_int_equal(f->reply->layout->chunks[3]->index, 257);
    assert_int_equal(f->reply->layout->chunks[3]->pg, 2);
    assert_false(f->reply->layout->chunks[3]->materialized);
    assert_int_equal(fx_attr(f, x)->chunk_count, 4);
    assert_int_equal(fx_alloc(f, x, 253, 2, 1), 0);
    assert_int_equal(f->reply->layout->chunks[1]->chunk_id, first);
    assert_int_equal(f->reply->layout->chunks[1]->pg, 2);
    assert_int_equal(fx_attr(f, x)->chunk_count, 5);
    assert_int_equal(layout(f, x, 0, 1024), 5);
    assert_int_equal(layout(f, x, 255, 2), 2);
    assert_int_equal(f->reply->layout->chunks[0]->index, 255);
    assert_int_equal(fsm_chunk_owner(f->fsm, 2, first, &owner), 0);
    assert_int_equal(owner.ino, x);
    assert_int_equal(owner.index, 254);
    assert_int_equal(fsm_list_chunks(f->fsm, 2, 0, 8, listed, &count), 0);
    assert_int_equal(count, 4);
    assert_int_equal(listed[3].index, 257);
    assert_int_equal(fsm_state(f->fsm)->chunk_count, 5);
}

static void allocation_is_checked(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x"), d = fx_dir(f, ROOT, "d");

    fx_make_pgs(f, 1);
    assert_int_equal(fx_alloc(f, x, 0, 1, 9), -EINVAL);
    assert_int_equal(fx_alloc(f, x, 0, 0, 1), -EINVAL);
    assert_int_equal(fx_alloc(f, x, UINT32_MAX, 1, 1), -EFBIG);
    assert_int_equal(fx_alloc(f, d, 0, 1, 1), -EISDIR);
    assert_int_equal(fx_alloc(f, 999, 0, 1, 1), -ESTALE);
    assert_int_equal(fsm_state(f->fsm)->chunk_count, 0);
}

static void commit_raises_size_and_never_lowers_it(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x");

    fx_make_pgs(f, 1);
    assert_int_equal(fx_alloc(f, x, 0, 2, 1), 0);
    assert_int_equal(commit_chunks(f, x, CHUNK + 5, 0, 2), 0);
    assert_int_equal(got(f)->size, CHUNK + 5);
    assert_int_equal(got(f)->mtime_ns, f->time_ns - 1000);
    assert_int_equal(commit_chunks(f, x, 10, 0, 1), 0);
    assert_int_equal(got(f)->size, CHUNK + 5);
    assert_int_equal(layout(f, x, 0, 10), 2);
    assert_true(f->reply->layout->chunks[1]->materialized);
}

static void commit_without_times_leaves_them(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x");
    int64_t mtime = fx_attr(f, x)->mtime_ns;
    uint64_t version = got(f)->data_version;
    Dfs__CommitOp op = DFS__COMMIT_OP__INIT;

    op.ino = x;
    op.atime_ns = 77;
    assert_int_equal(fx_commit(f, op), 0);
    assert_int_equal(got(f)->atime_ns, 77);
    assert_int_equal(got(f)->mtime_ns, mtime);
    assert_int_equal(got(f)->ctime_ns, mtime);
    assert_int_equal(got(f)->data_version, version);
}

static void write_by_another_takes_setuid_away(void **state)
{
    struct fx *f = *state;
    Dfs__CommitOp op = DFS__COMMIT_OP__INIT;

    assert_int_equal(fx_create(f, ROOT, "x", S_IFREG | 06755), 0);
    op.ino = got(f)->ino;
    assert_int_equal(fx_setxattr(f, op.ino, "security.capability", "caps", 0), 0);
    op.kill_suid = true;
    fx_as(f, 1, 1);
    assert_int_equal(fx_commit(f, op), 0);
    assert_int_equal(got(f)->mode, S_IFREG | 0755);
    assert_false(got(f)->has_xattr);
    fx_check_tree(f);
}

/* The chunks beyond go to the garbage queue, the rest of the last one has to be zeroed first. */
static void truncate_inside_a_chunk_forbids_growth_until_done(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x"), kept, ids[8];
    Dfs__TruncDoneOp done = DFS__TRUNC_DONE_OP__INIT;

    fx_make_pgs(f, 1);
    assert_int_equal(fx_alloc(f, x, 0, 4, 1), 0);
    kept = f->reply->layout->chunks[1]->chunk_id;
    assert_int_equal(commit_chunks(f, x, 4 * CHUNK, 0, 4), 0);
    assert_int_equal(fx_truncate(f, x, CHUNK + 100), 0);
    assert_non_null(got(f)->trunc_pending);
    assert_int_equal(got(f)->trunc_pending->chunk_id, kept);
    assert_int_equal(got(f)->trunc_pending->pg, 1);
    assert_int_equal(got(f)->trunc_pending->from, 100);
    assert_int_equal(got(f)->chunk_count, 2);
    assert_int_equal(f->events[0].kind, FSM_EVENT_GARBAGE);
    assert_int_equal(f->event_count, 1);
    assert_int_equal(garbage(f, 1, ids, 8), 2);
    assert_int_equal(fsm_is_garbage(f->fsm, 1, ids[0]), 1);
    assert_int_equal(fsm_is_garbage(f->fsm, 1, kept), 0);
    assert_int_equal(fsm_state(f->fsm)->garbage_count, 2);

    assert_int_equal(fx_truncate(f, x, CHUNK + 101), -EAGAIN);
    assert_int_equal(commit_chunks(f, x, CHUNK + 101, 1, 1), -EAGAIN);
    assert_int_equal(commit_chunks(f, x, CHUNK + 100, 1, 1), 0);

    assert_int_equal(fx_truncate(f, x, CHUNK + 50), 0);
    assert_int_equal(got(f)->trunc_pending->from, 50);
    done.ino = x;
    done.chunk_id = kept;
    done.from = 100;
    {
        REQ(TRUNC_DONE, trunc_done, done);
        assert_int_equal(fx_apply(f, &req), -EAGAIN);
        body.from = 50;
        req.cred = NULL;
        assert_int_equal(fx_apply(f, &req), 0);
        assert_null(got(f)->trunc_pending);
        assert_int_equal(fx_apply(f, &req), 0); /* Again: nothing is pending. */
    }
    assert_int_equal(fx_truncate(f, x, 10 * CHUNK), 0);
}

/* ---- marks of truncations ---- */

/* Whoever has seen the mark, and zeroed its tail. */
static int trunc_done(struct fx *f, const Dfs__ChunkTail *mark, uint64_t ino)
{
    REQ(TRUNC_DONE, trunc_done, DFS__TRUNC_DONE_OP__INIT);

    body.ino = ino;
    body.chunk_id = mark->chunk_id;
    body.from = mark->from;
    body.version = mark->version;
    assert_true(fsm_format_of(&req) <= fsm_state(f->fsm)->format);
    return fx_apply(f, &req);
}

static Dfs__ChunkTail cut(struct fx *f, uint64_t ino, uint64_t size)
{
    assert_int_equal(fx_truncate(f, ino, size), 0);
    assert_non_null(got(f)->trunc_pending);
    return *got(f)->trunc_pending;
}

static uint64_t file_of_two_chunks(struct fx *f)
{
    uint64_t x = fx_file(f, ROOT, "x");

    fx_make_pgs(f, 1);
    assert_int_equal(fx_alloc(f, x, 0, 2, 1), 0);
    assert_int_equal(commit_chunks(f, x, 2 * CHUNK, 0, 2), 0);
    return x;
}

/* Two clients have seen one mark; when the second says that it is done, the file has grown and been cut
 * at the same byte again. What was written between has not been zeroed. */
static void late_trunc_done_leaves_the_next_mark(void **state)
{
    struct fx *f = *state;
    uint64_t x = file_of_two_chunks(f);
    Dfs__ChunkTail first = cut(f, x, CHUNK + 100), second;

    assert_int_equal(trunc_done(f, &first, x), 0);
    assert_null(got(f)->trunc_pending);
    assert_int_equal(commit_chunks(f, x, CHUNK + 500, 1, 1), 0);
    second = cut(f, x, CHUNK + 100);
    assert_int_equal(second.chunk_id, first.chunk_id);
    assert_int_equal(second.from, first.from);
    assert_int_equal(trunc_done(f, &first, x), 0); /* Its truncation is over. */
    assert_non_null(got(f)->trunc_pending);
    assert_true(got(f)->trunc_pending->version == second.version);
    fx_reopen(f);
    assert_int_equal(fx_truncate(f, x, CHUNK + 101), -EAGAIN);
    assert_int_equal(commit_chunks(f, x, CHUNK + 101, 1, 1), -EAGAIN);
    assert_int_equal(trunc_done(f, &second, x), 0);
    assert_null(got(f)->trunc_pending);
    assert_int_equal(fx_truncate(f, x, CHUNK + 101), 0);
}

/* Also of one that was cut further: to the client of the first its truncation is over. */
static void trunc_done_of_a_point_that_moved_is_no_error(void **state)
{
    struct fx *f = *state;
    uint64_t x = file_of_two_chunks(f);
    Dfs__ChunkTail first = cut(f, x, CHUNK + 100), second = cut(f, x, CHUNK + 50);

    assert_true(second.version > first.version && first.version > 0);
    assert_int_equal(trunc_done(f, &first, x), 0);
    assert_int_equal(got(f)->trunc_pending->from, 50);
    assert_int_equal(fx_truncate(f, x, CHUNK + 50), 0); /* The same size: the same mark. */
    assert_true(got(f)->trunc_pending->version == second.version);
    assert_int_equal(trunc_done(f, &second, x), 0);
    assert_null(got(f)->trunc_pending);
}

/* Clients of an older release come forward, as they always did. */
static void trunc_done_without_version_goes_by_chunk_and_byte(void **state)
{
    struct fx *f = *state;
    uint64_t x = file_of_two_chunks(f);
    Dfs__ChunkTail mark = cut(f, x, CHUNK + 100);

    mark.version = 0;
    mark.from++;
    assert_int_equal(trunc_done(f, &mark, x), -EAGAIN);
    mark.from--;
    assert_int_equal(trunc_done(f, &mark, x), 0);
    assert_null(got(f)->trunc_pending);
    assert_int_equal(fx_truncate(f, x, CHUNK + 101), 0);
}

static uint8_t version_of_record(struct fx *f, uint64_t ino)
{
    struct kv_value v;
    struct key k;
    uint8_t version;

    key_id64(&k, 'I', ino);
    assert_int_equal(kv_get(f->kv, k.b, k.len, &v), 0);
    version = v.data[0];
    kv_value_done(f->kv, &v);
    return version;
}

/* Until the log has the format, marks are what the release before made of them, byte for byte; one that
 * is there then can still be cleared. */
static void marks_have_no_version_before_their_format(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        Dfs__ChunkTail mark;
        struct fx *f;
        uint64_t x;

        (void)fx_setup_format(state, i == 1, FSM_FORMAT_USAGE);
        f = *state;
        x = file_of_two_chunks(f);
        mark = cut(f, x, CHUNK + 100);
        assert_int_equal(mark.version, 0);
        assert_int_equal(version_of_record(f, x), 1);
        mark.from = 99;
        assert_int_equal(trunc_done(f, &mark, x), -EAGAIN);
        mark.from = 100;
        assert_int_equal(fx_set_format(f, FSM_FORMAT), 0);
        assert_int_equal(fx_attr(f, x)->trunc_pending->version, 0);
        assert_int_equal(version_of_record(f, x), 1);
        assert_int_equal(trunc_done(f, &mark, x), 0);
        assert_null(got(f)->trunc_pending);
        mark = cut(f, x, CHUNK + 50);
        assert_true(mark.version == got(f)->data_version);
        assert_int_equal(version_of_record(f, x), 2);
        assert_int_equal(trunc_done(f, &mark, x), 0);
        assert_int_equal(version_of_record(f, x), 1);
        fx_check_tree(f);
        (void)fx_teardown(state);
    }
}

static void truncate_needs_no_zeroing_where_nothing_was_written(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x");

    fx_make_pgs(f, 1);
    assert_int_equal(fx_alloc(f, x, 0, 1, 1), 0);
    assert_int_equal(fx_truncate(f, x, 3 * CHUNK), 0);
    assert_int_equal(fx_truncate(f, x, 100), 0);
    assert_null(got(f)->trunc_pending); /* Allocated, never materialized. */
    assert_int_equal(commit_chunks(f, x, 200, 0, 1), 0);
    assert_int_equal(fx_truncate(f, x, CHUNK * 2 + 7), 0);
    assert_int_equal(fx_truncate(f, x, CHUNK + 7), 0);
    assert_null(got(f)->trunc_pending); /* A hole. */
    assert_int_equal(fx_truncate(f, x, CHUNK), 0);
    assert_null(got(f)->trunc_pending);
    assert_int_equal(fx_truncate(f, x, 150), 0);
    assert_non_null(got(f)->trunc_pending);
    assert_int_equal(fx_truncate(f, x, 0), 0); /* The chunk itself goes. */
    assert_null(got(f)->trunc_pending);
    assert_int_equal(got(f)->chunk_count, 0);
    assert_int_equal(fx_truncate(f, x, 5), 0);
}

static void truncate_moves_times_and_drops_setuid(void **state)
{
    struct fx *f = *state;
    uint64_t x, version;

    assert_int_equal(fx_create(f, ROOT, "x", S_IFREG | 04777), 0);
    x = got(f)->ino;
    version = got(f)->data_version;
    assert_int_equal(fx_truncate(f, x, 0), 0);
    assert_true(got(f)->data_version > version);
    assert_true(got(f)->mtime_ns == got(f)->ctime_ns && got(f)->mtime_ns > got(f)->btime_ns);
    assert_int_equal(got(f)->mode, S_IFREG | 04777);
    fx_as(f, 1, 1);
    assert_int_equal(fx_truncate(f, x, 0), 0);
    assert_int_equal(got(f)->mode, S_IFREG | 0777);
    assert_int_equal(fx_truncate(f, ROOT, 0), -EISDIR);
    assert_int_equal(fx_truncate(f, x, FSM_FILE_SIZE_MAX + 1), -EFBIG);
    assert_int_equal(fx_truncate(f, x, FSM_FILE_SIZE_MAX), 0);
    fx_as(f, 0, 0);
    fx_file(f, ROOT, "y");
    fx_as(f, 1, 1);
    assert_int_equal(fx_truncate(f, 3, 0), -EACCES);
}

/* A write and a truncate by another raced, and the truncate was later. */
static void commit_of_a_chunk_cut_meanwhile_does_not_raise_the_size(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x");

    fx_make_pgs(f, 1);
    assert_int_equal(fx_alloc(f, x, 0, 2, 1), 0);
    assert_int_equal(fx_truncate(f, x, 1), 0);
    assert_int_equal(fx_truncate(f, x, 0), 0);
    assert_int_equal(commit_chunks(f, x, CHUNK + 10, 0, 2), 0);
    assert_int_equal(got(f)->size, 0);
}

static void unlinked_file_is_reaped_in_slices(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x"), ids[512];
    struct chunk_owner_rec owner;
    unsigned slices = 0;
    REQ(GC_DONE, gc_done, DFS__GC_DONE_OP__INIT);

    fx_make_pgs(f, 1);
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(fx_alloc(f, x, i * 200, 50, 1), 0);
    assert_int_equal(fx_setxattr(f, x, "user.a", "1", 0), 0);
    assert_int_equal(fx_unlink(f, ROOT, "x"), 0);
    do {
        assert_int_equal(fx_reap(f, x, 60), 0);
        slices++;
        fx_check_tree(f);
    } while (f->reply->id->id > 0);
    assert_true(slices > 2 && slices <= 6);
    assert_int_equal(fsm_state(f->fsm)->chunk_count, 0);
    assert_int_equal(garbage(f, 1, ids, 512), 300);
    assert_int_equal(fsm_chunk_owner(f->fsm, 1, ids[0], &owner), -ENOENT);

    body.pg = 1;
    body.chunk_ids = ids;
    body.n_chunk_ids = 299;
    assert_int_equal(fx_apply(f, &req), 0);
    assert_int_equal(fx_apply(f, &req), 0); /* A second time: no harm. */
    assert_int_equal(garbage(f, 1, ids, 512), 1);
    assert_int_equal(fsm_state(f->fsm)->garbage_count, 1);
}

static void garbage_is_listed_in_pages(void **state)
{
    struct fx *f = *state;
    uint64_t x = fx_file(f, ROOT, "x"), ids[8];
    size_t count;

    fx_make_pgs(f, 2);
    assert_int_equal(fx_alloc(f, x, 0, 10, 1), 0);
    assert_int_equal(fx_alloc(f, x, 10, 3, 2), 0);
    assert_int_equal(fx_truncate(f, x, 1), 0);
    assert_int_equal(fx_truncate(f, x, 0), 0);
    assert_int_equal(fsm_list_garbage(f->fsm, 1, 0, 8, ids, &count), 0);
    assert_int_equal(count, 8);
    assert_int_equal(fsm_list_garbage(f->fsm, 1, ids[7], 8, ids, &count), 0);
    assert_int_equal(count, 2);
    assert_int_equal(garbage(f, 2, ids, 8), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH_STORES(inline_content_is_kept_whole),
        ON_BOTH_STORES(empty_file_is_not_inline),
        ON_BOTH_STORES(inline_content_has_its_limit),
        ON_BOTH_STORES(inline_content_is_cut_for_good),
        ON_BOTH_STORES(inline_content_moves_into_chunks_in_one_step),
        ON_BOTH_STORES(allocation_is_found_again_and_never_twice),
        ON_BOTH_STORES(allocation_is_checked),
        ON_BOTH_STORES(commit_raises_size_and_never_lowers_it),
        ON_BOTH_STORES(commit_without_times_leaves_them),
        ON_BOTH_STORES(write_by_another_takes_setuid_away),
        ON_BOTH_STORES(truncate_inside_a_chunk_forbids_growth_until_done),
        ON_BOTH_STORES(late_trunc_done_leaves_the_next_mark),
        ON_BOTH_STORES(trunc_done_of_a_point_that_moved_is_no_error),
        ON_BOTH_STORES(trunc_done_without_version_goes_by_chunk_and_byte),
        cmocka_unit_test(marks_have_no_version_before_their_format),
        ON_BOTH_STORES(truncate_needs_no_zeroing_where_nothing_was_written),
        ON_BOTH_STORES(truncate_moves_times_and_drops_setuid),
        ON_BOTH_STORES(commit_of_a_chunk_cut_meanwhile_does_not_raise_the_size),
        ON_BOTH_STORES(unlinked_file_is_reaped_in_slices),
        ON_BOTH_STORES(garbage_is_listed_in_pages),
    };

    return cmocka_run_group_tests_name("fsm_chunk", tests, NULL, NULL);
}
