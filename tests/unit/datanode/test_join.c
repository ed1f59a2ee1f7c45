/* What a joiner decides, question by question, where the source's own blocks are bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/error.h"
#include "datanode/chunk_file.h"
#include "datanode/join.h"

enum { BLOCK = CHUNK_BLOCK_SIZE, BLOCKS = 4 };
static const uint64_t BAD = CHUNK_HASH_UNKNOWN;

struct story {
    struct join *j;
    struct join_actions acts;
};

static struct chunk_state state_of(uint32_t flags, uint64_t seq)
{
    return (struct chunk_state){
        .id = {100}, .pg = {7}, .flags = flags, .len = BLOCKS * BLOCK, .ver = {3, seq}};
}

static void step(struct story *s, const struct join_event *ev)
{
    join_actions_clear(&s->acts);
    join_step(s->j, ev, &s->acts);
}

static const struct join_action *only(struct story *s, enum join_action_kind kind)
{
    assert_int_equal(s->acts.count, 1);
    assert_int_equal(s->acts.items[0].kind, kind);
    return &s->acts.items[0];
}

/* Up to the question for the source's CRCs. */
static void begin(struct story *s, struct chunk_state own, struct chunk_state theirs)
{
    *s = (struct story){.j = join_new((struct pg_id){7}, &own, 1, 0)};
    join_start(s->j, &s->acts);
    (void)only(s, JOIN_ACT_ASK_LIST);
    step(s, &(struct join_event){.kind = JOIN_EV_LIST, .states = &theirs, .count = 1, .end = true});
    (void)only(s, JOIN_ACT_ASK_CRCS);
}

static void compare(struct story *s, struct chunk_state theirs, const uint32_t *their_slots,
                    const uint64_t *their_hashes, struct chunk_state own, const uint32_t *own_slots,
                    const uint64_t *own_hashes, const uint64_t *bad)
{
    step(s, &(struct join_event){.kind = JOIN_EV_CRCS,
                                 .state = theirs,
                                 .slots = their_slots,
                                 .hashes = their_hashes,
                                 .count = BLOCKS});
    (void)only(s, JOIN_ACT_OWN_CRCS);
    step(s, &(struct join_event){.kind = JOIN_EV_OWN,
                                 .state = own,
                                 .slots = own_slots,
                                 .hashes = own_hashes,
                                 .count = BLOCKS,
                                 .bad = bad});
}

static void end(struct story *s)
{
    join_free(s->j);
    join_actions_done(&s->acts);
}

static const uint32_t SLOTS[BLOCKS] = {11, 22, 33, 44};
static const uint64_t HASHES[BLOCKS] = {1, 2, 3, 4};

/* There are no bytes to ask for: the block is stored as one that is bad, and then both are equal. */
static void a_block_that_is_bad_there_becomes_bad_here(void **state)
{
    const uint32_t own_slots[BLOCKS] = {11, 99, 33, 98};
    const uint64_t their_hashes[BLOCKS] = {1, BAD, 3, 4}, own_hashes[BLOCKS] = {1, 8, 3, 9};
    const uint64_t taken_hashes[BLOCKS] = {1, BAD, 3, 4}, bad = 2;
    const struct chunk_state own = state_of(CHUNK_DIRTY | CHUNK_SUSPECT, 5),
                             theirs = state_of(CHUNK_BAD, 6);
    uint8_t bytes[BLOCK] = {0};
    struct story s;

    (void)state;
    begin(&s, own, theirs);
    compare(&s, theirs, SLOTS, their_hashes, own, own_slots, own_hashes, NULL);
    assert_int_equal(s.acts.count, 3);
    assert_int_equal(s.acts.items[0].kind, JOIN_ACT_MARK_INCOMPLETE);
    assert_int_equal(s.acts.items[1].kind, JOIN_ACT_COPY);
    assert_int_equal(s.acts.items[1].offset, BLOCK);
    assert_int_equal(s.acts.items[1].len, BLOCK);
    assert_null(s.acts.items[1].bytes);
    assert_int_equal(s.acts.items[1].slots[0], 22);
    assert_int_equal(s.acts.items[2].kind, JOIN_ACT_ASK_DATA);
    assert_int_equal(s.acts.items[2].offset, 3 * BLOCK);
    step(&s, &(struct join_event){.kind = JOIN_EV_STORED});
    assert_int_equal(s.acts.count, 0);
    step(&s, &(struct join_event){.kind = JOIN_EV_DATA,
                                  .offset = 3 * BLOCK,
                                  .len = BLOCK,
                                  .slots = SLOTS + 3,
                                  .count = 1,
                                  .bytes = bytes});
    assert_ptr_equal(only(&s, JOIN_ACT_COPY)->bytes, bytes);
    step(&s, &(struct join_event){.kind = JOIN_EV_STORED});
    (void)only(&s, JOIN_ACT_ASK_CRCS);
    compare(&s, theirs, SLOTS, their_hashes, own, SLOTS, taken_hashes, &bad);
    (void)only(&s, JOIN_ACT_MARK_COMPLETE);
    step(&s, &(struct join_event){.kind = JOIN_EV_STORED});
    (void)only(&s, JOIN_ACT_DONE);
    end(&s);
}

/* A live operation has brought it since we asked: what is bad there is older. */
static void a_live_write_is_not_made_bad(void **state)
{
    const uint32_t own_slots[BLOCKS] = {11, 99, 33, 44};
    const uint64_t their_hashes[BLOCKS] = {1, BAD, 3, 4};
    const struct chunk_state own = state_of(CHUNK_DIRTY, 5), theirs = state_of(CHUNK_BAD, 6);
    struct chain_op *op = chain_op_new(CHAIN_WRITE);
    struct story s;

    (void)state;
    begin(&s, own, theirs);
    op->chunk.v = 100;
    op->offset = BLOCK + 10;
    op->len = 10;
    join_live(s.j, op, (struct chunk_ver){3, 7}, &s.acts);
    chain_op_unref(op);
    compare(&s, theirs, SLOTS, their_hashes, own, own_slots, HASHES, NULL);
    (void)only(&s, JOIN_ACT_ASK_CRCS);
    end(&s);
}

/* It may be told to zero that tail, and must then do it again: the bytes are of before. */
static void a_truncation_that_the_source_knows_nothing_of_is_forgotten(void **state)
{
    struct chunk_state own = state_of(0, 6), theirs = state_of(0, 6);
    struct story s;

    (void)state;
    own.trunc_version = 4;
    theirs.trunc_version = 3;
    begin(&s, own, theirs);
    compare(&s, theirs, SLOTS, HASHES, own, SLOTS, HASHES, NULL);
    assert_int_equal(s.acts.count, 2);
    assert_int_equal(s.acts.items[0].kind, JOIN_ACT_MARK_INCOMPLETE);
    assert_int_equal(s.acts.items[1].kind, JOIN_ACT_ASK_CRCS);
    own.trunc_version = 0;
    compare(&s, theirs, SLOTS, HASHES, own, SLOTS, HASHES, NULL);
    assert_int_equal(only(&s, JOIN_ACT_MARK_COMPLETE)->trunc_version, 3);
    end(&s);
}

/* At rest at one version on both sides, but this one was away when it was told. */
static void a_truncation_that_the_source_knows_of_is_taken_over(void **state)
{
    struct chunk_state own = state_of(0, 6), theirs = state_of(0, 6);
    struct chain_op *op = chain_op_new(CHAIN_SYNC);
    struct story s;

    (void)state;
    theirs.trunc_version = 3;
    begin(&s, own, theirs);
    op->chunk.v = 100; /* One that was done before comes again, live. */
    op->trunc_version = 5;
    join_live(s.j, op, (struct chunk_ver){3, 7}, &s.acts);
    chain_op_unref(op);
    own.trunc_version = 5;
    compare(&s, theirs, SLOTS, HASHES, own, SLOTS, HASHES, NULL);
    assert_int_equal(only(&s, JOIN_ACT_MARK_COMPLETE)->trunc_version, 5);
    end(&s);
}

static void write_live(struct story *s, uint32_t offset, uint32_t len, uint64_t seq)
{
    struct chain_op *op = chain_op_new(CHAIN_WRITE);

    op->chunk.v = 100;
    op->offset = offset;
    op->len = len;
    join_actions_clear(&s->acts);
    join_live(s->j, op, (struct chunk_ver){3, seq}, &s->acts);
    chain_op_unref(op);
}

static void send_block(struct story *s, uint32_t block)
{
    static const uint8_t bytes[BLOCK] = {0};

    step(s, &(struct join_event){.kind = JOIN_EV_DATA,
                                 .offset = block * BLOCK,
                                 .len = BLOCK,
                                 .slots = SLOTS + block,
                                 .count = 1,
                                 .bytes = bytes});
}

/*
 * Somebody writes a few bytes into one block all the time, and appends: no two looks at both sides
 * will ever find them equal, and the join ends all the same.
 */
static void a_block_that_is_written_all_the_time_does_not_keep_it_from_ending(void **state)
{
    const uint64_t own_hashes[BLOCKS] = {1, 8, 3, 4};
    const struct chunk_state theirs = state_of(CHUNK_DIRTY, 6);
    struct chunk_state own = state_of(CHUNK_DIRTY, 5);
    const struct join_action *a;
    struct story s;

    (void)state;
    own.len -= 10;
    begin(&s, own, theirs);
    write_live(&s, BLOCK + 10, 10, 7);
    write_live(&s, BLOCKS * BLOCK, 20, 8);
    compare(&s, theirs, SLOTS, HASHES, own, SLOTS, own_hashes, NULL);
    a = &s.acts.items[s.acts.count - 1];
    assert_int_equal(a->kind, JOIN_ACT_ASK_DATA);
    for (uint64_t seq = 9; seq < 15; seq++) { /* It comes too late, again and again. */
        assert_int_equal(a->offset, BLOCK);
        assert_int_equal(a->len, BLOCK);
        write_live(&s, BLOCK + 10, 10, seq);
        send_block(&s, 1);
        a = only(&s, JOIN_ACT_ASK_DATA);
    }
    send_block(&s, 1);
    (void)only(&s, JOIN_ACT_COPY);
    step(&s, &(struct join_event){.kind = JOIN_EV_STORED});
    assert_int_equal(only(&s, JOIN_ACT_TRUNCATE)->offset, BLOCKS * BLOCK + 20);
    step(&s, &(struct join_event){.kind = JOIN_EV_STORED});
    assert_int_equal(only(&s, JOIN_ACT_MARK_COMPLETE)->ver.seq, 14);
    end(&s);
}

/* A copy is of whole blocks: who ends within one gets its length back. */
static void the_length_is_set_behind_a_copy(void **state)
{
    const uint64_t own_hashes[BLOCKS] = {1, 2, 3, 8};
    struct chunk_state theirs = state_of(CHUNK_DIRTY, 6), own;
    struct story s;

    (void)state;
    theirs.len -= 100;
    own = theirs;
    begin(&s, own, theirs);
    write_live(&s, 3 * BLOCK + 10, 10, 7);
    compare(&s, theirs, SLOTS, HASHES, own, SLOTS, own_hashes, NULL);
    send_block(&s, 3);
    (void)only(&s, JOIN_ACT_COPY);
    step(&s, &(struct join_event){.kind = JOIN_EV_STORED});
    assert_int_equal(only(&s, JOIN_ACT_TRUNCATE)->offset, BLOCKS * BLOCK - 100);
    step(&s, &(struct join_event){.kind = JOIN_EV_STORED});
    (void)only(&s, JOIN_ACT_MARK_COMPLETE);
    end(&s);
}

/* What no live operation explains is looked at once more, when it is copied. */
static void what_differed_by_itself_is_looked_at_again(void **state)
{
    const uint64_t own_hashes[BLOCKS] = {9, 8, 3, 4};
    const struct chunk_state theirs = state_of(CHUNK_DIRTY, 6), own = state_of(CHUNK_DIRTY, 5);
    struct story s;

    (void)state;
    begin(&s, own, theirs);
    write_live(&s, BLOCK + 10, 10, 7);
    compare(&s, theirs, SLOTS, HASHES, own, SLOTS, own_hashes, NULL);
    step(&s, &(struct join_event){.kind = JOIN_EV_DATA,
                                  .offset = 0,
                                  .len = 2 * BLOCK,
                                  .slots = SLOTS,
                                  .count = 2,
                                  .bytes = (const uint8_t[2 * BLOCK]){0}});
    (void)only(&s, JOIN_ACT_COPY);
    step(&s, &(struct join_event){.kind = JOIN_EV_STORED});
    (void)only(&s, JOIN_ACT_ASK_CRCS);
    end(&s);
}

/* The same version, at rest on both sides: then what ours is, theirs was. */
static void our_good_block_of_the_same_version_stays(void **state)
{
    const uint64_t their_hashes[BLOCKS] = {BAD, BAD, BAD, BAD};
    const uint32_t no_slots[BLOCKS] = {5, 5, 5, 5};
    const struct chunk_state own = state_of(0, 6), theirs = state_of(CHUNK_BAD, 6);
    struct story s;

    (void)state;
    begin(&s, own, theirs);
    compare(&s, theirs, no_slots, their_hashes, own, SLOTS, HASHES, NULL);
    (void)only(&s, JOIN_ACT_MARK_COMPLETE);
    end(&s);

    /* It may have been at rest with less. */
    begin(&s, state_of(CHUNK_DIRTY, 6), theirs);
    compare(&s, theirs, no_slots, their_hashes, state_of(CHUNK_DIRTY, 6), SLOTS, HASHES, NULL);
    assert_int_equal(s.acts.count, 2);
    assert_int_equal(s.acts.items[1].kind, JOIN_ACT_COPY);
    end(&s);
}

/* It went bad between the two questions: both sides are looked at again, not for ever. */
static void a_block_that_goes_bad_under_way_is_looked_at_again(void **state)
{
    const uint32_t own_slots[BLOCKS] = {11, 99, 33, 44};
    const struct chunk_state own = state_of(CHUNK_DIRTY, 5), theirs = state_of(0, 6);
    struct story s;
    int looks = 0;

    (void)state;
    begin(&s, own, theirs);
    for (;; looks++) {
        assert_true(looks < 100);
        compare(&s, theirs, SLOTS, HASHES, own, own_slots, HASHES, NULL);
        assert_int_equal(s.acts.items[s.acts.count - 1].kind, JOIN_ACT_ASK_DATA);
        step(&s, &(struct join_event){
                     .kind = JOIN_EV_DATA, .status = DFS_EBADBLOCK, .offset = BLOCK, .len = BLOCK});
        if (s.acts.items[0].kind == JOIN_ACT_FAILED)
            break;
        (void)only(&s, JOIN_ACT_ASK_CRCS);
    }
    assert_true(looks > 0);
    assert_int_equal(only(&s, JOIN_ACT_FAILED)->status, DFS_EBADBLOCK);
    end(&s);
}

/* Another version than was lost there must not be shown as if it were that one. */
static void what_is_lost_there_is_lost_here_unless_it_is_the_same(void **state)
{
    const struct join_event lost = {.kind = JOIN_EV_CRCS, .status = DFS_EBADBLOCK};
    const struct {
        uint32_t own, theirs;
        uint64_t seq;
        bool is_kept;
    } cases[] = {
        {0, CHUNK_BAD, 6, true},
        {0, CHUNK_BAD | CHUNK_INCOMPLETE, 6, true},
        {0, CHUNK_BAD, 5, false},
        {CHUNK_DIRTY, CHUNK_BAD, 6, false},
        {0, CHUNK_BAD | CHUNK_DIRTY, 6, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct story s;

        begin(&s, state_of(cases[i].own, cases[i].seq), state_of(cases[i].theirs, 6));
        step(&s, &lost);
        if (!cases[i].is_kept) {
            assert_int_equal(s.acts.count, 2);
            assert_int_equal(s.acts.items[0].kind, JOIN_ACT_MARK_INCOMPLETE);
            assert_int_equal(s.acts.items[1].kind, JOIN_ACT_DONE);
        } else {
            (void)only(&s, JOIN_ACT_DONE);
        }
        end(&s);
    }
}

/* A live operation came before we knew: ours is no longer what was compared in the lists. */
static void what_is_lost_there_is_lost_here_if_it_was_touched(void **state)
{
    const struct join_event lost = {.kind = JOIN_EV_CRCS, .status = DFS_EBADBLOCK};
    struct chain_op *op = chain_op_new(CHAIN_WRITE);
    struct story s;

    (void)state;
    begin(&s, state_of(0, 6), state_of(CHUNK_BAD, 6));
    op->chunk.v = 100;
    op->len = 10;
    join_actions_clear(&s.acts);
    join_live(s.j, op, (struct chunk_ver){3, 7}, &s.acts);
    (void)only(&s, JOIN_ACT_MARK_INCOMPLETE);
    chain_op_unref(op);
    step(&s, &lost); /* The mark stays. */
    (void)only(&s, JOIN_ACT_DONE);
    end(&s);
}

/* Our own file is gone: copied whole, and if the source has none either, forgotten. */
static void what_is_lost_here_is_copied_whole_or_deleted(void **state)
{
    const struct join_event lost = {.kind = JOIN_EV_OWN, .status = DFS_EBADBLOCK};
    const struct chunk_state own = state_of(CHUNK_BAD, 6), theirs = state_of(0, 6);
    struct join_event crcs = {
        .kind = JOIN_EV_CRCS, .state = theirs, .slots = SLOTS, .hashes = HASHES, .count = BLOCKS};
    struct story s;

    (void)state;
    begin(&s, own, theirs);
    step(&s, &crcs);
    step(&s, &lost);
    assert_int_equal(s.acts.count, 2);
    assert_int_equal(s.acts.items[0].kind, JOIN_ACT_MARK_INCOMPLETE);
    assert_int_equal(s.acts.items[1].kind, JOIN_ACT_ASK_DATA);
    assert_int_equal(s.acts.items[1].len, BLOCKS * BLOCK);
    end(&s);

    begin(&s, own, theirs);
    step(&s, &(struct join_event){.kind = JOIN_EV_CRCS, .status = DFS_ENOCHUNK});
    step(&s, &lost);
    (void)only(&s, JOIN_ACT_DELETE);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_that_is_bad_there_becomes_bad_here),
        cmocka_unit_test(a_live_write_is_not_made_bad),
        cmocka_unit_test(a_truncation_that_the_source_knows_nothing_of_is_forgotten),
        cmocka_unit_test(a_truncation_that_the_source_knows_of_is_taken_over),
        cmocka_unit_test(a_block_that_is_written_all_the_time_does_not_keep_it_from_ending),
        cmocka_unit_test(the_length_is_set_behind_a_copy),
        cmocka_unit_test(what_differed_by_itself_is_looked_at_again),
        cmocka_unit_test(our_good_block_of_the_same_version_stays),
        cmocka_unit_test(a_block_that_goes_bad_under_way_is_looked_at_again),
        cmocka_unit_test(what_is_lost_there_is_lost_here_unless_it_is_the_same),
        cmocka_unit_test(what_is_lost_there_is_lost_here_if_it_was_touched),
        cmocka_unit_test(what_is_lost_here_is_copied_whole_or_deleted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
