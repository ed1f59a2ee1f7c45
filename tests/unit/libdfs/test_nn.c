/*
 * The session with the namenodes, against two of them in this process that do as they are told:
 * be silent, hang up, refuse, point to the other, end the session.
 */
#include "libdfs/nn.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/compiler.h"
#include "common/error.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/slab.h"
#include "libdfs/dfs_ll.h"
#include "rpc/conn.h"
#include "rpc/node.pb-c.h"
#include "rpc/server.h"

enum { SEEN_MAX = 1024, TURNS_MAX = 20000, INO = 7 };

enum mood { ANSWER, SILENT, HANG_UP, ERROR };

struct seen {
    uint64_t session, seq, floor;
    Dfs__MetaRequest__OpCase op;
};

struct world;
struct namenode {
    struct world *world;
    struct server *server;
    enum mood mood; /* of the next mood_left META requests; then ANSWER */
    unsigned mood_left;
    int code; /* of ERROR */
    const char *hint;
    struct conn *conn;
    unsigned opens, renews, closes, conns;
    unsigned elections; /* so many renewals are refused: no leader is known */
};

struct world {
    struct loop *loop;
    struct slab_pool *slabs;
    struct namenode nn[2];
    struct seen seen[SEEN_MAX];
    size_t seen_count;
    uint64_t next_session, ended_below; /* sessions below it have ended */
    uint64_t reclaimed[4];
    size_t reclaimed_count, seen_at_reclaim;
    uint64_t term;
    unsigned misaddressed; /* told to the leader of another term */
    int meta_status;       /* of the MetaReply */
    struct nn *client;
    char addrs[256];
    bool ready, closed;
    int ready_status;
    unsigned lost;
};

/* ---- the namenodes ---- */

static void reply_error(struct conn *c, const struct rpc_frame *f, int code, const char *hint)
{
    Dfs__Error e = DFS__ERROR__INIT;

    e.code = code;
    e.leader_addr = (char *)(uintptr_t)(hint == NULL ? "" : hint);
    conn_reply_error_msg(c, f->header.type, f->header.rpc_id, &e.base);
}

static void on_open(struct namenode *n, struct conn *c, const struct rpc_frame *f)
{
    static uint8_t token[32], uuid[16];
    Dfs__SessionOpenReply m = DFS__SESSION_OPEN_REPLY__INIT;

    n->opens++;
    m.session = n->world->next_session++;
    m.term = n->world->term;
    m.data_token = (ProtobufCBinaryData){sizeof(token), token};
    m.cluster_uuid = (ProtobufCBinaryData){sizeof(uuid), uuid};
    conn_reply(c, f->header.type, f->header.rpc_id, &m.base, NULL);
}

static void on_renew(struct namenode *n, struct conn *c, const struct rpc_frame *f)
{
    Dfs__SessionRenewRequest *m =
        dfs__session_renew_request__unpack(NULL, f->header.body_len, f->body);
    Dfs__SessionRenewReply reply = DFS__SESSION_RENEW_REPLY__INIT;
    struct world *w = n->world;

    n->renews++;
    reply.term = w->term;
    w->misaddressed += m->reclaim && m->term != w->term;
    if (m->reclaim && m->term == w->term) {
        w->reclaimed_count = m->n_open_inos;
        memcpy(w->reclaimed, m->open_inos, m->n_open_inos * sizeof(uint64_t));
        w->seen_at_reclaim = w->seen_count;
    }
    if (n->elections > 0 && n->elections-- > 0)
        reply_error(c, f, DFS_ENOTLEADER, n->elections == 0 ? n->hint : NULL);
    else if (m->session < w->ended_below)
        reply_error(c, f, DFS_ESTALE_SESSION, NULL);
    else
        conn_reply(c, f->header.type, f->header.rpc_id, &reply.base, NULL);
    dfs__session_renew_request__free_unpacked(m, NULL);
}

static void answer(struct world *w, struct conn *c, const struct rpc_frame *f)
{
    Dfs__MetaReply reply = DFS__META_REPLY__INIT;
    Dfs__EntryReply entry = DFS__ENTRY_REPLY__INIT;
    Dfs__Attr attr = DFS__ATTR__INIT;

    attr.ino = INO;
    entry.attr = &attr;
    reply.status = w->meta_status;
    reply.result_case = DFS__META_REPLY__RESULT_ENTRY;
    reply.entry = &entry;
    w->meta_status = 0;
    conn_reply(c, f->header.type, f->header.rpc_id, &reply.base, NULL);
}

static void on_meta(struct namenode *n, struct conn *c, const struct rpc_frame *f)
{
    Dfs__MetaRequest *m = dfs__meta_request__unpack(NULL, f->header.body_len, f->body);
    struct world *w = n->world;
    enum mood mood = n->mood_left > 0 ? n->mood : ANSWER;

    assert_non_null(m);
    assert_true(w->seen_count < SEEN_MAX);
    w->seen[w->seen_count++] = (struct seen){m->session, m->seq, m->ack_floor, m->op_case};
    if (n->mood_left > 0)
        n->mood_left--;
    if (m->session < w->ended_below)
        reply_error(c, f, DFS_ESTALE_SESSION, NULL);
    else if (mood == ANSWER)
        answer(w, c, f);
    else if (mood == ERROR)
        reply_error(c, f, n->code, n->hint);
    else if (mood == HANG_UP)
        conn_close(c, -ECONNRESET);
    dfs__meta_request__free_unpacked(m, NULL);
}

static void on_request(void *ctx, struct conn *c, const struct rpc_frame *f)
{
    struct namenode *n = ctx;
    Dfs__SessionCloseReply closed = DFS__SESSION_CLOSE_REPLY__INIT;

    n->conns += n->conn != c;
    n->conn = c;
    switch (f->header.type) {
    case MSG_SESSION_OPEN:
        on_open(n, c, f);
        break;
    case MSG_SESSION_RENEW:
        on_renew(n, c, f);
        break;
    case MSG_SESSION_CLOSE:
        n->closes++;
        conn_reply(c, f->header.type, f->header.rpc_id, &closed.base, NULL);
        break;
    default:
        on_meta(n, c, f);
    }
}

static void on_conn_closed(void *ctx, struct conn *c, int reason)
{
    struct namenode *n = ctx;

    (void)reason;
    if (n->conn == c)
        n->conn = NULL;
}

static void namenode_start(struct world *w, struct namenode *n)
{
    struct server_options o = {.listen_addr = "127.0.0.1:0", .conn_count_max = 16};
    struct conn_handlers h = {.on_request = on_request, .on_closed = on_conn_closed, .ctx = n};

    n->world = w;
    assert_int_equal(server_new(w->loop, w->slabs, &o, &h, &n->server), 0);
}

/* ---- the client ---- */

static void on_ready(void *ctx, int status)
{
    struct world *w = ctx;

    assert_false(w->ready);
    w->ready = true;
    w->ready_status = status;
}

static void on_lost(void *ctx)
{
    struct world *w = ctx;

    w->lost++;
}

static void on_version(void *ctx, uint64_t version)
{
    (void)ctx;
    (void)version;
}

static void on_inodes(void *ctx, uint64_t **inos, size_t *count)
{
    (void)ctx;
    *inos = mem_zalloc(2, sizeof(**inos));
    (*inos)[0] = 11;
    (*inos)[1] = 22;
    *count = 2;
}

static void on_closed(void *ctx)
{
    struct world *w = ctx;

    w->closed = true;
}

static void client_start(struct world *w, uint32_t io_timeout_ms, bool fail_fast)
{
    struct nn_options o = {.namenodes = w->addrs, .io_timeout_ms = io_timeout_ms};
    struct nn_events ev = {.ready = on_ready,
                           .session_lost = on_lost,
                           .pg_version = on_version,
                           .open_inodes = on_inodes,
                           .ctx = w};

    assert_int_equal(nn_new(w->loop, w->slabs, &o, fail_fast, &ev, &w->client), 0);
}

#define WAIT(w, cond)                                                                              \
    do {                                                                                           \
        for (int turns_ = 0; !(cond) && turns_ < TURNS_MAX; turns_++)                              \
            loop_run_once((w)->loop, true);                                                        \
        assert_true(cond);                                                                         \
    } while (0)

struct done {
    struct world *w;
    struct ll_call call;
    unsigned count;
    int status, meta_status;
    struct done *next;      /* made from inside the callback */
    struct done *interrupt; /* interrupted from inside the callback */
};

static void make_change(struct world *w, struct done *d);

static void on_done(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct done *d = ctx;

    d->count++;
    d->status = status;
    d->meta_status = reply == NULL ? 0 : reply->status;
    if (d->next != NULL)
        make_change(d->w, d->next);
    if (d->interrupt != NULL)
        ll_interrupt(&d->interrupt->call);
}

static void request(struct world *w, struct done *d, Dfs__MetaRequest__OpCase op)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__UnlinkOp unlink = DFS__UNLINK_OP__INIT;
    Dfs__GetattrOp getattr = DFS__GETATTR_OP__INIT;
    Dfs__OpenOp open = DFS__OPEN_OP__INIT;

    d->w = w;
    req.op_case = op;
    if (op == DFS__META_REQUEST__OP_UNLINK)
        req.unlink = &unlink;
    else if (op == DFS__META_REQUEST__OP_GETATTR)
        req.getattr = &getattr;
    else
        req.open = &open;
    nn_call(w->client, &d->call, &req, on_done, d);
}

static void make_change(struct world *w, struct done *d)
{
    request(w, d, DFS__META_REQUEST__OP_UNLINK);
}

static void make_read(struct world *w, struct done *d)
{
    request(w, d, DFS__META_REQUEST__OP_GETATTR);
}

static void be(struct namenode *n, enum mood mood, unsigned times)
{
    n->mood = mood;
    n->mood_left = times;
}

static int setup(void **state)
{
    struct world *w = MEM_NEW(struct world);

    assert_int_equal(loop_new(&w->loop), 0);
    w->slabs = slab_pool_new(1 << 20);
    w->next_session = 5;
    w->term = 3;
    namenode_start(w, &w->nn[0]);
    namenode_start(w, &w->nn[1]);
    snprintf(w->addrs, sizeof(w->addrs), "%s,%s", server_addr(w->nn[0].server),
             server_addr(w->nn[1].server));
    *state = w;
    return 0;
}

static struct world *connected(void **state)
{
    struct world *w = *state;

    client_start(w, 0, false);
    WAIT(w, w->ready);
    assert_int_equal(w->ready_status, 0);
    return w;
}

static void client_stop(struct world *w)
{
    if (w->client == NULL)
        return;
    nn_close(STEAL(w->client), on_closed, w);
    WAIT(w, w->closed);
}

static int teardown(void **state)
{
    struct world *w = *state;

    client_stop(w);
    server_free(w->nn[0].server);
    server_free(w->nn[1].server);
    for (int i = 0; i < 3; i++)
        loop_run_once(w->loop, false);
    slab_pool_free(w->slabs);
    loop_free(w->loop);
    free(w);
    return 0;
}

/* ---- exactly once ---- */

static void changes_get_growing_seqs_and_tell_the_floor(void **state)
{
    struct world *w = connected(state);
    struct done a = {0}, b = {0};

    make_change(w, &a);
    WAIT(w, a.count == 1);
    make_change(w, &b);
    WAIT(w, b.count == 1);
    assert_int_equal(w->seen[0].seq, 1);
    assert_int_equal(w->seen[0].floor, 1);
    assert_int_equal(w->seen[1].seq, 2);
    assert_int_equal(w->seen[1].floor, 2);
    assert_int_equal(w->seen[1].session, 5);
}

static void repeats_the_seq(void **state, enum mood mood, int code)
{
    struct world *w = connected(state);
    struct done a = {0}, b = {0}, r = {0};

    be(&w->nn[0], mood, 1);
    w->nn[0].code = code;
    make_change(w, &a);
    WAIT(w, a.count == 1);
    assert_int_equal(a.status, 0);
    assert_int_equal(w->seen_count, 2);
    assert_int_equal(w->seen[0].seq, 1);
    assert_int_equal(w->seen[1].seq, 1);
    assert_int_equal(w->seen[1].floor, 1);
    assert_int_equal(w->reclaimed_count, 2);
    assert_int_equal(w->reclaimed[1], 22);
    make_change(w, &b);
    make_read(w, &r);
    WAIT(w, b.count == 1 && r.count == 1);
    assert_int_equal(w->seen[2].floor, 2);
    assert_int_equal(w->seen[3].seq, 0);
    assert_int_equal(w->lost, 0);
}

static void a_lost_connection_repeats_the_same_seq(void **state)
{
    repeats_the_seq(state, HANG_UP, 0);
}

static void an_unknown_outcome_repeats_the_same_seq(void **state)
{
    repeats_the_seq(state, ERROR, DFS_EUNKNOWN_OUTCOME);
}

static void silence_repeats_the_same_seq(void **state)
{
    repeats_the_seq(state, SILENT, 0);
}

static void the_hint_is_followed(void **state)
{
    struct world *w = connected(state);
    struct done a = {0};

    be(&w->nn[0], ERROR, 1);
    w->nn[0].code = DFS_ENOTLEADER;
    w->nn[0].hint = server_addr(w->nn[1].server);
    make_change(w, &a);
    WAIT(w, a.count == 1);
    assert_int_equal(w->nn[1].renews, 1);
    assert_int_equal(w->seen[1].seq, 1);
}

/* Not round and round with a handshake each time: where we are, it will be known soon. */
static void while_they_elect_one_we_stay_and_ask_again(void **state)
{
    struct world *w = connected(state);
    struct done a = {0};

    w->nn[0].elections = 6;
    w->nn[1].elections = 2; /* It leads, and has not yet applied what was before. */
    w->nn[1].hint = server_addr(w->nn[1].server);
    be(&w->nn[0], ERROR, 1);
    w->nn[0].code = DFS_EUNKNOWN_OUTCOME;
    w->nn[0].hint = NULL;
    make_change(w, &a);
    WAIT(w, w->nn[0].elections == 1);
    assert_int_equal(w->nn[1].conns, 0);
    w->nn[0].hint = server_addr(w->nn[1].server);
    WAIT(w, a.count == 1);
    assert_int_equal(w->nn[0].conns, 1);
    assert_int_equal(w->nn[0].renews, 6);
    assert_int_equal(w->nn[1].conns, 1);
    assert_int_equal(w->nn[1].renews, 3);
    assert_int_equal(w->seen[1].seq, 1);
}

/* Who hung up on us and is still named may be there again, who named it need not be wrong. */
static void a_leader_that_only_hung_up_is_found_again(void **state)
{
    struct world *w = connected(state);
    struct done a = {0};

    be(&w->nn[0], HANG_UP, 1);
    w->nn[1].elections = 1000;
    w->nn[1].hint = server_addr(w->nn[0].server);
    make_change(w, &a);
    for (int turns = 0; a.count == 0 && turns < TURNS_MAX; turns++) {
        w->nn[1].elections = 1; /* Each of its answers carries the hint. */
        loop_run_once(w->loop, true);
    }
    assert_int_equal(a.count, 1);
    assert_true(w->nn[1].renews > 1 && w->nn[1].renews < 20);
    assert_int_equal(w->nn[0].conns, 2);
}

/* A refused change was never made: its seq must not hold back the floor while others go on. */
static void a_change_refused_for_now_does_not_hold_back_the_floor(void **state)
{
    struct world *w = connected(state);
    struct done a = {0}, b = {0}, c = {0};

    be(&w->nn[0], ERROR, 1);
    w->nn[0].code = -EAGAIN;
    make_change(w, &a);
    make_change(w, &b);
    WAIT(w, a.count == 1 && b.count == 1);
    make_change(w, &c);
    WAIT(w, c.count == 1);
    assert_int_equal(w->seen_count, 4);
    assert_int_equal(w->seen[2].seq, 3);
    assert_int_equal(w->seen[3].floor, 4);
}

/* It may have been made at its first sending: a new seq would make it twice. */
static void a_change_sent_twice_keeps_its_seq_when_refused(void **state)
{
    struct world *w = connected(state);
    struct done a = {0};

    be(&w->nn[0], HANG_UP, 1);
    be(&w->nn[1], ERROR, 1);
    w->nn[1].code = -EAGAIN;
    make_change(w, &a);
    WAIT(w, a.count == 1);
    assert_int_equal(w->seen_count, 3);
    assert_int_equal(w->seen[2].seq, 1);
}

static void a_full_window_is_not_the_applications_error(void **state)
{
    struct world *w = connected(state);
    struct done a = {0};

    w->meta_status = DFS_EBUSY_WINDOW;
    make_change(w, &a);
    WAIT(w, a.count == 1);
    assert_int_equal(a.status, 0);
    assert_int_equal(a.meta_status, 0);
    assert_int_equal(w->seen[1].seq, 1);
}

static void at_most_256_changes_are_under_way(void **state)
{
    enum { COUNT = 300 };
    static struct done d[COUNT];
    struct world *w = connected(state);
    struct done r = {0};

    memset(d, 0, sizeof(d));
    be(&w->nn[0], SILENT, 256);
    for (int i = 0; i < COUNT; i++)
        make_change(w, &d[i]);
    make_read(w, &r);
    WAIT(w, w->seen_count == 257);
    assert_int_equal(w->seen[255].seq, 256);
    WAIT(w, d[COUNT - 1].count == 1);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(d[i].count, 1);
}

/* ---- the session is lost ---- */

static void a_lost_session_fails_what_was_sent_and_goes_on_with_the_rest(void **state)
{
    struct world *w = connected(state);
    struct done sent = {0}, inside = {0}, read = {0}, other = {0};

    w->ended_below = 6;
    sent.next = &inside;
    sent.interrupt = &other;
    make_change(w, &sent);
    make_change(w, &other);
    make_read(w, &read);
    WAIT(w, sent.count == 1 && inside.count == 1 && read.count == 1 && other.count == 1);
    assert_int_equal(w->lost, 1);
    assert_int_equal(w->nn[0].opens, 2);
    assert_int_equal(sent.status, -EIO);
    assert_int_equal(inside.status, 0);
    assert_int_equal(read.status, 0);
    for (size_t i = 3; i < w->seen_count; i++) {
        assert_int_equal(w->seen[i].session, 6);
        assert_true(w->seen[i].seq <= 1);
    }
    /* Before it asks for anything under the new session: that would be told to be closed. */
    assert_int_equal(w->reclaimed_count, 2);
    assert_int_equal(w->seen_at_reclaim, 3);
}

/*
 * It remembers opens while it leads, and no longer. Until all have told it again, nothing that is
 * unlinked can go.
 */
static void a_leader_that_has_led_anew_is_told_again_what_is_open(void **state)
{
    struct world *w = connected(state);

    w->term++;
    WAIT(w, w->reclaimed_count == 2);
    assert_int_equal(w->misaddressed, 0);
    assert_int_equal(w->nn[0].conns, 2);
    assert_int_equal(w->nn[0].opens, 1);
    assert_int_equal(w->lost, 0);
}

/* What is held up on its way must not be taken for what is open now by one that leads later. */
static void what_is_open_is_told_to_a_leader_by_its_term(void **state)
{
    struct world *w = connected(state);
    struct done a = {0};

    be(&w->nn[0], HANG_UP, 1);
    make_change(w, &a);
    WAIT(w, w->seen_count == 1);
    w->term++;
    WAIT(w, a.count == 1);
    assert_int_equal(a.status, 0);
    assert_int_equal(w->misaddressed, 1);
    assert_int_equal(w->reclaimed_count, 2);
    assert_int_equal(w->seen_at_reclaim, 1); /* before anything was asked of it */
    assert_int_equal(w->seen_count, 2);
}

/* ---- interrupts and time limits ---- */

static void an_interrupted_read_ends_at_once(void **state)
{
    struct world *w = connected(state);
    struct done r = {0};

    be(&w->nn[0], SILENT, 1);
    make_read(w, &r);
    WAIT(w, w->seen_count == 1);
    ll_interrupt(&r.call);
    assert_int_equal(r.count, 1);
    assert_int_equal(r.status, -EINTR);
}

static void an_interrupted_change_that_was_sent_tells_what_came_of_it(void **state)
{
    struct world *w = connected(state);
    struct done a = {0};

    make_change(w, &a);
    ll_interrupt(&a.call);
    assert_int_equal(a.count, 0);
    WAIT(w, a.count == 1);
    assert_int_equal(a.status, 0);
}

static void a_change_interrupted_while_disconnected_is_finished_in_the_background(void **state)
{
    struct world *w = connected(state);
    struct done a = {0}, b = {0};

    be(&w->nn[0], HANG_UP, 1);
    a.next = &b;
    make_change(w, &a);
    ll_interrupt(&a.call);
    WAIT(w, a.count == 1);
    assert_int_equal(a.status, -EINTR);
    WAIT(w, b.count == 1 && w->seen_count == 3);
    assert_int_equal(w->seen[1].seq, 1);
    assert_int_equal(w->seen[2].seq, 2);
    assert_int_equal(w->seen[2].floor, 1);
}

/* Nobody would close what was opened for one who has gone: it could never be reaped. */
static void an_interrupted_open_is_closed_again(void **state)
{
    struct world *w = connected(state);
    struct done o = {0};

    request(w, &o, DFS__META_REQUEST__OP_OPEN);
    ll_interrupt(&o.call);
    assert_int_equal(o.count, 1);
    assert_int_equal(o.status, -EINTR);
    WAIT(w, w->seen_count == 2);
    assert_int_equal(w->seen[1].op, DFS__META_REQUEST__OP_CLOSE);
    assert_int_equal(o.count, 1);
}

static void io_timeout_ends_the_wait(void **state)
{
    struct world *w = *state;
    struct done a = {0}, r = {0}, inside = {0};

    client_start(w, 300, false);
    WAIT(w, w->ready);
    be(&w->nn[0], SILENT, 4);
    be(&w->nn[1], SILENT, 4);
    a.next = &inside;
    make_change(w, &a);
    make_read(w, &r);
    WAIT(w, a.count == 1 && r.count == 1);
    assert_int_equal(a.status, -ETIMEDOUT);
    assert_int_equal(r.status, -ETIMEDOUT);
    WAIT(w, inside.count == 1);
}

/* ---- start and end ---- */

static void fail_fast_says_that_nobody_is_there(void **state)
{
    struct world *w = *state;

    server_free(STEAL(w->nn[0].server));
    server_free(STEAL(w->nn[1].server));
    client_start(w, 0, true);
    WAIT(w, w->ready);
    assert_int_equal(w->ready_status, -ECONNREFUSED);
    assert_true(nn_problem(w->client)[0] != '\0');
}

static void closing_is_orderly_in_each_state(void **state)
{
    struct world *w = *state;
    struct done a = {0}, b = {0};

    client_start(w, 0, false); /* Seeking. */
    make_change(w, &a);
    client_stop(w);
    assert_int_equal(a.status, -ECANCELED);
    assert_false(w->ready);

    w->closed = false;
    client_start(w, 0, false); /* Attaching. */
    loop_run_once(w->loop, false);
    client_stop(w);

    w->closed = w->ready = false;
    connected(state);
    be(&w->nn[0], SILENT, 1);
    make_change(w, &b);
    client_stop(w);
    assert_int_equal(b.count, 1);
    assert_int_equal(b.status, -ECANCELED);
    assert_int_equal(w->nn[0].closes, 1);
}

static void closing_while_the_session_ends_opens_no_other(void **state)
{
    struct world *w = connected(state);
    struct done a = {0};

    w->ended_below = 6;
    make_change(w, &a);
    client_stop(w);
    assert_int_equal(a.status, -ECANCELED);
    assert_int_equal(w->nn[0].opens, 1);
    assert_int_equal(w->lost, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(changes_get_growing_seqs_and_tell_the_floor),
        TEST(a_lost_connection_repeats_the_same_seq),
        TEST(an_unknown_outcome_repeats_the_same_seq),
        TEST(silence_repeats_the_same_seq),
        TEST(the_hint_is_followed),
        TEST(while_they_elect_one_we_stay_and_ask_again),
        TEST(a_leader_that_only_hung_up_is_found_again),
        TEST(a_change_refused_for_now_does_not_hold_back_the_floor),
        TEST(a_change_sent_twice_keeps_its_seq_when_refused),
        TEST(a_full_window_is_not_the_applications_error),
        TEST(at_most_256_changes_are_under_way),
        TEST(a_lost_session_fails_what_was_sent_and_goes_on_with_the_rest),
        TEST(a_leader_that_has_led_anew_is_told_again_what_is_open),
        TEST(what_is_open_is_told_to_a_leader_by_its_term),
        TEST(an_interrupted_read_ends_at_once),
        TEST(an_interrupted_change_that_was_sent_tells_what_came_of_it),
        TEST(a_change_interrupted_while_disconnected_is_finished_in_the_background),
        TEST(an_interrupted_open_is_closed_again),
        TEST(io_timeout_ends_the_wait),
        TEST(fail_fast_says_that_nobody_is_there),
        TEST(closing_is_orderly_in_each_state),
        TEST(closing_while_the_session_ends_opens_no_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
