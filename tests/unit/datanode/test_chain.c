/* Chain replication told as stories: members 0, 1, 2 are head, middle and tail. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/error.h"
#include "datanode/chain_private.h"
#include "tests/sim/box.h"
#include "tests/unit/datanode/chain_story.h"

static void a_write_is_answered_when_every_member_has_it(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    int op = box_write(b, 0, 0, 0, 2);

    (void)state;
    ask_head(b, op, 0);
    run_until_applied(b, op, 0);
    assert_false(b->ops[op].acked);
    box_settle(b);
    assert_true(b->ops[op].acked);
    for (int i = 0; i < 3; i++)
        assert_true(b->members[i].applied[op]);
    assert_sound(b);
    box_free(b);
}

/* T1: the head dies after the tail applied; the retry is answered from the table. */
static void a_retry_at_the_new_head_is_not_applied_again(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    int op = box_write(b, 0, 0, 0, 1);
    uint64_t seq;

    (void)state;
    ask_head(b, op, 0);
    run_until_applied(b, op, 2);
    box_crash(b, 0);
    box_config(b, "1S 2S 0-");
    seq = chain_recv_seq(box_chain(b, 2));
    box_settle(b);
    assert_true(b->ops[op].acked);
    assert_int_equal(chain_recv_seq(box_chain(b, 2)), seq);
    assert_int_equal(chain_counters_of(box_chain(b, 1))->dedup_hits, 1);
    assert_sound(b);
    box_free(b);
}

/* T2: the middle dies between the two; what the tail lacks is sent with its first version. */
static void what_the_new_successor_lacks_is_sent_again(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    int first = box_write(b, 0, 0, 0, 1), second;
    uint64_t epoch = b->config.epoch;

    (void)state;
    box_settle(b);
    assert_true(b->ops[first].acked);
    second = box_write(b, 0, 0, 2, 1);
    ask_head(b, second, 0);
    deliver_all(b, 0, 1); /* And no further. */
    assert_int_equal(chain_recv_seq(box_chain(b, 1)), 2);
    box_crash(b, 1);
    box_config(b, "0S 2S 1-");
    box_settle(b);
    assert_true(b->ops[second].acked);
    assert_int_equal(chain_counters_of(box_chain(b, 0))->resent, 1);
    assert_int_equal(b->members[2].disk[0].ver.epoch, epoch);
    assert_int_equal(b->members[2].disk[0].ver.seq, b->members[0].disk[0].ver.seq);
    assert_sound(b);
    box_free(b);
}

/* T3: what only the dead head had is gone; when it comes back it takes the others' bytes. */
static void a_lost_suffix_is_undone_at_rejoin(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    int lost = box_write(b, 0, 0, 0, 1), other;

    (void)state;
    box_break(b, 0, 1);
    box_do(b, (struct box_choice){BOX_DELIVER_DOWN, 0, 1, 0});
    deliver_all(b, 0, 1);
    while (b->conns[0][1].back != NULL)
        box_do(b, (struct box_choice){BOX_DELIVER_BACK, 0, 1, 0});
    ask_head(b, lost, 0);
    while (box_io_possible(b, 0) > 0)
        box_io_do(b, 0, 0);
    assert_true(b->members[0].applied[lost]);
    box_crash(b, 0);
    b->clients[0].current = -1; /* That client is gone with it: nobody retries. */
    box_config(b, "1S 2S 0-");
    box_settle(b);
    other = box_write(b, 1, 0, 1, 1);
    box_settle(b);
    assert_true(b->ops[other].acked);
    assert_int_equal(b->members[0].disk[0].ver.seq, b->members[1].disk[0].ver.seq);

    box_restart(b, 0);
    box_config(b, "1S 2S 0Y");
    box_settle(b);
    assert_int_equal(chain_place_of(box_chain(b, 0))->role, CHAIN_SERVING);
    assert_int_equal(b->members[0].disk[0].cells[0], 0);
    assert_int_equal(b->members[0].disk[0].cells[1], other + 1);
    assert_sound(b);
    box_free(b);
}

/* T4: a copy that was on its way for long must not land on newer bytes. */
static void a_late_copy_below_the_floor_is_dropped(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    int w1 = box_write(b, 0, 0, 0, 1), w2;

    (void)state;
    box_settle(b);
    w2 = box_write(b, 0, 0, 0, 1);
    box_settle(b);
    assert_true(b->ops[w2].acked);
    box_send(b, w1, 0, b->config.epoch);
    box_settle(b);
    assert_int_equal(b->members[0].disk[0].cells[0], w2 + 1);
    assert_sound(b);
    box_free(b);
}

/* T4, variant: nothing raised the floor, but another client wrote since. */
static void a_late_copy_that_was_executed_is_not_applied_over_another_clients_write(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    int w1 = box_write(b, 0, 0, 0, 1), w2;

    (void)state;
    box_settle(b);
    w2 = box_write(b, 1, 0, 0, 1);
    box_settle(b);
    box_send(b, w1, 0, b->config.epoch);
    box_settle(b);
    assert_int_equal(b->members[2].disk[0].cells[0], w2 + 1);
    assert_sound(b);
    box_free(b);
}

static void two_copies_of_one_operation_get_one_place_and_both_an_answer(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    int op = box_write(b, 0, 0, 0, 1);

    (void)state;
    ask_head(b, op, 0);
    ask_head(b, op, 0);
    assert_int_equal(chain_recv_seq(box_chain(b, 0)), 1);
    box_settle(b);
    assert_int_equal(chain_counters_of(box_chain(b, 0))->replies, 2);
    assert_sound(b);
    box_free(b);
}

/* T6: the fence was sent to a head that died; its successor must not let the session in. */
static void a_new_head_waits_for_the_fences_of_its_configuration(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    int op;

    (void)state;
    box_fence(b, 0);
    box_crash(b, 0);
    box_config(b, "1S 2S 0-");
    /* Member 1 hears of it from a neighbour, without the list of fences. */
    box_step(b, 1, &(struct chain_event){.kind = CHAIN_EV_CONFIG, .config = &b->config});
    box_step(b, 2, &(struct chain_event){.kind = CHAIN_EV_CONFIG, .config = &b->config});
    deliver_all(b, 1, 2);
    box_do(b, (struct box_choice){BOX_DELIVER_BACK, 1, 2, 0});
    b->clients[0].config = b->config;
    op = box_write(b, 0, 0, 0, 1);
    ask_head(b, op, 1);
    assert_int_equal(chain_recv_seq(box_chain(b, 1)), 0);
    box_settle(b);
    assert_true(b->ops[op].refused);
    assert_int_equal(b->members[1].disk[0].exists, false);
    assert_sound(b);
    box_free(b);
}

static void a_fence_refuses_what_its_session_sends_later(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    int op;

    (void)state;
    box_fence(b, 0);
    box_settle(b);
    assert_true(b->clients[0].fenced);
    op = box_write(b, 0, 0, 0, 1);
    box_settle(b);
    assert_true(b->ops[op].refused);
    op = box_write(b, 1, 0, 0, 1);
    box_settle(b);
    assert_true(b->ops[op].acked);
    box_free(b);
}

/* An eviction must end even when too few members are left to write. */
static void a_fence_passes_where_nothing_may_be_written(void **state)
{
    struct box *b = box_with(3, "0S 1- 2-");
    int op = box_write(b, 1, 0, 0, 1);

    (void)state;
    ask_head(b, op, 0);
    box_fence(b, 0);
    for (int i = 0; i < 20; i++) {
        struct box_choice moves[BOX_CHOICES_MAX];

        if (box_moves(b, moves) > 0)
            box_do(b, moves[0]);
    }
    assert_true(b->clients[0].fenced);
    assert_false(b->ops[op].acked);
    box_free(b);
}

static void one_member_alone_acknowledges_nothing(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    int op = box_write(b, 0, 0, 0, 1);

    (void)state;
    ask_head(b, op, 0);
    box_crash(b, 1);
    box_crash(b, 2);
    box_config(b, "0S 1- 2-");
    box_settle(b);
    assert_true(b->members[0].applied[op]);
    assert_false(b->ops[op].acked);

    box_restart(b, 2);
    box_config(b, "0S 2Y 1-");
    box_settle(b);
    assert_true(b->ops[op].acked);
    assert_true(b->members[2].applied[op]);
    assert_sound(b);
    box_free(b);
}

static void an_old_head_cannot_get_an_acknowledgement(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    uint64_t old = b->config.epoch;
    int op;

    (void)state;
    box_config(b, "1S 2S 0-"); /* The namenode cannot reach member 0: it learns nothing. */
    box_push(b, 1);
    box_push(b, 2);
    op = box_write(b, 0, 0, 0, 1);
    box_send(b, op, 0, old);
    b->ops[op].sent_epoch = b->config.epoch;
    b->clients[0].config = b->config;
    b->pushed[0] = true;
    box_settle(b);
    assert_false(b->ops[op].acked);
    assert_false(b->members[1].applied[op]);
    b->ops[op].sent_epoch = 0; /* The client asks the namenode at last. */
    box_settle(b);
    assert_true(b->ops[op].acked);
    box_free(b);
}

/* T16: a process that restarted has nothing of what its predecessor believes it has. */
static void a_restarted_process_is_refused_by_its_incarnation(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    int op = box_write(b, 0, 0, 0, 1);

    (void)state;
    box_settle(b);
    box_crash(b, 1);
    box_restart(b, 1);
    b->pushed[1] = true;
    box_settle(b); /* The head's hello, with the configuration, meets the new process. */
    assert_int_equal(chain_place_of(box_chain(b, 1))->role, CHAIN_OUT);
    assert_true(b->members[1].accused);
    box_config(b, "0S 2S 1Y");
    box_settle(b);
    assert_int_equal(chain_place_of(box_chain(b, 1))->role, CHAIN_SERVING);
    assert_true(b->ops[op].acked);
    assert_sound(b);
    box_free(b);
}

static void acknowledgements_lost_with_a_connection_come_again(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    int op = box_write(b, 0, 0, 0, 1);

    (void)state;
    ask_head(b, op, 0);
    run_until_applied(b, op, 2);
    run_until_applied(b, op, 1);
    while (b->conns[1][2].back != NULL)
        box_do(b, (struct box_choice){BOX_DELIVER_BACK, 1, 2, 0});
    assert_int_equal(chain_unstable_count(box_chain(b, 1)), 0);
    box_break(b, 0, 1); /* With the acknowledgement in it. */
    box_settle(b);
    assert_true(b->ops[op].acked);
    assert_sound(b);
    box_free(b);
}

static void operations_keep_their_order_across_a_break(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    int a = box_write(b, 0, 0, 0, 1), c = box_write(b, 1, 0, 0, 1);

    (void)state;
    ask_head(b, a, 0);
    ask_head(b, c, 0);
    box_do(b, (struct box_choice){BOX_DELIVER_FORTH, 0, 1, 0});
    box_break(b, 0, 1);
    box_settle(b);
    assert_true(b->ops[a].acked && b->ops[c].acked);
    assert_int_equal(b->members[2].disk[0].cells[0], c + 1);
    assert_sound(b);
    box_free(b);
}

static void a_joiner_takes_part_before_it_is_synced(void **state)
{
    struct box *b = box_with(3, "0S 1S 2-");
    int old = box_write(b, 0, 0, 0, 4), live;

    (void)state;
    box_settle(b);
    box_config(b, "0S 1S 2Y");
    box_push(b, 0);
    box_push(b, 1);
    box_push(b, 2);
    live = box_write(b, 0, 0, 1, 1);
    box_settle(b);
    assert_true(b->ops[old].acked && b->ops[live].acked);
    assert_true(b->members[2].applied[live]);
    assert_int_equal(chain_place_of(box_chain(b, 2))->role, CHAIN_SERVING);
    assert_int_equal(b->members[2].disk[0].cells[0], old + 1);
    assert_int_equal(b->members[2].disk[0].cells[1], live + 1);
    assert_sound(b);
    box_free(b);
}

static void a_joiner_knows_what_was_executed_before_it_came(void **state)
{
    struct box *b = box_with(3, "0S 1S 2-");
    int op = box_write(b, 0, 0, 0, 1);

    (void)state;
    box_settle(b);
    box_config(b, "0S 1S 2Y");
    box_settle(b);
    box_crash(b, 0);
    box_crash(b, 1);
    box_restart(b, 0);
    box_config(b, "2S 0Y 1-");
    box_settle(b);
    /* The client never saw its answer and asks the new head. */
    b->ops[op].answered = 0;
    b->ops[op].acked = false;
    b->clients[0].current = op;
    b->ops[op].sent_epoch = 0;
    box_settle(b);
    assert_true(b->ops[op].acked);
    assert_int_equal(chain_counters_of(box_chain(b, 2))->dedup_hits, 1);
    box_free(b);
}

static void a_join_that_broke_off_begins_again(void **state)
{
    struct box *b = box_with(3, "0S 1S 2-");
    int op = box_write(b, 0, 0, 0, 6);

    (void)state;
    box_settle(b);
    box_config(b, "0S 1S 2Y");
    for (int i = 0; i < 2; i++) {
        for (int k = 0; b->members[2].join == NULL; k++) {
            struct box_choice moves[BOX_CHOICES_MAX];

            assert_true(k < 1000 && box_moves(b, moves) > 0);
            box_do(b, moves[0]);
        }
        box_break(b, 1, 2);
        box_do(b, (struct box_choice){BOX_DELIVER_DOWN, 1, 2, 0});
        deliver_all(b, 1, 2);
    }
    box_settle(b);
    assert_int_equal(chain_place_of(box_chain(b, 2))->role, CHAIN_SERVING);
    assert_int_equal(b->members[2].disk[0].cells[5], op + 1);
    assert_sound(b);
    box_free(b);
}

static void a_chunk_that_only_the_joiner_has_is_deleted(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    int op = box_write(b, 0, 1, 0, 1), gone;

    (void)state;
    box_settle(b);
    assert_true(b->ops[op].acked);
    box_crash(b, 2);
    box_config(b, "0S 1S 2-");
    gone = box_delete(b, 1);
    box_settle(b);
    ask_head(b, gone, 0);
    box_settle(b);
    assert_true(b->ops[gone].acked);
    box_restart(b, 2);
    box_config(b, "0S 1S 2Y");
    box_settle(b);
    assert_false(b->members[2].disk[1].exists);
    assert_true(b->members[2].disk[1].tombstone);
    assert_sound(b);
    box_free(b);
}

static struct chain_actions acts;

static int one_reply(struct chain *c, const struct chain_event *ev)
{
    int status = 1;

    chain_actions_clear(&acts);
    chain_step(c, ev, &acts);
    for (size_t i = 0; i < acts.count; i++) {
        if (acts.items[i].kind == CHAIN_ACT_REPLY)
            status = acts.items[i].status;
    }
    return status;
}

static struct chain_op *op_of(uint64_t opseq)
{
    struct chain_op *op = chain_op_new(CHAIN_WRITE);

    op->session.v = 10;
    op->opseq = opseq;
    op->floor = 1;
    op->chunk.v = opseq;
    op->len = 4096;
    return op;
}

/* T18: no room on one member: refused before it has a place, overwrites go on. */
static void a_full_member_refuses_only_what_allocates(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    struct chain *head = box_chain(b, 0);
    struct chain_op *op = op_of(1);
    struct chain_event ev = {
        .kind = CHAIN_EV_CLIENT_OP, .op = op, .epoch = b->config.epoch, .waiter = 1};

    (void)state;
    box_step(b, 2, &(struct chain_event){.kind = CHAIN_EV_SPACE, .bytes_free = 0});
    assert_non_null(b->conns[1][2].back); /* Told at once: no operation may come for long. */
    chain_step(head,
               &(struct chain_event){
                   .kind = CHAIN_EV_ACK, .from = {2}, .epoch = b->config.epoch, .bytes_free = 0},
               &acts);
    op->allocates = true;
    assert_int_equal(one_reply(head, &ev), -ENOSPC);
    assert_int_equal(chain_recv_seq(head), 0);
    op->allocates = false;
    assert_int_equal(one_reply(head, &ev), 1);
    assert_int_equal(chain_recv_seq(head), 1);
    chain_actions_done(&acts);
    chain_op_unref(op);
    box_free(b);
}

/* T14's root: fsync must not say yes when a cold start may have lost what it stands for. */
static void sync_across_a_cold_start_says_so(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    struct chain_op *op = op_of(1);
    struct chain_event ev = {.kind = CHAIN_EV_CLIENT_OP, .op = op, .waiter = 1};

    (void)state;
    b->config.cold_epoch = 7;
    b->config.epoch = 6;
    box_config(b, "0S 1S 2S");
    box_settle(b);
    ev.epoch = b->config.epoch;
    op->kind = CHAIN_SYNC;
    op->since_epoch = 6;
    assert_int_equal(one_reply(box_chain(b, 0), &ev), DFS_ECOLD);
    op->since_epoch = 7;
    assert_int_equal(one_reply(box_chain(b, 0), &ev), 1);
    chain_actions_done(&acts);
    chain_op_unref(op);
    box_free(b);
}

/* The only member of its group. */
static struct chain *alone(uint32_t window_ops_max, struct chain_config *ret_config)
{
    struct chain *c = chain_new(&(struct chain_options){
        .pg = {1}, .self = {1}, .incarnation = 5, .window_ops_max = window_ops_max});

    *ret_config = (struct chain_config){
        .pg = {1},
        .epoch = 1,
        .min_write = 1,
        .member_count = 1,
        .members = {{.target = {1}, .incarnation = 5, .state = MEMBER_SERVING}}};
    chain_step(c, &(struct chain_event){.kind = CHAIN_EV_CONFIG, .config = ret_config}, &acts);
    return c;
}

static void a_full_window_lets_in_one_for_each_that_leaves(void **state)
{
    struct chain_config cfg;
    struct chain *c = alone(2, &cfg);
    int status = 0;

    (void)state;
    for (uint64_t i = 1; i <= 5; i++) {
        struct chain_op *op = op_of(i);

        status = one_reply(c, &(struct chain_event){
                                  .kind = CHAIN_EV_CLIENT_OP, .op = op, .epoch = 1, .waiter = i});
        chain_op_unref(op);
    }
    /* Two ordered, two parked: the fifth is told to come again. */
    assert_int_equal(status, DFS_EBUSY_WINDOW);
    assert_int_equal(chain_recv_seq(c), 2);
    assert_int_equal(one_reply(c, &(struct chain_event){.kind = CHAIN_EV_APPLIED, .io_id = 1}), 0);
    assert_int_equal(chain_recv_seq(c), 3);
    chain_actions_done(&acts);
    chain_free(c);
}

static void a_member_whose_disk_fails_leaves_and_accuses_itself(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    int op = box_write(b, 0, 0, 0, 1);

    (void)state;
    ask_head(b, op, 0);
    deliver_all(b, 0, 1);
    box_step(b, 1, &(struct chain_event){.kind = CHAIN_EV_APPLIED, .io_id = 1, .status = -EIO});
    assert_true(b->members[1].accused);
    assert_true(chain_is_failed(box_chain(b, 1)));
    box_config(b, "0S 2S 1-");
    box_settle(b);
    assert_true(b->ops[op].acked);
    box_free(b);
}

/*
 * All left after a full disk, and the PG starts again from one of them: it knows operations as
 * executed that were not, and must not answer their retries from its table.
 */
static void who_left_and_is_the_source_of_a_cold_start_forgets_what_it_called_executed(void **state)
{
    struct chain_config cfg;
    struct chain *c = alone(0, &cfg);
    struct chain_op *op = op_of(1);
    struct chain_event ev = {.kind = CHAIN_EV_CLIENT_OP, .op = op, .epoch = 1, .waiter = 1};

    (void)state;
    assert_int_equal(one_reply(c, &ev), 1); /* None yet. */
    assert_int_equal(
        one_reply(c,
                  &(struct chain_event){.kind = CHAIN_EV_APPLIED, .io_id = 1, .status = -ENOSPC}),
        DFS_ENOTHEAD);
    assert_true(chain_is_failed(c));
    cfg.epoch = cfg.reset_epoch = 3;
    chain_step(c, &(struct chain_event){.kind = CHAIN_EV_CONFIG, .config = &cfg}, &acts);
    assert_int_equal(chain_place_of(c)->role, CHAIN_SERVING);
    assert_false(chain_is_failed(c));
    ev.epoch = 3;
    chain_actions_clear(&acts);
    chain_step(c, &ev, &acts);
    assert_int_equal(acts.count, 1);
    assert_int_equal(acts.items[0].kind, CHAIN_ACT_APPLY);
    chain_op_unref(op);
    chain_actions_done(&acts);
    chain_free(c);
}

/* Only the member that differs is to go: who stays must come to an end with the operation. */
static void an_operation_on_which_two_differ_ends_when_one_of_them_is_gone(void **state)
{
    struct chain_config cfg;
    struct chain *c = alone(0, &cfg);
    struct chain_op *op = op_of(1);
    struct chain_event ev = {.kind = CHAIN_EV_CLIENT_OP, .op = op, .epoch = 2, .waiter = 1};

    (void)state;
    cfg.epoch = cfg.member_count = 2;
    cfg.members[1] = (struct chain_member){{2}, 5, MEMBER_SERVING, 0};
    chain_step(c, &(struct chain_event){.kind = CHAIN_EV_CONFIG, .config = &cfg}, &acts);
    chain_step(c, &(struct chain_event){.kind = CHAIN_EV_HELLO_ACK, .hello_id = 1}, &acts);
    chain_step(c, &ev, &acts);
    chain_step(c, &(struct chain_event){.kind = CHAIN_EV_APPLIED, .io_id = 1, .crc = 7}, &acts);
    chain_step(
        c, &(struct chain_event){.kind = CHAIN_EV_ACK, .from = {2}, .epoch = 2, .seq = 1, .crc = 8},
        &acts);
    assert_int_equal(chain_counters_of(c)->diverged, 1);
    assert_int_equal(chain_unstable_count(c), 1);
    cfg.epoch = 3;
    cfg.members[1].state = MEMBER_OFFLINE;
    chain_step(c, &(struct chain_event){.kind = CHAIN_EV_CONFIG, .config = &cfg}, &acts);
    assert_int_equal(chain_unstable_count(c), 0);
    assert_int_equal(chain_counters_of(c)->replies, 1);
    chain_op_unref(op);
    chain_actions_done(&acts);
    chain_free(c);
}

static void damaged_operations_are_complained_about_by_both_sides(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");

    (void)state;
    box_step(b, 1,
             &(struct chain_event){
                 .kind = CHAIN_EV_BAD_OP, .from = {1}, .epoch = b->config.epoch, .seq = 1});
    assert_true(b->members[0].accused);
    box_settle(b);
    assert_int_equal(chain_place_of(box_chain(b, 1))->role, CHAIN_SERVING);
    box_free(b);
}

static void a_read_waits_for_an_operation_that_it_overlaps(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    int op = box_write(b, 0, 0, 0, 1), rd;

    (void)state;
    ask_head(b, op, 0);
    rd = box_read(b, 1, 0, 0, 0);
    box_do(b, (struct box_choice){BOX_MAIL, 0, 0, 0});
    while (box_io_possible(b, 0) > 0)
        box_io_do(b, 0, 0);
    assert_null(b->mail); /* Applied here, but it may yet be lost with this member. */
    box_settle(b);
    assert_int_equal(b->ops[rd].values[0], op + 1);
    assert_sound(b);
    box_free(b);
}

/* What a repair writes must be what every member has: nothing may move meanwhile. */
static void a_chunk_that_is_held_takes_only_its_repair(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    struct chain *head = box_chain(b, 0);
    struct chain_op *op = op_of(1), *repair = chain_op_new(CHAIN_REPAIR);
    struct chain_event ev = {
        .kind = CHAIN_EV_CLIENT_OP, .op = op, .epoch = b->config.epoch, .waiter = 2};

    (void)state;
    repair->chunk.v = 1;
    repair->len = 4096;
    ev.op = repair;
    assert_int_equal(one_reply(head, &ev), DFS_EBUSY_WINDOW); /* Not held. */
    chain_actions_clear(&acts);
    chain_step(head, &(struct chain_event){.kind = CHAIN_EV_HOLD, .chunk = {1}, .waiter = 1},
               &acts);
    assert_int_equal(acts.items[0].kind, CHAIN_ACT_HELD);
    assert_int_equal(acts.items[0].status, 0);
    ev.op = op;
    assert_int_equal(one_reply(head, &ev), 1);
    assert_int_equal(chain_recv_seq(head), 0); /* It waits. */
    ev.op = repair;
    assert_int_equal(one_reply(head, &ev), 1);
    assert_int_equal(chain_recv_seq(head), 1);
    chain_actions_clear(&acts);
    chain_step(head, &(struct chain_event){.kind = CHAIN_EV_RELEASE, .chunk = {1}}, &acts);
    assert_int_equal(chain_recv_seq(head), 2);
    chain_actions_done(&acts);
    chain_op_unref(op);
    chain_op_unref(repair);
    box_free(b);
}

static void a_joiner_and_an_outsider_answer_no_reads(void **state)
{
    struct box *b = box_with(3, "0S 1S 2-");
    int rd = box_read(b, 0, 0, 0, 2);

    (void)state;
    box_settle(b);
    assert_true(b->ops[rd].refused);
    box_free(b);
}

static void a_silent_successor_is_accused_by_its_neighbour_first(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    int op = box_write(b, 0, 0, 0, 1);

    (void)state;
    for (int i = 0; i < 3; i++)
        box_tick(b, i, b->clock_ms + 1000);
    ask_head(b, op, 0);
    run_until_applied(b, op, 1);
    for (int i = 0; i < 2; i++)
        box_tick(b, i, b->clock_ms + 12000);
    assert_true(b->members[2].accused);
    assert_false(b->members[1].accused);
    for (int i = 0; i < 2; i++)
        box_tick(b, i, b->clock_ms + 30000);
    assert_true(b->members[1].accused);
    box_free(b);
}

/* The clock is not 0 when a process or a PG begins, and an operation may come before the first tick.
 */
static void nobody_is_accused_for_the_time_before_we_began(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    int op = box_write(b, 0, 0, 0, 1);

    (void)state;
    ask_head(b, op, 0);
    run_until_applied(b, op, 1);
    for (int i = 0; i < 3; i++)
        box_tick(b, i, b->clock_ms + 10);
    assert_false(b->members[1].accused);
    assert_false(b->members[2].accused);
    box_settle(b);
    assert_true(b->ops[op].acked);
    assert_sound(b);
    box_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_is_answered_when_every_member_has_it),
        cmocka_unit_test(a_retry_at_the_new_head_is_not_applied_again),
        cmocka_unit_test(what_the_new_successor_lacks_is_sent_again),
        cmocka_unit_test(a_lost_suffix_is_undone_at_rejoin),
        cmocka_unit_test(a_late_copy_below_the_floor_is_dropped),
        cmocka_unit_test(a_late_copy_that_was_executed_is_not_applied_over_another_clients_write),
        cmocka_unit_test(two_copies_of_one_operation_get_one_place_and_both_an_answer),
        cmocka_unit_test(a_new_head_waits_for_the_fences_of_its_configuration),
        cmocka_unit_test(a_fence_refuses_what_its_session_sends_later),
        cmocka_unit_test(a_fence_passes_where_nothing_may_be_written),
        cmocka_unit_test(one_member_alone_acknowledges_nothing),
        cmocka_unit_test(an_old_head_cannot_get_an_acknowledgement),
        cmocka_unit_test(a_restarted_process_is_refused_by_its_incarnation),
        cmocka_unit_test(acknowledgements_lost_with_a_connection_come_again),
        cmocka_unit_test(operations_keep_their_order_across_a_break),
        cmocka_unit_test(a_joiner_takes_part_before_it_is_synced),
        cmocka_unit_test(a_joiner_knows_what_was_executed_before_it_came),
        cmocka_unit_test(a_join_that_broke_off_begins_again),
        cmocka_unit_test(a_chunk_that_only_the_joiner_has_is_deleted),
        cmocka_unit_test(a_full_member_refuses_only_what_allocates),
        cmocka_unit_test(sync_across_a_cold_start_says_so),
        cmocka_unit_test(a_full_window_lets_in_one_for_each_that_leaves),
        cmocka_unit_test(a_member_whose_disk_fails_leaves_and_accuses_itself),
        cmocka_unit_test(
            who_left_and_is_the_source_of_a_cold_start_forgets_what_it_called_executed),
        cmocka_unit_test(an_operation_on_which_two_differ_ends_when_one_of_them_is_gone),
        cmocka_unit_test(damaged_operations_are_complained_about_by_both_sides),
        cmocka_unit_test(a_read_waits_for_an_operation_that_it_overlaps),
        cmocka_unit_test(a_chunk_that_is_held_takes_only_its_repair),
        cmocka_unit_test(a_joiner_and_an_outsider_answer_no_reads),
        cmocka_unit_test(a_silent_successor_is_accused_by_its_neighbour_first),
        cmocka_unit_test(nobody_is_accused_for_the_time_before_we_began),
    };

    return cmocka_run_group_tests_name("chain", tests, NULL, NULL);
}
