/*
 * What is deleted, when, and by whom: the chunks of unlinked and truncated files, as the datanodes
 * see it. That each DELETE names nothing but garbage, and goes to a head, is looked at in all tests
 * (svc_cluster.h).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/loop.h"
#include "namenode/fsm.h"
#include "namenode/node.h"
#include "namenode/pg_mgr.h"
#include "tests/unit/namenode/svc_cluster.h"

enum { RETRY_MS = 1000, DELETE_CHUNKS = 256 };

static void set_on_delete(struct svc_cluster *c, enum on_delete what)
{
    for (unsigned i = 0; i < DNS; i++)
        c->dn[i].on_delete = what;
}

static void answer_all(struct svc_cluster *c)
{
    for (size_t i = 0; i < c->deletion_count; i++) {
        if (c->deletions[i].conn != NULL)
            deletion_answer(&c->deletions[i], 0);
    }
}

/* How often the datanodes were told to delete it. */
static unsigned times_deleted(const struct svc_cluster *c, uint64_t chunk)
{
    unsigned n = 0;

    for (size_t i = 0; i < c->deletion_count; i++) {
        for (size_t k = 0; k < c->deletions[i].count; k++)
            n += c->deletions[i].chunks[k] == chunk;
    }
    return n;
}

static size_t chunks_deleted(const struct svc_cluster *c)
{
    size_t n = 0;

    for (size_t i = 0; i < c->deletion_count; i++)
        n += c->deletions[i].count;
    return n;
}

/* The chunks of a file, in its order. */
static void chunks_of(struct svc_cluster *c, uint64_t ino, uint64_t *out, size_t count)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__LayoutOp op = DFS__LAYOUT_OP__INIT;
    const Dfs__LayoutReply *layout;

    op.ino = ino;
    op.count = (uint32_t)count;
    req.op_case = DFS__META_REQUEST__OP_LAYOUT;
    req.layout = &op;
    assert_int_equal(meta(c, 0, &req), 0);
    layout = ((const Dfs__MetaReply *)c->reply)->layout;
    assert_int_equal(layout->n_chunks, count);
    for (size_t i = 0; i < count; i++)
        out[i] = layout->chunks[i]->chunk_id;
}

/* Written up to the end of its last chunk. */
static void file_fill(struct svc_cluster *c, uint64_t ino, uint32_t chunks)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__CommitOp op = DFS__COMMIT_OP__INIT;
    uint32_t indexes[8];

    assert_true(chunks <= ARRAY_COUNT(indexes));
    for (uint32_t i = 0; i < chunks; i++)
        indexes[i] = i;
    op.ino = ino;
    op.end = (uint64_t)chunks * CHUNK_SIZE;
    op.materialized = indexes;
    op.n_materialized = chunks;
    req.op_case = DFS__META_REQUEST__OP_COMMIT;
    req.commit = &op;
    assert_int_equal(meta(c, 0, &req), 0);
}

static void file_truncate(struct svc_cluster *c, uint64_t ino, uint64_t size)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__TruncateOp op = DFS__TRUNCATE_OP__INIT;

    op.ino = ino;
    op.size = size;
    req.op_case = DFS__META_REQUEST__OP_TRUNCATE;
    req.truncate = &op;
    assert_int_equal(meta(c, 0, &req), 0);
}

/* ---- garbage ---- */

static void chunks_of_an_unlinked_file_are_deleted_once_each(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t ino, other, chunks[6], others[2];

    three_dns_with_pgs(c);
    session_open(c, 0);
    ino = file_make(c, 0, "gone", 6);
    other = file_make(c, 0, "stays", 2);
    chunks_of(c, ino, chunks, 6);
    chunks_of(c, other, others, 2);
    file_close(c, 0, ino);
    file_close(c, 0, other);
    file_unlink(c, 0, "gone");
    WAIT_UNTIL(c, !inode_is_there(c, ino) && garbage_count(c) == 0);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(times_deleted(c, chunks[i]), 1);
    assert_int_equal(chunks_deleted(c), 6);
    assert_true(inode_is_there(c, other));
    assert_int_equal(fsm_state(leader_fsm(c))->chunk_count, 2);
}

/* The head answers when every member has deleted: before that, nobody may forget the chunk. */
/* Whoever trusts no clock has files deleted all the same. */
static void without_read_lease_too(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t ino;

    WAIT_UNTIL(c, cluster_is_made(c->g));
    c->g->r[leader_of(c->g)].conf.read_lease = false;
    leader_restarts(c);
    three_dns_with_pgs(c);
    session_open(c, 0);
    ino = file_make(c, 0, "f", 3);
    file_unlink(c, 0, "f");
    file_close(c, 0, ino);
    WAIT_UNTIL(c, !inode_is_there(c, ino));
    WAIT_UNTIL(c, garbage_count(c) == 0);
    assert_int_equal(chunks_deleted(c), 3);
}

static void garbage_is_remembered_until_the_chain_has_answered(void **state)
{
    struct svc_cluster *c = *state;
    size_t asked;
    uint64_t ino;

    three_dns_with_pgs(c);
    set_on_delete(c, DELETE_HOLD);
    session_open(c, 0);
    ino = file_make(c, 0, "gone", 4);
    file_close(c, 0, ino);
    file_unlink(c, 0, "gone");
    WAIT_UNTIL(c, chunks_deleted(c) == 4);
    asked = c->deletion_count;
    let_tick(c, 5);
    assert_int_equal(garbage_count(c), 4);
    assert_int_equal(c->deletion_count, asked); /* One at a time for each chain. */
    answer_all(c);
    WAIT_UNTIL(c, garbage_count(c) == 0);
    assert_int_equal(chunks_deleted(c), 4);
}

static void a_refused_deletion_is_asked_again_and_not_at_once(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t ino, chunk, since;

    three_dns_with_pgs(c);
    set_on_delete(c, DELETE_REFUSE);
    session_open(c, 0);
    ino = file_make(c, 0, "gone", 1);
    chunks_of(c, ino, &chunk, 1);
    file_close(c, 0, ino);
    file_unlink(c, 0, "gone");
    WAIT_UNTIL(c, times_deleted(c, chunk) == 1);
    since = loop_now_ns(c->g->loop);
    set_on_delete(c, DELETE_ANSWER);
    let_tick(c, 2);
    assert_int_equal(garbage_count(c), 1);
    WAIT_UNTIL(c, garbage_count(c) == 0);
    assert_int_equal(times_deleted(c, chunk), 2);
    assert_true(loop_now_ns(c->g->loop) - since >= RETRY_MS * CLOCK_NS_PER_MS);
}

/* What the old head was told may have reached nobody. */
static void a_new_head_is_told_what_the_old_one_did_not_answer(void **state)
{
    struct svc_cluster *c = *state;
    struct fake_dn *head, *next;
    uint64_t ino, chunk;
    struct pg_rec pg;

    three_dns_with_pgs(c);
    set_on_delete(c, DELETE_HOLD);
    session_open(c, 0);
    ino = file_make(c, 0, "gone", 1);
    chunks_of(c, ino, &chunk, 1);
    file_close(c, 0, ino);
    file_unlink(c, 0, "gone");
    WAIT_UNTIL(c, c->deletion_count == 1);
    pg = pg_of(c, c->deletions[0].pg);
    head = c->deletions[0].dn;
    next = dn_of(c, pg.members[1].target);
    assert_int_equal(c->deletions[0].epoch, pg.epoch);
    assert_int_equal(head->targets[0], pg.members[0].target);
    dn_down(c, (unsigned)(head - c->dn));
    dn_accuses(next, next->targets[0], &pg, head->targets[0]);
    WAIT_UNTIL(c, pg_of(c, pg.pg).epoch > pg.epoch);
    assert_int_equal(garbage_count(c), 1);
    set_on_delete(c, DELETE_ANSWER);
    WAIT_UNTIL(c, garbage_count(c) == 0);
    assert_int_equal(c->deletion_count, 2);
    assert_ptr_equal(c->deletions[1].dn, next);
    assert_true(c->deletions[1].epoch > pg.epoch);
    assert_int_equal(times_deleted(c, chunk), 2);
}

static void a_truncate_gives_up_only_the_chunks_beyond_it(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t ino, chunks[4];

    three_dns_with_pgs(c);
    session_open(c, 0);
    ino = file_make(c, 0, "short", 4);
    chunks_of(c, ino, chunks, 4);
    file_fill(c, ino, 4);
    file_truncate(c, ino, CHUNK_SIZE + 1);
    WAIT_UNTIL(c, chunks_deleted(c) == 2 && garbage_count(c) == 0);
    assert_int_equal(times_deleted(c, chunks[2]), 1);
    assert_int_equal(times_deleted(c, chunks[3]), 1);
    assert_true(inode_is_there(c, ino)); /* Open or not doesn't matter here. */
    file_truncate(c, ino, CHUNK_SIZE);
    WAIT_UNTIL(c, chunks_deleted(c) == 3 && garbage_count(c) == 0);
    assert_int_equal(times_deleted(c, chunks[1]), 1);
    assert_int_equal(times_deleted(c, chunks[0]), 0);
}

/* Several log entries for one inode, several messages for one chain; all of it goes, and once. */
static void a_big_file_goes_in_slices(void **state)
{
    enum { CHUNKS = 1100 };
    struct svc_cluster *c = *state;
    uint64_t ino;

    three_dns_with_pgs(c);
    session_open(c, 0);
    ino = file_make(c, 0, "big", CHUNKS);
    file_close(c, 0, ino);
    file_unlink(c, 0, "big");
    WAIT_UNTIL(c, !inode_is_there(c, ino) && garbage_count(c) == 0);
    assert_int_equal(chunks_deleted(c), CHUNKS);
    assert_true(c->deletion_count >= CHUNKS / DELETE_CHUNKS);
    for (size_t i = 0; i < c->deletion_count; i++)
        assert_true(c->deletions[i].count <= DELETE_CHUNKS);
    assert_int_equal(fsm_state(leader_fsm(c))->chunk_count, 0);
}

/* ---- what is open ---- */

/* The walk is in the order of the inodes: when the later one is gone, the earlier was looked at. */
static void what_a_session_has_open_is_left_alone(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t open, closed, chunk;

    three_dns_with_pgs(c);
    session_open(c, 0);
    session_open(c, 1);
    open = file_make(c, 0, "open", 1);
    chunks_of(c, open, &chunk, 1);
    closed = file_make(c, 1, "closed", 1);
    assert_true(open < closed);
    file_close(c, 1, closed);
    file_unlink(c, 1, "open");
    file_unlink(c, 1, "closed");
    WAIT_UNTIL(c, !inode_is_there(c, closed) && garbage_count(c) == 0);
    assert_true(inode_is_there(c, open));
    assert_int_equal(times_deleted(c, chunk), 0);
    file_close(c, 1, open); /* Not its own to close. */
    let_tick(c, 3);
    assert_true(inode_is_there(c, open));
    file_close(c, 0, open);
    WAIT_UNTIL(c, !inode_is_there(c, open) && garbage_count(c) == 0);
    assert_int_equal(times_deleted(c, chunk), 1);
}

static void the_end_of_a_session_lets_go_of_what_it_had_open(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t ino;

    three_dns_with_pgs(c);
    session_open(c, 0);
    session_open(c, 1);
    ino = file_make(c, 0, "open", 3);
    file_unlink(c, 1, "open");
    let_tick(c, 3);
    assert_true(inode_is_there(c, ino));
    assert_int_equal(session_close(c, 0), 0);
    WAIT_UNTIL(c, !inode_is_there(c, ino) && garbage_count(c) == 0);
    assert_int_equal(chunks_deleted(c), 3);
}

/* ---- another leader ---- */

/* It knows of no open: what it must not do is to take that for an answer. */
static void a_new_leader_waits_until_every_session_has_told_what_is_open(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t open, closed;

    three_dns_with_pgs(c);
    for (unsigned s = 0; s < SESSIONS; s++)
        session_open(c, s);
    open = file_make(c, 0, "open", 1);
    closed = file_make(c, 1, "closed", 1);
    file_unlink(c, 2, "open");
    file_unlink(c, 2, "closed"); /* Still open when the leader dies. */
    leader_restarts(c);
    dns_up(c, 3);
    let_tick(c, 3);
    assert_true(inode_is_there(c, open));
    assert_true(inode_is_there(c, closed));

    assert_int_equal(session_attach(c, 1, NULL, 0), 0);
    assert_int_equal(session_attach(c, 2, NULL, 0), 0);
    let_tick(c, 3); /* The one that has it open has not spoken. */
    assert_true(inode_is_there(c, open));
    assert_true(inode_is_there(c, closed));
    assert_int_equal(chunks_deleted(c), 0);

    assert_int_equal(session_attach(c, 0, &open, 1), 0);
    WAIT_UNTIL(c, !inode_is_there(c, closed) && garbage_count(c) == 0);
    assert_true(inode_is_there(c, open));
    assert_int_equal(chunks_deleted(c), 1);
    file_close(c, 0, open);
    WAIT_UNTIL(c, !inode_is_there(c, open) && garbage_count(c) == 0);
    assert_int_equal(chunks_deleted(c), 2);
}

/* A session that ends instead of telling holds up nothing. */
static void a_session_that_ended_need_not_tell(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t ino;

    three_dns_with_pgs(c);
    session_open(c, 0);
    session_open(c, 1);
    ino = file_make(c, 0, "open", 1);
    file_unlink(c, 1, "open");
    leader_restarts(c);
    dns_up(c, 3);
    assert_int_equal(session_attach(c, 1, NULL, 0), 0);
    let_tick(c, 3);
    assert_true(inode_is_there(c, ino));
    assert_int_equal(session_close(c, 0), 0);
    WAIT_UNTIL(c, !inode_is_there(c, ino) && garbage_count(c) == 0);
}

/* More than it looks at in one round, and none of them was unlinked under it. */
static void a_new_leader_finds_all_that_waits(void **state)
{
    enum { FILES = 140 };
    struct svc_cluster *c = *state;
    uint64_t last = 0;
    char name[16];

    three_dns_with_pgs(c);
    session_open(c, 0);
    for (unsigned i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof(name), "f%u", i);
        last = file_make(c, 0, name, 0);
        file_unlink(c, 0, name); /* Open until the session ends. */
    }
    assert_int_equal(fsm_state(leader_fsm(c))->reap_count, FILES);
    leader_restarts(c);
    assert_int_equal(session_close(c, 0), 0);
    WAIT_UNTIL(c, fsm_state(leader_fsm(c))->reap_count == 0);
    assert_false(inode_is_there(c, last));
}

/* Only an answer to the leader that asked counts; and asking twice does no harm. */
static void a_new_leader_asks_again_for_what_was_under_way(void **state)
{
    struct svc_cluster *c = *state;
    uint64_t ino, chunks[4];

    three_dns_with_pgs(c);
    set_on_delete(c, DELETE_HOLD);
    session_open(c, 0);
    ino = file_make(c, 0, "gone", 4);
    chunks_of(c, ino, chunks, 4);
    file_close(c, 0, ino);
    file_unlink(c, 0, "gone");
    WAIT_UNTIL(c, chunks_deleted(c) == 4);
    leader_dies(c);
    answer_all(c); /* Into the void. */
    assert_int_equal(garbage_count(c), 4);
    let_tick(c, 3); /* Nobody is registered with it. */
    assert_int_equal(chunks_deleted(c), 4);
    assert_int_equal(garbage_count(c), 4);
    dns_up(c, 3);
    WAIT_UNTIL(c, chunks_deleted(c) == 8);
    assert_int_equal(garbage_count(c), 4);
    answer_all(c);
    WAIT_UNTIL(c, garbage_count(c) == 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(times_deleted(c, chunks[i]), 2);
}

static void hand_over(struct svc_cluster *c, int to)
{
    int r;

    WAIT_UNTIL(c, all_equal(c->g));
    /* Who has just started cannot lead yet. */
    WAIT_UNTIL(c, (r = node_transfer(leader(c), (struct raft_id){(uint64_t)to + 1})) != -EAGAIN);
    assert_int_equal(r, 0);
    WAIT_UNTIL(c, leader_of(c->g) == to);
}

/* The lead goes elsewhere and comes back while a chain is at work: the answer to the earlier reign
 * is no answer to this one, and must not free what the new reign waits for. */
static void an_answer_from_an_earlier_reign_is_no_answer(void **state)
{
    struct svc_cluster *c = *state;
    int first;
    uint64_t ino, chunk;

    three_dns_with_pgs(c);
    set_on_delete(c, DELETE_HOLD);
    session_open(c, 0);
    ino = file_make(c, 0, "gone", 1);
    chunks_of(c, ino, &chunk, 1);
    file_close(c, 0, ino);
    file_unlink(c, 0, "gone");
    WAIT_UNTIL(c, c->deletion_count == 1);
    first = leader_of(c->g);
    hand_over(c, (first + 1) % NODES);
    hand_over(c, first);
    WAIT_UNTIL(c, all_equal(c->g));
    answer_all(c); /* The connection of the first reign still stands. */
    let_tick(c, 2);
    assert_int_equal(garbage_count(c), 1);
    set_on_delete(c, DELETE_ANSWER);
    dns_up(c, 3);
    WAIT_UNTIL(c, garbage_count(c) == 0);
    assert_int_equal(times_deleted(c, chunk), 2);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, svc_cluster_setup, svc_cluster_teardown)
#define T3(t) cmocka_unit_test_setup_teardown(t, svc_cluster_setup_three, svc_cluster_teardown)
    const struct CMUnitTest tests[] = {
        T(chunks_of_an_unlinked_file_are_deleted_once_each),
        T(without_read_lease_too),
        T(garbage_is_remembered_until_the_chain_has_answered),
        T(a_refused_deletion_is_asked_again_and_not_at_once),
        T(a_new_head_is_told_what_the_old_one_did_not_answer),
        T(a_truncate_gives_up_only_the_chunks_beyond_it),
        T(a_big_file_goes_in_slices),
        T(what_a_session_has_open_is_left_alone),
        T(the_end_of_a_session_lets_go_of_what_it_had_open),
        T(a_new_leader_waits_until_every_session_has_told_what_is_open),
        T(a_session_that_ended_need_not_tell),
        T(a_new_leader_finds_all_that_waits),
        T3(a_new_leader_asks_again_for_what_was_under_way),
        T3(an_answer_from_an_earlier_reign_is_no_answer),
    };
#undef T3
#undef T

    if (!getenv("DFS_TEST_LOG"))
        log_init("test_svc_reaper", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
