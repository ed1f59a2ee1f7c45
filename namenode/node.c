/*
 * The heart of a replica: node_step() gives raft an event and does what follows; what may run others'
 * code (applying, answers, changes of role) is left to the end of the loop turn, not to run in the call.
 */
#include "namenode/node_impl.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/strutil.h"
#include "rpc/conn.h"

enum { FAULT_EVERY_S = 10 };

void node_die(struct node *n, const char *what, int error)
{
    log_error("the namenode has to stop", "id=%" PRIu64 " failed=\"%s\" %s", n->conf->id.v, what,
              dfs_strerror(error));
    if (n->kv && kv_is_damaged(n->kv))
        node_note_damage(n);
    abort();
}

void node_check_store(struct node *n, int error)
{
    if (kv_is_damaged(n->kv))
        node_die(n, "read the metadata store", error);
}

bool node_is_leader(const struct node *n)
{
    return n->role == RAFT_LEADER;
}

/* ---- what an update asks for ---- */

static const char *fault_text(enum raft_fault fault)
{
    switch (fault) {
    case RAFT_FAULT_NONE:
        break;
    case RAFT_FAULT_CLUSTER:
        return "it is of another cluster";
    case RAFT_FAULT_UUID:
        return "its data directory is another than before: wiped, or started twice";
    case RAFT_FAULT_MISSENT:
        return "it was meant for somebody else";
    case RAFT_FAULT_PROTOCOL:
        return "no correct replica sends it";
    }
    return "?";
}

static void take_snapshots(struct node *n, const struct raft_update *up)
{
    for (size_t i = 0; i < up->snapshot_wanted_count; i++)
        snap_sender_want(n->snap_sender, up->snapshot_wanted[i]);
    if (up->snapshot_offered) {
        const char *addr = peers_addr(n->peers, up->snapshot_from);
        const struct raft_member *m =
            raft_conf_find(&up->snapshot_offered->conf, up->snapshot_from);

        if (!addr && m) /* We are new here: the snapshot itself tells who the members are. */
            addr = m->addr;
        log_info("too far behind: a snapshot is fetched",
                 "from=%" PRIu64 " index=%" PRIu64 " applied=%" PRIu64, up->snapshot_from.v,
                 up->snapshot_offered->index, n->applied);
        snap_receiver_fetch(n->snap_receiver, addr ? addr : "", up->snapshot_offered);
    }
}

/* All that was lost is there again, in the log or by a snapshot. */
static void set_recovered(struct node *n)
{
    int r = data_dir_set_sound(n->dir);

    if (r < 0)
        node_die(n, "note that the metadata store is whole again", r);
    raft_log_set_recovered(n->log);
}

static void take_role(struct node *n, const struct raft_update *up)
{
    bool led = node_is_leader(n);
    uint64_t term = n->term;

    if (up->role != n->role || up->leader.v != n->leader.v)
        log_info("role", "id=%" PRIu64 " role=%s term=%" PRIu64 " leader=%" PRIu64, n->conf->id.v,
                 raft_role_name(up->role), up->term, up->leader.v);
    if (up->leader.v != n->leader.v && up->leader.v != 0)
        n->stats.leader_changes++;
    if (n->role == RAFT_RECOVERING && up->role != RAFT_RECOVERING)
        set_recovered(n);
    n->role = up->role;
    n->term = up->term;
    n->leader = up->leader;
    n->leader_ready = up->leader_ready;
    n->transferring = up->transferring;
    if (up->leader.v != 0 && !up->transferring)
        n->successor = RAFT_NOBODY;
    if (node_is_leader(n) && (!led || n->term != term)) {
        struct raft_status st;

        raft_status(n->raft, &st);
        n->ready_index = st.last_index; /* Our first entry; all of the past is before it. */
    }
    if (led && (!node_is_leader(n) || n->term != term)) {
        node_fail_proposals(n);
        node_fail_reads(n);
    }
}

/* Who is refused goes on sending: once in a while is enough. */
static void tell_fault(struct node *n, const struct raft_update *up)
{
    uint64_t now_ns = clock_monotonic_ns(clock_system());

    if (n->fault_ns != 0 && now_ns - n->fault_ns < FAULT_EVERY_S * CLOCK_NS_PER_S)
        return;
    n->fault_ns = now_ns;
    log_warn("a message of a namenode was refused", "from=%" PRIu64 " why=\"%s\"", up->fault_from.v,
             fault_text(up->fault));
}

void node_take_update(struct node *n, const struct raft_update *up)
{
    raft_log_append_async(n->log, up);
    for (size_t i = 0; i < up->message_count; i++)
        peers_send(n->peers, &up->messages[i]);
    if (up->fault != RAFT_FAULT_NONE)
        tell_fault(n, up);
    if (up->conf_changed)
        peers_set_members(n->peers, raft_conf(n->raft));
    take_role(n, up);
    n->commit = up->commit_index;
    node_take_reads(n, up);
    take_snapshots(n, up);
    node_need_turn(n);
}

int node_step_update(struct node *n, struct raft_event *ev, struct raft_update *up)
{
    int r;

    ev->now_ns = (int64_t)clock_monotonic_ns(clock_system());
    r = raft_step(n->raft, ev, up);
    node_take_update(n, up);
    return r;
}

int node_step(struct node *n, struct raft_event *ev)
{
    struct raft_update up;

    return node_step_update(n, ev, &up);
}

/* ---- the end of a turn ---- */

bool node_is_serving(const struct node *n)
{
    return n->leader_ready && node_is_leader(n) && n->applied >= n->ready_index;
}

static void tell_serving(struct node *n)
{
    bool serving = node_is_serving(n);

    if (n->serving_term != 0 && (!serving || n->serving_term != n->term)) {
        n->serving_term = 0;
        log_info("no longer serving", "id=%" PRIu64, n->conf->id.v);
        for (unsigned i = 0; i < n->watch_count; i++) {
            if (n->watches[i].stopped)
                n->watches[i].stopped(n->watches[i].ctx);
        }
    }
    if (serving && n->serving_term == 0) {
        n->serving_term = n->term;
        log_info("serving", "id=%" PRIu64 " term=%" PRIu64 " applied=%" PRIu64, n->conf->id.v,
                 n->term, n->applied);
        loop_timer_start(n->care_timer, 0, CARE_MS); /* A new cluster waits to be made. */
        for (unsigned i = 0; i < n->watch_count; i++) {
            if (n->watches[i].serving)
                n->watches[i].serving(n->watches[i].ctx, n->term);
        }
    }
}

static void turn_again(void *ctx)
{
    node_need_turn(ctx);
}

static void node_turn(void *ctx)
{
    struct node *n = ctx;

    n->turn_deferred = false;
    n->in_turn = true;
    node_apply_entries(n);
    do {
        n->turn_again = false;
        tell_serving(n);
        (void)node_run_completions(n);
        if (proposals_is_due(&n->proposals) && !n->transferring)
            node_flush_batch(n);
        if (n->hash_due != 0)
            node_propose_hash(n);
    } while (n->turn_again);
    n->in_turn = false;
    /* A long way to go: connections and timers have their turn in between. */
    if (n->applied < n->commit && !n->waits_for_fetch) {
        loop_cancel(n->loop, turn_again, n);
        loop_post(n->loop, turn_again, n);
    }
}

void node_need_turn(struct node *n)
{
    n->turn_again = true;
    if (n->in_turn || n->turn_deferred || n->is_closing)
        return;
    n->turn_deferred = true;
    loop_defer(n->loop, node_turn, n);
}

/* ---- events ---- */

static void on_tick(void *ctx)
{
    struct raft_event ev = {.type = RAFT_EV_TICK};

    (void)node_step(ctx, &ev);
}

static void on_durable(void *ctx, uint64_t write_id)
{
    struct node *n = ctx;
    struct raft_event ev = {.type = RAFT_EV_DURABLE, .write_id = write_id};

    proposals_durable(&n->proposals, write_id);
    (void)node_step(n, &ev);
}

static void receive(struct node *n, struct conn *c, const uint8_t *body, size_t len)
{
    struct raft_msg msg;
    struct raft_event ev = {.type = RAFT_EV_MESSAGE, .msg = &msg};
    int r = raft_msg_decode(body, len, &msg);

    if (r < 0) {
        log_warn("a message of a namenode cannot be read", "from=%s %s", conn_peer_addr(c),
                 dfs_strerror(r));
        return;
    }
    if (node_peer_is_known(n, &msg)) {
        peers_heard(n->peers, msg.from, c);
        (void)node_step(n, &ev);
    }
    raft_msg_done(&msg);
}

static void on_peer_frame(void *ctx, struct conn *c, const uint8_t *body, size_t len)
{
    receive(ctx, c, body, len);
}

static void on_peer_space(void *ctx, const struct rpc_frame *f)
{
    node_on_space(ctx, f);
}

void node_on_raft(struct node *n, struct conn *c, const struct rpc_frame *f)
{
    receive(n, c, f->body, f->header.body_len);
}

void node_on_closed(struct node *n, struct conn *c)
{
    peers_closed(n->peers, c);
    snap_sender_closed(n->snap_sender, c);
}

static void on_unreachable(void *ctx, struct raft_id peer)
{
    struct raft_event ev = {.type = RAFT_EV_PEER_UNREACHABLE, .peer = peer};

    (void)node_step(ctx, &ev);
}

const char *node_path(struct node *n, const char *name)
{
    return data_dir_path(n->dir, name);
}

/* ---- start and end ---- */

static int start_parts(struct node *n)
{
    struct peers_config pc = {.loop = n->loop,
                              .slabs = n->slabs,
                              .tls = n->tls,
                              .self = n->conf->id,
                              .format = n->conf->format,
                              .received = on_peer_frame,
                              .space = on_peer_space,
                              .unreachable = on_unreachable,
                              .ctx = n};

    int r;

    n->peers = peers_new(&pc);
    r = node_start_snapshots(n);
    return r < 0 ? r : node_start_scrub(n);
}

static int open_state(struct node *n)
{
    int r = node_open_store(n);

    return r < 0 ? r : node_open_raft(n, on_durable);
}

int node_new(struct loop *loop, struct slab_pool *slabs, struct tls *tls,
             const struct node_conf *conf, struct node **ret_node)
{
    CLEANUP(node) struct node *n = MEM_NEW(struct node);
    struct raft_update up;
    int r;

    n->loop = loop;
    n->slabs = slabs;
    n->tls = tls;
    n->conf = conf;
    n->lock_fd = -1;
    n->next_read = 1;
    r = node_open_dir(n);
    if (r < 0)
        return r;
    r = open_state(n);
    if (n->is_damaged)
        r = node_begin_anew(n) < 0 ? r : open_state(n);
    if (r < 0)
        return r;
    n->applied = n->commit = fsm_applied(n->fsm).index;
    r = start_parts(n);
    if (r < 0)
        return r;
    peers_set_members(n->peers, raft_conf(n->raft));
    n->flushed_ns = clock_monotonic_ns(clock_system());
    raft_start(n->raft, (int64_t)clock_monotonic_ns(clock_system()), &up);
    node_take_update(n, &up);
    n->tick_timer = loop_timer_new(loop, on_tick, n);
    loop_timer_start(n->tick_timer, TICK_MS, TICK_MS);
    n->care_timer = loop_timer_new(loop, node_care, n);
    loop_timer_start(n->care_timer, CARE_MS, CARE_MS);
    n->convert_timer = loop_timer_new(loop, node_convert, n);
    *ret_node = STEAL(n);
    return 0;
}

void node_end_calls(struct node *n)
{
    n->is_closing = true;
    loop_cancel(n->loop, node_turn, n);
    loop_cancel(n->loop, turn_again, n);
    node_cancel_damage(n);
    node_fail_proposals(n);
    node_fail_reads(n);
    while (node_run_completions(n))
        ;
}

void node_free(struct node *n)
{
    if (!n)
        return;
    node_end_calls(n);
    loop_timer_free(n->tick_timer);
    loop_timer_free(n->care_timer);
    loop_timer_free(n->convert_timer);
    loop_timer_free(n->stop_timer);
    node_stop_scrub(n);
    snap_receiver_free(n->snap_receiver);
    snap_sender_free(n->snap_sender);
    raft_log_close(n->log);
    peers_free(n->peers);
    raft_free(n->raft);
    node_propose_done(n);
    node_close_store(n);
    disk_space_close(n->space);
    data_dir_close(n->dir);
    node_unlock_dir(n);
    free(n);
}

/* ---- leaving ---- */

static void stop_now(struct node *n)
{
    void (*done)(void *ctx) = STEAL(n->stop_done);

    loop_timer_free(STEAL(n->stop_timer));
    (void)fsm_flush(n->fsm, true); /* The next start replays nothing. */
    done(n->stop_ctx);
}

/* While nobody can take over yet, we go on serving. */
static void on_stop_timer(void *ctx)
{
    struct node *n = ctx;
    int r = 0;

    n->stop_waits_ms += TICK_MS;
    if (node_is_leader(n) && !n->transferring)
        r = node_transfer(n, RAFT_NOBODY);
    if (node_is_leader(n) && n->stop_waits_ms < n->conf->stop_ms && (r == 0 || r == -EAGAIN))
        return;
    if (node_is_leader(n) && raft_conf(n->raft)->count > 1)
        log_warn("leadership could not be handed over in time", "id=%" PRIu64, n->conf->id.v);
    stop_now(n);
}

void node_stop(struct node *n, void (*done)(void *ctx), void *ctx)
{
    assert(!n->stop_done);
    n->stop_done = done;
    n->stop_ctx = ctx;
    n->stop_waits_ms = 0;
    n->stop_timer = loop_timer_new(n->loop, on_stop_timer, n);
    loop_timer_start(n->stop_timer, 0, TICK_MS);
}

/*
 * Can it lead at once? 0; -EAGAIN: it has been restarted just now, and has no vote for a while (R5):
 * meanwhile nothing would be decided. -ENOTCONN: it is not heard.
 */
static int check_successor(const struct node *n, const struct raft_peer_status *p)
{
    uint64_t now_ns = loop_now_ns(n->loop), open_ns = peers_open_ns(n->peers, p->id);
    uint64_t election_ns = n->conf->election_ms * CLOCK_NS_PER_MS;

    if (open_ns == 0 || (uint64_t)p->acked_ns + election_ns < now_ns)
        return -ENOTCONN;
    return now_ns - open_ns < 2 * election_ns ? -EAGAIN : 0;
}

/* The voter that has most of the log and was heard last, of those that can. */
static int best_successor(const struct node *n, const struct raft_status *st,
                          struct raft_id *ret_id)
{
    const struct raft_peer_status *best = NULL;
    int result = -ENOENT;

    for (unsigned i = 0; i < st->peer_count; i++) {
        const struct raft_peer_status *p = &st->peers[i];
        int r;

        if (!p->voter || p->id.v == st->id.v)
            continue;
        r = check_successor(n, p);
        if (r == -EAGAIN || (r < 0 && result == -ENOENT))
            result = r;
        if (r == 0 && (!best || p->match_index > best->match_index ||
                       (p->match_index == best->match_index && p->acked_ns > best->acked_ns)))
            best = p;
    }
    if (!best)
        return result;
    *ret_id = best->id;
    return 0;
}

static int check_wanted(const struct node *n, const struct raft_status *st, struct raft_id id)
{
    for (unsigned i = 0; i < st->peer_count; i++) {
        if (st->peers[i].id.v == id.v && st->peers[i].voter && id.v != st->id.v)
            return check_successor(n, &st->peers[i]);
    }
    return 0; /* Raft knows what is wrong with it. */
}

int node_transfer(struct node *n, struct raft_id to)
{
    struct raft_event ev = {.type = RAFT_EV_TRANSFER, .peer = to};
    struct raft_status st;
    int r;

    if (!node_is_leader(n))
        return DFS_ENOTLEADER;
    raft_status(n->raft, &st);
    r = to.v == 0 ? best_successor(n, &st, &ev.peer) : check_wanted(n, &st, to);
    if (r < 0)
        return r;
    r = node_step(n, &ev);
    if (r == 0)
        n->successor = ev.peer;
    return r == RAFT_NOT_LEADER ? DFS_ENOTLEADER : r;
}

/* ---- members ---- */

static int change_member(struct node *n, enum raft_conf_op op, const struct raft_member *m)
{
    struct raft_event ev = {.type = RAFT_EV_CONF_CHANGE, .conf_change = {.op = op, .member = *m}};
    int r = node_step(n, &ev);

    if (r == 0)
        log_info("the group of namenodes changes", "%s=%" PRIu64 " addr=%s",
                 op == RAFT_CONF_REMOVE ? "removed" : "added", m->id.v, m->addr);
    return r == RAFT_NOT_LEADER ? DFS_ENOTLEADER : r;
}

int node_add_member(struct node *n, struct raft_id id, const char *addr)
{
    struct raft_member m = {.id = id};
    char host[RAFT_ADDR_MAX];
    uint16_t port;

    if (!node_is_serving(n))
        return DFS_ENOTLEADER;
    if (id.v == 0 || strlen(addr) >= sizeof(m.addr) ||
        str_parse_addr(addr, host, sizeof(host), &port) < 0 || port == 0)
        return -EINVAL;
    if (node_id_is_used(n, id))
        return -EEXIST;
    memcpy(m.addr, addr, strlen(addr) + 1);
    return change_member(n, RAFT_CONF_ADD_LEARNER, &m);
}

/* Without this one, are more than half of those that vote heard? Else nobody could lead any more. */
static bool may_go(const struct node *n, struct raft_id id)
{
    int64_t now_ns = (int64_t)clock_monotonic_ns(clock_system());
    unsigned voters = 0, heard = 0;
    struct raft_status st;

    raft_status(n->raft, &st);
    for (unsigned i = 0; i < st.peer_count; i++) {
        const struct raft_peer_status *p = &st.peers[i];

        if (!p->voter || p->id.v == id.v)
            continue;
        voters++;
        heard += p->id.v == st.id.v || now_ns - p->acked_ns < LIVE_PEER_NS;
    }
    return voters == 0 || 2 * heard > voters;
}

int node_remove_member(struct node *n, struct raft_id id)
{
    struct raft_member m = {.id = id};
    const struct raft_member *old = raft_conf_find(raft_conf(n->raft), id);

    if (!node_is_serving(n))
        return DFS_ENOTLEADER;
    if (old)
        m = *old;
    if (old && old->voter && !may_go(n, id))
        return -EBUSY;
    return change_member(n, RAFT_CONF_REMOVE, &m);
}

bool node_snapshot_is_refused(struct node *n, struct raft_id id, uint64_t *ret_need_bytes,
                              uint64_t *ret_free_bytes)
{
    return snap_sender_refused(n->snap_sender, id, ret_need_bytes, ret_free_bytes);
}

/* ---- questions ---- */

void node_watch(struct node *n, const struct node_watch *w)
{
    assert(n->watch_count < NODE_WATCHES_MAX);
    n->watches[n->watch_count++] = *w;
}

void node_watch_drop(struct node *n, const void *ctx)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < n->watch_count; i++) {
        if (n->watches[i].ctx != ctx)
            n->watches[kept++] = n->watches[i];
    }
    n->watch_count = kept;
}

uint64_t node_term(const struct node *n)
{
    return n->term;
}

struct raft_id node_id(const struct node *n)
{
    return n->conf->id;
}

struct raft_id node_leader(const struct node *n)
{
    return n->leader;
}

const char *node_leader_addr(const struct node *n)
{
    struct raft_id leader = n->leader.v != 0 ? n->leader : n->successor;
    const struct raft_member *m = raft_conf_find(raft_conf(n->raft), leader);

    return m ? m->addr : "";
}

uint64_t node_commit_index(const struct node *n)
{
    return n->commit;
}

uint64_t node_applied_index(const struct node *n)
{
    return n->applied;
}

void node_raft_status(const struct node *n, struct raft_status *ret_status)
{
    raft_status(n->raft, ret_status);
}

const struct raft_conf *node_raft_conf(const struct node *n)
{
    return raft_conf(n->raft);
}

struct fsm *node_fsm(struct node *n)
{
    return n->fsm;
}

struct loop *node_loop(struct node *n)
{
    return n->loop;
}

const struct node_conf *node_conf_of(const struct node *n)
{
    return n->conf;
}

const struct node_stats *node_stats(const struct node *n)
{
    return &n->stats;
}

const struct node_memory *node_memory(const struct node *n)
{
    return &n->memory;
}

const struct raft_log_stats *node_log_stats(const struct node *n)
{
    return raft_log_stats(n->log);
}
