/* Sessions: exactly once, whatever is sent again. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "common/error.h"
#include "tests/unit/namenode/fsm_fixture.h"

static uint64_t open_session(struct fx *f, const char *uuid16, const char *name)
{
    uint8_t uuid[16] = {0};
    REQ(SESSION_OPEN, session_open, DFS__SESSION_OPEN_OP__INIT);

    memcpy(uuid, uuid16, strlen(uuid16));
    body.client_uuid = (ProtobufCBinaryData){.len = 16, .data = uuid};
    body.name = (char *)(uintptr_t)name;
    assert_int_equal(fx_apply(f, &req), 0);
    return f->reply->id->id;
}

static int end_session(struct fx *f, uint64_t session, bool evicted)
{
    REQ(SESSION_END, session_end, DFS__SESSION_END_OP__INIT);

    body.session = session;
    body.evicted = evicted;
    return fx_apply(f, &req);
}

/* An exclusive create under (session, seq): its answer tells whether it was executed again. */
static int create_as(struct fx *f, uint64_t session, uint64_t seq, uint64_t floor, const char *name)
{
    REQ(CREATE, create, DFS__CREATE_OP__INIT);

    req.session = session;
    req.seq = seq;
    req.ack_floor = floor;
    body.parent = ROOT;
    body.name = bytes_of(name);
    body.mode = S_IFREG | 0644;
    body.exclusive = true;
    return fx_apply(f, &req);
}

static size_t replies_kept(struct fx *f)
{
    struct kv_iter *it;
    size_t count = 0;

    assert_int_equal(kv_iter_new(f->kv, "", 0, &it), 0);
    assert_int_equal(kv_iter_seek(it, "R", 1), 0);
    for (; it->valid && it->key[0] == 'R'; assert_int_equal(kv_iter_next(it), 0))
        count++;
    kv_iter_free(it);
    return count;
}

static void retried_operation_gets_its_first_answer(void **state)
{
    struct fx *f = *state;
    uint64_t s = open_session(f, "c1", "host"), ino;

    assert_int_equal(create_as(f, s, 1, 0, "a"), 0);
    ino = f->reply->entry->attr->ino;
    assert_int_equal(create_as(f, s, 1, 0, "a"), 0);
    assert_true(f->reply->entry->created);
    assert_int_equal(f->reply->entry->attr->ino, ino);
    assert_int_equal(create_as(f, s, 2, 0, "a"), -EEXIST);
    fx_reopen(f);
    assert_int_equal(create_as(f, s, 1, 0, "a"), 0);
    assert_int_equal(f->reply->entry->attr->ino, ino);
    assert_int_equal(create_as(f, s, 2, 0, "a"), -EEXIST);
    assert_int_equal(fx_unlink(f, ROOT, "a"), 0);
    assert_int_equal(create_as(f, s, 2, 0, "a"), -EEXIST); /* Though now it could be done. */
    assert_int_equal(fx_lookup(f, ROOT, "a"), -ENOENT);
}

static void acknowledged_answers_are_forgotten(void **state)
{
    struct fx *f = *state;
    uint64_t s = open_session(f, "c1", "host");

    assert_int_equal(create_as(f, s, 1, 1, "a"), 0);
    assert_int_equal(create_as(f, s, 2, 1, "b"), 0);
    assert_int_equal(replies_kept(f), 2);
    assert_int_equal(create_as(f, s, 3, 3, "c"), 0);
    assert_int_equal(replies_kept(f), 1);
    assert_int_equal(create_as(f, s, 1, 1, "a"), -ESTALE);
    assert_int_equal(create_as(f, s, 4, 1000000, "d"), -ESTALE); /* Its own floor is above it. */
    assert_int_equal(replies_kept(f), 0);
    assert_int_equal(create_as(f, s, 4, 4, "d"), 0);
}

static void operations_may_arrive_out_of_order(void **state)
{
    struct fx *f = *state;
    uint64_t s = open_session(f, "c1", "host");

    assert_int_equal(create_as(f, s, 5, 1, "e"), 0);
    assert_int_equal(create_as(f, s, 2, 1, "b"), 0);
    assert_int_equal(create_as(f, s, 2, 1, "b"), 0);
    assert_int_equal(create_as(f, s, 5, 1, "e"), 0);
    assert_int_equal(create_as(f, s, 1 + SESSION_REPLIES_MAX, 1, "z"), DFS_EBUSY_WINDOW);
}

static void operation_of_an_unknown_session_changes_nothing(void **state)
{
    struct fx *f = *state;
    uint64_t s = open_session(f, "c1", "host");

    assert_int_equal(create_as(f, 99, 1, 0, "a"), DFS_ESTALE_SESSION);
    assert_int_equal(end_session(f, s, false), 0);
    assert_int_equal(f->events[0].kind, FSM_EVENT_SESSION_ENDED);
    assert_int_equal(create_as(f, s, 1, 0, "a"), DFS_ESTALE_SESSION);
    assert_int_equal(end_session(f, s, false), -ENOENT);
    assert_int_equal(fx_lookup(f, ROOT, "a"), -ENOENT);
}

static void session_end_takes_its_answers_along(void **state)
{
    struct fx *f = *state;
    uint64_t s = open_session(f, "c1", "host");
    struct session_rec rec;

    assert_int_equal(create_as(f, s, 3, 1, "a"), 0);
    assert_int_equal(fsm_session_get(f->fsm, s, &rec), 0);
    assert_string_equal(rec.name, "host");
    assert_int_equal(rec.seq_max, 3);
    assert_int_equal(end_session(f, s, false), 0);
    assert_int_equal(replies_kept(f), 0);
    assert_int_equal(fsm_session_get(f->fsm, s, &rec), -ENOENT);
    assert_int_equal(fsm_state(f->fsm)->session_count, 0);
}

static void client_that_comes_back_ends_its_older_session(void **state)
{
    struct fx *f = *state;
    uint64_t old = open_session(f, "c1", "host"), other = open_session(f, "c2", "host2"), new;
    struct session_rec rec;

    new = open_session(f, "c1", "host");
    assert_int_equal(f->event_count, 2);
    assert_int_equal(f->events[0].kind, FSM_EVENT_SESSION_ENDED);
    assert_int_equal(f->events[0].session, old);
    assert_int_equal(f->events[1].kind, FSM_EVENT_SESSION_OPENED);
    assert_int_equal(f->events[1].session, new);
    assert_int_equal(fsm_session_get(f->fsm, old, &rec), -ENOENT);
    assert_int_equal(fsm_session_get(f->fsm, other, &rec), 0);
    assert_int_equal(fsm_state(f->fsm)->session_count, 2);
    assert_int_equal(create_as(f, old, 1, 0, "a"), DFS_ESTALE_SESSION);
    assert_int_equal(create_as(f, new, 1, 0, "a"), 0);
}

static int count_session(void *ctx, const struct session_rec *rec)
{
    (void)rec;
    ++*(int *)ctx;
    return 0;
}

static int stop_at_second(void *ctx, const struct session_rec *rec)
{
    (void)rec;
    return ++*(int *)ctx == 2 ? 42 : 0;
}

static void sessions_are_listed(void **state)
{
    struct fx *f = *state;
    int count = 0;

    open_session(f, "c1", "a");
    open_session(f, "c2", "b");
    open_session(f, "c3", "c");
    assert_int_equal(fsm_each_session(f->fsm, count_session, &count), 0);
    assert_int_equal(count, 3);
    count = 0;
    assert_int_equal(fsm_each_session(f->fsm, stop_at_second, &count), 42);
}

/* What datanodes keep in mind instead of a fence for each session that ever was. */
static void the_lowest_session_is_the_oldest_that_lives(void **state)
{
    struct fx *f = *state;
    uint64_t a, b, c;

    assert_int_equal(fsm_lowest_session(f->fsm), fsm_state(f->fsm)->next_session);
    a = open_session(f, "c1", "a");
    b = open_session(f, "c2", "b");
    c = open_session(f, "c3", "c");
    assert_int_equal(fsm_lowest_session(f->fsm), a);
    assert_int_equal(end_session(f, b, true), 0);
    assert_int_equal(fsm_lowest_session(f->fsm), a);
    assert_int_equal(end_session(f, a, false), 0);
    assert_int_equal(fsm_lowest_session(f->fsm), c);
    assert_int_equal(end_session(f, c, true), 0);
    assert_int_equal(fsm_lowest_session(f->fsm), c + 1);
    assert_int_equal(open_session(f, "c4", "d"), c + 1);
}

static int keep_fence(void *ctx, const struct fence_rec *rec)
{
    *(struct fence_rec *)ctx = *rec;
    return 0;
}

static void evicted_session_is_fenced_until_all_know(void **state)
{
    struct fx *f = *state;
    uint64_t s = open_session(f, "c1", "host");
    struct fence_rec fence = {0};
    REQ(FENCE_DONE, fence_done, DFS__FENCE_DONE_OP__INIT);

    assert_int_equal(end_session(f, s, true), 0);
    assert_true(f->events[0].evicted);
    assert_int_equal(fsm_state(f->fsm)->fence_version, 1);
    assert_int_equal(fsm_each_fence(f->fsm, keep_fence, &fence), 0);
    assert_int_equal(fence.session, s);
    assert_int_equal(fence.fence_version, 1);
    assert_false(fence.done);
    body.session = s;
    assert_int_equal(fx_apply(f, &req), 0);
    assert_int_equal(f->events[0].kind, FSM_EVENT_FENCE_DONE);
    assert_int_equal(fsm_each_fence(f->fsm, keep_fence, &fence), 0);
    assert_true(fence.done);
    assert_int_equal(fx_apply(f, &req), 0);
    fence.session = 0;
    assert_int_equal(fsm_each_fence(f->fsm, keep_fence, &fence), 0);
    assert_int_equal(fence.session, 0);
    assert_int_equal(fx_apply(f, &req), -ENOENT);
}

static void sessions_do_not_get_at_the_leaders_operations(void **state)
{
    struct fx *f = *state;
    uint64_t s = open_session(f, "c1", "host");
    REQ(SESSION_END, session_end, DFS__SESSION_END_OP__INIT);

    req.session = s;
    req.seq = 1;
    body.session = s;
    assert_int_equal(fx_apply(f, &req), -EPERM);
    assert_int_equal(create_as(f, s, 0, 0, "a"), -EINVAL);
}

static void answers_of_the_leaders_own_operations_are_not_kept(void **state)
{
    struct fx *f = *state;

    fx_file(f, ROOT, "a");
    assert_int_equal(replies_kept(f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH_STORES(retried_operation_gets_its_first_answer),
        ON_BOTH_STORES(acknowledged_answers_are_forgotten),
        ON_BOTH_STORES(operations_may_arrive_out_of_order),
        ON_BOTH_STORES(operation_of_an_unknown_session_changes_nothing),
        ON_BOTH_STORES(session_end_takes_its_answers_along),
        ON_BOTH_STORES(client_that_comes_back_ends_its_older_session),
        ON_BOTH_STORES(sessions_are_listed),
        ON_BOTH_STORES(the_lowest_session_is_the_oldest_that_lives),
        ON_BOTH_STORES(evicted_session_is_fenced_until_all_know),
        ON_BOTH_STORES(sessions_do_not_get_at_the_leaders_operations),
        ON_BOTH_STORES(answers_of_the_leaders_own_operations_are_not_kept),
    };

    return cmocka_run_group_tests_name("fsm_session", tests, NULL, NULL);
}
