/*
 * Whom to ask: the connection to the namenode that leads, and the way to the next one when it is of
 * no use any more.
 *
 * A follower that knows of no leader yet will be among the first to know: while they elect one, we
 * stay there and ask again soon, over the same connection.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <utlist.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "libdfs/nn.h"
#include "libdfs/nn_impl.h"
#include "rpc/conn.h"
#include "rpc/msg.h"
#include "rpc/node.pb-c.h"

enum {
    SEEK_BACKOFF_MAX_MS =
        200,            /* between two namenodes; begins with SEEK_BACKOFF_MS, then doubled */
    STAY_FIRST_MS = 5,  /* at a follower, between the first questions: a planned change... */
    STAYS_FIRST = 4,    /* ...takes no longer; */
    STAY_MS = 25,       /* an election does; */
    STAYS_MAX = 40,     /* and after so many another one is tried */
    STAYS_LOST_MAX = 8, /* when it names one that hung up: it may be there again */
};

void nn_set_problem(struct nn *nn, const char *addr, int code, const char *text)
{
    if (code == -ECONNRESET && nn->tls == NULL)
        text = "it may want TLS; set ca, cert and key in section [tls]";
    snprintf(nn->problem, sizeof(nn->problem), "namenode %s: %s%s%s", addr, dfs_strerror(code),
             text[0] != '\0' ? ": " : "", text);
}

/* One lives, and none leads: that says more than what the last one asked said. */
static void set_leaderless(struct nn *nn)
{
    char last[PROBLEM_MAX];

    snprintf(last, sizeof(last), "%s", nn->problem);
    snprintf(nn->problem, sizeof(nn->problem),
             "none of the namenodes leads: more than half of them must run (%.400s)", last);
}

void nn_tell_ready(struct nn *nn, int status)
{
    if (nn->told_ready)
        return;
    nn->told_ready = true;
    nn->ev.ready(nn->ev.ctx, status);
}

static bool waits_interrupted(const struct nn_call *call)
{
    return call->interrupted && !call->done;
}

/* What has no answer yet on this connection will be sent again, here or elsewhere. */
void nn_unsend(struct nn *nn)
{
    struct nn_call *call;

    conn_cancel(nn->conn, nn->attach_rpc);
    nn->attach_rpc = 0;
    DL_FOREACH (nn->calls, call) {
        if (call->sent)
            conn_cancel(nn->conn, call->rpc);
        call->sent = false;
    }
}

static void abandon_interrupted(struct nn *nn)
{
    struct nn_call *call;

    while ((call = nn_call_first(nn, waits_interrupted)) != NULL)
        nn_call_abandon(call, -EINTR);
}

void nn_disconnect(struct nn *nn)
{
    if (nn->conn == NULL)
        return;
    if (nn->state != NN_CLOSING)
        nn->state = NN_SEEKING; /* What the callbacks below ask anew waits. */
    nn_unsend(nn);
    conn_free(STEAL(nn->conn));
    abandon_interrupted(nn);
}

const char *nn_present_addr(const struct nn *nn)
{
    return nn->hint[0] != '\0' ? nn->hint : nn->addrs[nn->addr_at];
}

void nn_lost(struct nn *nn, bool silent)
{
    snprintf(nn->lost, sizeof(nn->lost), "%s", nn_present_addr(nn));
    nn->lost_silent = silent;
}

/* The present namenode is of no use: try another, at once when one was named. */
void nn_seek_again(struct nn *nn, const char *hint)
{
    uint32_t wait = nn->backoff_ms;

    nn_disconnect(nn);
    if (nn->state == NN_CLOSING)
        return;
    nn->failures++;
    nn->unheard++;
    nn->stays = 0;
    nn->hint[0] = '\0';
    if (hint != NULL && hint[0] != '\0' && nn->hint_hops < nn->addr_count) {
        snprintf(nn->hint, sizeof(nn->hint), "%s", hint);
        nn->hint_hops++;
        wait = 0;
    } else {
        nn->hint_hops = 0;
        nn->addr_at = (nn->addr_at + 1) % nn->addr_count;
        if (nn->failures % nn->addr_count == 0)
            nn->backoff_ms = MIN(nn->backoff_ms * 2, (uint32_t)SEEK_BACKOFF_MAX_MS);
    }
    if (nn->fail_fast && !nn->told_ready &&
        (nn->unheard >= 2 * nn->addr_count || loop_now_ns(nn->loop) >= nn->give_up_ns)) {
        if (nn->met_follower)
            set_leaderless(nn);
        nn_tell_ready(nn, nn->was_refused ? -EACCES : nn->unheard > 1 ? -ECONNREFUSED : -ETIMEDOUT);
        return;
    }
    loop_timer_start(nn->seek_timer, wait, 0);
}

static void on_closed(void *ctx, struct conn *c, int reason)
{
    struct nn *nn = ctx;

    nn_set_problem(nn, nn_present_addr(nn), reason, conn_close_text(c));
    log_debug("connection to a namenode ended", "addr=%s reason=%s", nn_present_addr(nn),
              dfs_strerror(reason));
    nn->was_refused = nn->was_refused || reason == -EACCES;
    nn_lost(nn, false);
    nn_seek_again(nn, NULL);
}

static void on_request(void *ctx, struct conn *c, const struct rpc_frame *f)
{
    (void)ctx;
    conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_EPROTO, "a client answers nothing");
}

void nn_seek(void *ctx)
{
    struct nn *nn = ctx;
    const struct conn_handlers h = {.on_request = on_request, .on_closed = on_closed, .ctx = nn};
    int r;

    if (nn->conn != NULL) { /* We have stayed. */
        nn_attach(nn);
        return;
    }
    r = conn_connect(nn->loop, nn->slabs, nn_present_addr(nn), nn->tls, &h, &nn->conn);
    if (r < 0) {
        nn_set_problem(nn, nn_present_addr(nn), r, "");
        nn_lost(nn, false);
        nn_seek_again(nn, NULL);
        return;
    }
    conn_want_role(nn->conn, "namenode");
    nn->state = NN_ATTACHING;
    nn_attach(nn);
}

/*
 * How long it is waited for where we are. That one knows of no leader, or will be it itself, or names
 * one that we have just lost: it will soon notice. A leader that hung up may also be there again;
 * one that is silent costs us a long time if we ask it once more.
 */
static unsigned stays_max(const struct nn *nn, const char *hint)
{
    if (strcmp(hint, nn->lost) == 0 && hint[0] != '\0')
        return nn->lost_silent ? STAYS_MAX : STAYS_LOST_MAX;
    return hint[0] == '\0' || strcmp(hint, nn_present_addr(nn)) == 0 ? STAYS_MAX : 0;
}

/* True: we ask the same one again in a moment. */
static bool stay(struct nn *nn, const char *hint)
{
    if (nn->state == NN_CLOSING || conn_is_closed(nn->conn) || nn->stays >= stays_max(nn, hint))
        return false;
    nn->state = NN_ATTACHING;
    nn_unsend(nn);
    abandon_interrupted(nn);
    loop_timer_start(nn->seek_timer, nn->stays < STAYS_FIRST ? STAY_FIRST_MS : STAY_MS, 0);
    nn->stays++;
    return true;
}

/* A refusal that says something about the namenode rather than the call. True: handled. */
bool nn_leader_refused(struct nn *nn, int status, const struct rpc_frame *f)
{
    CLEANUP_MSG struct msg_arena arena;
    const Dfs__Error *e = NULL;
    const char *hint;

    msg_arena_init(&arena);
    if (status != DFS_ENOTLEADER && status != DFS_EUNKNOWN_OUTCOME)
        return false;
    if (f != NULL)
        e = msg_unpack(&arena, &dfs__error__descriptor, f->body, f->header.body_len);
    nn_set_problem(nn, nn_present_addr(nn), status, e == NULL ? "" : e->text);
    nn->unheard = 0; /* It lives; they will agree on a leader. */
    nn->met_follower = true;
    hint = e == NULL ? "" : e->leader_addr;
    if (!stay(nn, hint))
        nn_seek_again(nn, hint);
    return true;
}
