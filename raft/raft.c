/*
 * The step function: checks where a message comes from (R9), applies the term rule, hands each
 * event to the file that knows it, and gathers the update.
 */
#include "raft/raft.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raft/internal.h"
#include "raft/mem.h"

void raft_config_init(struct raft_config *config)
{
    *config = (struct raft_config){
        .heartbeat_ns = 50 * 1000000LL,
        .election_min_ns = 500 * 1000000LL,
        .election_max_ns = 1000 * 1000000LL,
        .quarantine_ns = 1000 * 1000000LL,
        .read_lease = true,
        .cache_bytes = 64 << 20,
        .append_bytes_max = 1 << 20,
        .inflight_messages_max = 64,
        .inflight_bytes_max = 8 << 20,
        .uncommitted_bytes_max = 64 << 20,
    };
}

static bool config_is_sound(const struct raft_config *c)
{
    return c->id.v != 0 && c->heartbeat_ns > 0 && c->election_min_ns > c->heartbeat_ns &&
           c->election_max_ns > c->election_min_ns && c->quarantine_ns >= c->election_max_ns &&
           c->inflight_messages_max > 0 && c->inflight_bytes_max > 0 && c->append_bytes_max > 0 &&
           c->append_bytes_max <= RAFT_ENTRY_BYTES_MAX && c->entries_read != NULL;
}

int raft_new(const struct raft_config *config, const struct raft_boot *boot, struct raft **ret_raft)
{
    const struct raft_point *applied = &boot->applied;
    uint64_t base = boot->log_first > 0 ? boot->log_first - 1 : applied->index;
    struct raft *r;

    if (!config_is_sound(config) || base > applied->index || boot->faulty_from > boot->faulty_to ||
        (boot->faulty_to > 0 && boot->faulty_term == 0))
        return -EINVAL;

    r = raft_alloc(1, sizeof(*r));
    r->cfg = *config;
    if (r->cfg.inflight_messages_max > INFLIGHT_MAX)
        r->cfg.inflight_messages_max = INFLIGHT_MAX;
    r->rng = config->seed;
    r->hard_state = boot->hard_state;
    entries_init(&r->log, base, base == applied->index ? applied->term : 0);
    members_init(&r->members, applied->index, &applied->conf);
    r->applied_index = applied->index;
    r->boot_applied = *applied;
    r->alone_since_ns = boot->alone_since_ns;
    if (boot->faulty_to > applied->index)
        r->faulty_to = boot->faulty_to;
    r->faulty_term = boot->faulty_term;
    r->role = r->faulty_to > 0 ? RAFT_RECOVERING : RAFT_FOLLOWER;
    r->peers = raft_alloc(RAFT_MEMBERS_MAX, sizeof(*r->peers));
    *ret_raft = r;
    return 0;
}

int raft_restore(struct raft *r, const struct raft_entry *entry)
{
    struct raft_conf conf;

    assert(!r->started);
    if (entry->index != r->log.last_index + 1 || entry->term < entries_last_term(&r->log))
        return -EBADMSG;
    if (entry->type == RAFT_ENTRY_CONF && entry->index > r->applied_index) {
        if (raft_conf_decode(entry->buf->data, entry->buf->len, &conf) < 0)
            return -EBADMSG;
        members_append(&r->members, entry->index, &conf);
    }
    entries_append(&r->log, entry);
    entries_evict(&r->log, entry->index, r->cfg.cache_bytes);
    return 0;
}

void raft_set_cluster(struct raft *r, const struct raft_uuid *cluster)
{
    r->cfg.cluster = *cluster;
}

void raft_free(struct raft *r)
{
    if (r == NULL)
        return;
    outbox_done(&r->out);
    entries_done(&r->log);
    members_done(&r->members);
    free(r->peers);
    free(r->reads);
    free(r);
}

static void send_msg(struct raft *r, struct raft_id to, struct raft_msg *msg, bool after_log)
{
    msg->cluster = r->cfg.cluster;
    msg->from = r->cfg.id;
    msg->from_uuid = r->cfg.uuid;
    msg->to = to;
    if (msg->term == 0)
        msg->term = r->hard_state.term;
    outbox_message(&r->out, msg, after_log);
}

void raft_send(struct raft *r, struct raft_id to, struct raft_msg *msg)
{
    send_msg(r, to, msg, false);
}

void raft_send_after_log(struct raft *r, struct raft_id to, struct raft_msg *msg)
{
    send_msg(r, to, msg, true);
}

void raft_set_hard_state(struct raft *r, uint64_t term, struct raft_id vote)
{
    assert(term >= r->hard_state.term);
    if (term > r->hard_state.term)
        outbox_drop_held(&r->out);
    else
        assert(r->hard_state.vote.v == 0);
    r->hard_state = (struct raft_hard_state){term, vote};
    r->out.hard_state_changed = true;
}

/* The one place where an entry is made. R9b: it carries the term its proposer was elected in. */
void raft_append_own(struct raft *r, enum raft_entry_type type, struct raft_buf *buf)
{
    struct raft_entry entry = {r->log.last_index + 1, r->hard_state.term, type, buf};

    assert(r->role == RAFT_LEADER && r->leader_term == r->hard_state.term);
    if (MUTANT(r, HEARD_TERM) && r->heard_term > entry.term)
        entry.term = r->heard_term;
    entries_append(&r->log, &entry);
    outbox_entry(&r->out, &entry);
    r->uncommitted_bytes += buf->len;
}

void raft_fault(struct raft *r, const struct raft_msg *msg, enum raft_fault fault)
{
    r->out.fault = fault;
    r->out.fault_from = msg->from;
}

struct progress *raft_find_peer(struct raft *r, struct raft_id id)
{
    for (unsigned i = 0; i < r->peer_count; i++) {
        if (r->peers[i].id.v == id.v)
            return &r->peers[i];
    }
    return NULL;
}

/* R2: until an entry of our own term is committed, we do not know what is. */
bool raft_is_leader_ready(const struct raft *r)
{
    return r->role == RAFT_LEADER && r->commit_index >= r->first_own_index;
}

/* What may be applied: an entry that our disk could still lose is not shown as committed. */
uint64_t raft_visible_commit(const struct raft *r)
{
    return r->commit_index < r->durable_index ? r->commit_index : r->durable_index;
}

static bool uuid_differs(const struct raft_uuid *a, const struct raft_uuid *b)
{
    static const struct raft_uuid unknown;

    return memcmp(a, &unknown, sizeof(*a)) != 0 && memcmp(b, &unknown, sizeof(*b)) != 0 &&
           memcmp(a, b, sizeof(*a)) != 0;
}

/* R9: is this message for us, from whom it says? */
static enum raft_fault check_sender(const struct raft *r, const struct raft_msg *msg)
{
    const struct raft_member *member = raft_conf_find(members_now(&r->members), msg->from);

    if (uuid_differs(&msg->cluster, &r->cfg.cluster))
        return RAFT_FAULT_CLUSTER;
    if (msg->to.v != r->cfg.id.v)
        return RAFT_FAULT_MISSENT;
    if (msg->from.v == 0 || msg->from.v == r->cfg.id.v)
        return RAFT_FAULT_PROTOCOL;
    if (member != NULL && uuid_differs(&member->uuid, &msg->from_uuid))
        return RAFT_FAULT_UUID;
    return RAFT_FAULT_NONE;
}

/* R4: who lives in an older term must learn of the newer one, or might never again. */
static void answer_older_term(struct raft *r, const struct raft_msg *msg)
{
    struct raft_msg reply = {.type = RAFT_MSG_HIGHER_TERM};

    switch (msg->type) {
    case RAFT_MSG_PREVOTE:
        reply.type = RAFT_MSG_PREVOTE_REPLY;
        break;
    case RAFT_MSG_VOTE:
        reply.type = RAFT_MSG_VOTE_REPLY;
        break;
    case RAFT_MSG_APPEND:
    case RAFT_MSG_HEARTBEAT:
    case RAFT_MSG_SNAPSHOT_OFFER:
    case RAFT_MSG_TIMEOUT_NOW:
    case RAFT_MSG_READ_INDEX:
        break;
    case RAFT_MSG_PREVOTE_REPLY:
    case RAFT_MSG_VOTE_REPLY:
    case RAFT_MSG_APPEND_ACK:
    case RAFT_MSG_APPEND_REJECT:
    case RAFT_MSG_HEARTBEAT_ACK:
    case RAFT_MSG_READ_INDEX_REPLY:
    case RAFT_MSG_HIGHER_TERM:
        return; /* An answer is not answered. */
    }
    raft_send(r, msg->from, &reply);
}

/* A term somebody only thinks of running in, as opposed to one that exists. */
static bool is_hypothetical_term(const struct raft_msg *msg)
{
    return msg->type == RAFT_MSG_PREVOTE ||
           (msg->type == RAFT_MSG_PREVOTE_REPLY && msg->vote_reply.granted);
}

/* The term rule. False: the message has had all the effect it may have. */
static bool settle_term(struct raft *r, const struct raft_msg *msg)
{
    if (msg->term < r->hard_state.term) {
        answer_older_term(r, msg);
        return false;
    }
    if (is_hypothetical_term(msg))
        return true;
    if (msg->term > r->heard_term)
        r->heard_term = msg->term;
    if (msg->term == r->hard_state.term)
        return true;
    if (msg->type == RAFT_MSG_VOTE && !election_may_adopt(r, msg)) {
        struct raft_msg reply = {.type = RAFT_MSG_VOTE_REPLY};

        raft_send(r, msg->from, &reply);
        return false;
    }
    election_become_follower(r, msg->term, RAFT_NOBODY);
    return true;
}

static void dispatch(struct raft *r, const struct raft_msg *msg)
{
    switch (msg->type) {
    case RAFT_MSG_PREVOTE:
        election_prevote(r, msg);
        break;
    case RAFT_MSG_PREVOTE_REPLY:
        election_prevote_reply(r, msg);
        break;
    case RAFT_MSG_VOTE:
        election_vote(r, msg);
        break;
    case RAFT_MSG_VOTE_REPLY:
        election_vote_reply(r, msg);
        break;
    case RAFT_MSG_APPEND:
        follow_append(r, msg);
        break;
    case RAFT_MSG_APPEND_ACK:
        replicate_ack(r, msg);
        break;
    case RAFT_MSG_APPEND_REJECT:
        replicate_reject(r, msg);
        break;
    case RAFT_MSG_HEARTBEAT:
        read_heartbeat(r, msg);
        break;
    case RAFT_MSG_HEARTBEAT_ACK:
        read_heartbeat_ack(r, msg);
        break;
    case RAFT_MSG_SNAPSHOT_OFFER:
        snapshot_offer(r, msg);
        break;
    case RAFT_MSG_TIMEOUT_NOW:
        transfer_timeout_now(r, msg);
        break;
    case RAFT_MSG_READ_INDEX:
        read_index(r, msg);
        break;
    case RAFT_MSG_READ_INDEX_REPLY:
        read_index_reply(r, msg);
        break;
    case RAFT_MSG_HIGHER_TERM:
        break; /* The term rule did it all. */
    }
}

static void on_message(struct raft *r, const struct raft_msg *msg)
{
    enum raft_fault fault = check_sender(r, msg);
    struct progress *p;

    if (fault != RAFT_FAULT_NONE) {
        raft_fault(r, msg, fault);
        return;
    }
    if (!settle_term(r, msg))
        return;
    p = r->role == RAFT_LEADER ? raft_find_peer(r, msg->from) : NULL;
    if (p != NULL && !is_hypothetical_term(msg))
        p->acked_ns = r->now_ns;
    dispatch(r, msg);
}

static void on_tick(struct raft *r)
{
    if (r->role == RAFT_LEADER)
        replicate_tick(r);
    else
        election_tick(r);
    read_tick(r);
}

static int on_durable(struct raft *r, uint64_t write_id)
{
    uint64_t last;

    if (write_id > r->out.issued)
        return -EINVAL;
    last = outbox_durable(&r->out, write_id);
    if (last > r->durable_index)
        r->durable_index = last;
    follow_check_repaired(r);
    election_durable(r);
    if (r->role == RAFT_LEADER)
        replicate_advance_commit(r);
    return 0;
}

static int on_applied(struct raft *r, uint64_t index)
{
    if (index > raft_visible_commit(r))
        return -EINVAL;
    if (index > r->applied_index)
        r->applied_index = index;
    return 0;
}

static int on_event(struct raft *r, const struct raft_event *ev, struct raft_update *up)
{
    switch (ev->type) {
    case RAFT_EV_TICK:
        on_tick(r);
        return 0;
    case RAFT_EV_MESSAGE:
        on_message(r, ev->msg);
        return 0;
    case RAFT_EV_PROPOSE:
        return replicate_propose(r, ev, up);
    case RAFT_EV_READ:
        return read_request(r, ev->read_id);
    case RAFT_EV_DURABLE:
        return on_durable(r, ev->write_id);
    case RAFT_EV_APPLIED:
        return on_applied(r, ev->index);
    case RAFT_EV_COMPACTED:
        return snapshot_compacted(r, ev->index);
    case RAFT_EV_SNAPSHOT_READY:
        snapshot_ready(r, ev->snapshot.peer, &ev->snapshot.point);
        return 0;
    case RAFT_EV_SNAPSHOT_FAILED:
        snapshot_failed(r, ev->peer);
        return 0;
    case RAFT_EV_SNAPSHOT_INSTALLED:
        return snapshot_installed(r, &ev->installed);
    case RAFT_EV_INSTALL_FAILED:
        r->installing.index = 0;
        return 0;
    case RAFT_EV_CONF_CHANGE:
        return replicate_conf_change(r, ev, up);
    case RAFT_EV_TRANSFER:
        return transfer_begin(r, ev->peer);
    case RAFT_EV_PEER_UNREACHABLE:
        replicate_unreachable(r, ev->peer);
        return 0;
    }
    return -EINVAL;
}

static void fill_update(const struct raft *r, struct raft_update *up)
{
    const struct outbox *o = &r->out;
    bool writes =
        o->hard_state_changed || o->log_reset || o->truncate_from > 0 || o->entry_count > 0;

    up->write_id = writes ? o->issued : 0;
    up->hard_state_changed = o->hard_state_changed;
    up->hard_state = r->hard_state;
    up->log_reset = o->log_reset;
    up->log_base = o->log_base;
    up->truncate_from = o->truncate_from;
    up->entries = o->entries;
    up->entry_count = o->entry_count;
    up->messages = o->messages;
    up->message_count = o->message_count;
    up->commit_index = raft_visible_commit(r);
    up->reads = o->reads;
    up->read_count = o->read_count;
    up->snapshot_wanted = o->wanted;
    up->snapshot_wanted_count = o->wanted_count;
    up->snapshot_offered = o->offered ? &o->offer : NULL;
    up->snapshot_from = o->offer_from;
    up->role = r->role;
    up->term = r->hard_state.term;
    up->leader = r->leader;
    up->leader_ready = raft_is_leader_ready(r);
    up->transferring = transfer_active(r);
    up->conf_changed = o->conf_changed;
    up->fault = o->fault;
    up->fault_from = o->fault_from;
}

static void finish(struct raft *r, struct raft_update *up)
{
    uint64_t settled = raft_visible_commit(r);

    if (transfer_active(r))
        transfer_pump(r);
    if (r->read_count > 0)
        read_pump(r);
    assert(r->commit_index <= r->log.last_index && r->durable_index <= r->log.last_index);
    assert(r->applied_index <= raft_visible_commit(r));
    entries_evict(&r->log, settled, r->cfg.cache_bytes);
    outbox_commit(&r->out, r->log.last_index, MUTANT(r, VOTE_BEFORE_SYNC));
    fill_update(r, up);
}

int raft_step(struct raft *r, const struct raft_event *ev, struct raft_update *ret_update)
{
    int result;

    assert(r->started);
    outbox_begin(&r->out);
    memset(ret_update, 0, sizeof(*ret_update));
    if (ev->now_ns > r->now_ns)
        r->now_ns = ev->now_ns;
    result = on_event(r, ev, ret_update);
    finish(r, ret_update);
    return result;
}

void raft_start(struct raft *r, int64_t now_ns, struct raft_update *ret_update)
{
    uint64_t term;

    assert(!r->started);
    r->started = true;
    r->now_ns = now_ns;
    r->durable_index = r->log.last_index;
    r->commit_index = r->applied_index;
    /*
     * A crash between the swap to a snapshot and the reset of the log left the old log. And a log
     * that is empty has to be told where it goes on.
     */
    if (!entries_term(&r->log, r->applied_index, &term) || term != r->boot_applied.term ||
        (r->log.last_index == r->log.base_index && r->applied_index > 0))
        snapshot_reset_log(r, &r->boot_applied);
    /* A state that came from a backup: its log is new, and has to go on in a later term. */
    if (r->hard_state.term < r->boot_applied.term)
        raft_set_hard_state(r, r->boot_applied.term, RAFT_NOBODY);
    follow_check_repaired(r); /* It was, and the end came before the rim had noted it. */
    election_start(r);
    memset(ret_update, 0, sizeof(*ret_update));
    finish(r, ret_update);
}
