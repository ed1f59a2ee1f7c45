/*
 * Heartbeat rounds, and what they prove: leadership for reads (Ongaro's thesis, 6.4).
 *
 * A round answered by a quorum proves that we led when it was sent. A read waits for a round that
 * began after it, one round for all that wait; or it rests on the lease: voters who answered do
 * not elect another for election_min_ns, so until 0.8 of that after sending nobody else leads.
 */
#include <assert.h>

#include "raft/internal.h"
#include "raft/mem.h"

static void send_heartbeats(struct raft *r)
{
    for (unsigned i = 0; i < r->peer_count; i++) {
        struct raft_msg msg = {.type = RAFT_MSG_HEARTBEAT};

        msg.heartbeat.round = r->round;
        msg.heartbeat.sent_ns = r->now_ns;
        msg.heartbeat.commit = MIN(r->commit_index, r->peers[i].match);
        raft_send(r, r->peers[i].id, &msg);
    }
}

/* While a transfer is asked for, the same round again: only a sign of life. */
void read_start_round(struct raft *r)
{
    if (!r->transfer_asked) {
        r->round++;
        for (size_t i = 0; i < r->read_count; i++) {
            if (r->reads[i].round == 0)
                r->reads[i].round = r->round;
        }
    }
    r->seen_term = r->hard_state.term;
    r->seen_round = r->round;
    r->heartbeat_at_ns = r->now_ns + r->cfg.heartbeat_ns;
    send_heartbeats(r);
}

void read_heartbeat(struct raft *r, const struct raft_msg *msg)
{
    struct raft_msg reply = {.type = RAFT_MSG_HEARTBEAT_ACK};

    election_heard_leader(r, msg->from);
    if (r->seen_term != msg->term || msg->heartbeat.round > r->seen_round) {
        r->seen_term = msg->term;
        r->seen_round = msg->heartbeat.round;
    }
    follow_commit(r, msg->heartbeat.commit);
    reply.heartbeat_ack.round = msg->heartbeat.round;
    reply.heartbeat_ack.sent_ns = msg->heartbeat.sent_ns;
    raft_send(r, msg->from, &reply);
}

void read_heartbeat_ack(struct raft *r, const struct raft_msg *msg)
{
    struct progress *p = r->role == RAFT_LEADER ? raft_find_peer(r, msg->from) : NULL;
    const struct raft_msg_heartbeat_ack *ack = &msg->heartbeat_ack;

    if (p == NULL || ack->round > r->round || ack->sent_ns > r->now_ns)
        return;
    if (ack->round >= p->acked_round) {
        p->acked_round = ack->round;
        p->acked_sent_ns =
            MAX(p->acked_sent_ns, MUTANT(r, LEASE_FROM_ARRIVAL) ? r->now_ns : ack->sent_ns);
    }
    replicate_heartbeat_acked(r, p);
}

static const struct progress *peer_of(const struct raft *r, struct raft_id id)
{
    for (unsigned i = 0; i < r->peer_count; i++) {
        if (r->peers[i].id.v == id.v)
            return &r->peers[i];
    }
    return NULL;
}

/* The newest round that a quorum has answered. */
static uint64_t proved_round(const struct raft *r)
{
    const struct raft_conf *conf = members_now(&r->members);
    uint64_t values[RAFT_MEMBERS_MAX];
    unsigned count = 0;

    for (unsigned i = 0; i < conf->count; i++) {
        const struct progress *p = peer_of(r, conf->members[i].id);

        if (conf->members[i].voter)
            values[count++] = p != NULL ? p->acked_round : r->round;
    }
    return quorum_value(values, count);
}

/* When the newest heartbeat that a quorum has answered was sent; 0: none that counts. */
static int64_t lease_start(const struct raft *r)
{
    const struct raft_conf *conf = members_now(&r->members);
    uint64_t values[RAFT_MEMBERS_MAX];
    unsigned count = 0;

    for (unsigned i = 0; i < conf->count; i++) {
        const struct progress *p = peer_of(r, conf->members[i].id);

        if (!conf->members[i].voter)
            continue;
        if (p == NULL)
            values[count++] = (uint64_t)r->now_ns;
        else
            values[count++] = p->acked_round >= r->lease_min_round ? (uint64_t)p->acked_sent_ns : 0;
    }
    return (int64_t)quorum_value(values, count);
}

int64_t read_lease_until(const struct raft *r)
{
    int64_t start;

    if (!r->cfg.read_lease || !raft_is_leader_ready(r))
        return 0;
    if (transfer_active(r) && !MUTANT(r, LEASE_IN_TRANSFER))
        return 0;
    start = lease_start(r);
    return start > 0 ? start + r->cfg.election_min_ns / 10 * 8 : 0;
}

/* R6: asked anew at each read, of the clock, not of a timer. */
bool read_lease_valid(const struct raft *r)
{
    return r->now_ns < read_lease_until(r);
}

static struct wait_read *add_read(struct raft *r, uint64_t id, struct raft_id from)
{
    struct wait_read *w;

    r->reads = raft_grow(r->reads, r->read_count, &r->read_cap, sizeof(*r->reads));
    w = &r->reads[r->read_count++];
    *w = (struct wait_read){
        .id = id, .from = from, .deadline_ns = r->now_ns + r->cfg.election_max_ns};
    return w;
}

static void leader_read(struct raft *r, uint64_t id, struct raft_id from)
{
    struct wait_read *w = add_read(r, id, from);

    w->proved = read_lease_valid(r) || MUTANT(r, READ_WITHOUT_ROUND);
    if (raft_is_leader_ready(r)) {
        w->indexed = true;
        w->index = r->commit_index;
    }
}

int read_request(struct raft *r, uint64_t id)
{
    struct raft_msg msg = {.type = RAFT_MSG_READ_INDEX};
    struct wait_read *w;

    if (r->leader.v == 0)
        return RAFT_NOT_LEADER;
    if (r->read_count >= READS_MAX)
        return -EAGAIN;
    if (r->role == RAFT_LEADER) {
        leader_read(r, id, RAFT_NOBODY);
        return 0;
    }
    w = add_read(r, id, RAFT_NOBODY);
    w->key = ++r->read_key;
    msg.read_index.id = w->key;
    raft_send(r, r->leader, &msg);
    return 0;
}

static void answer(struct raft *r, struct raft_id to, uint64_t id, bool ok, uint64_t index)
{
    struct raft_msg msg = {.type = RAFT_MSG_READ_INDEX_REPLY};

    msg.read_index_reply.id = id;
    msg.read_index_reply.ok = ok;
    msg.read_index_reply.index = index;
    raft_send(r, to, &msg);
}

void read_index(struct raft *r, const struct raft_msg *msg)
{
    if (r->role == RAFT_LEADER && r->read_count < READS_MAX)
        leader_read(r, msg->read_index.id, msg->from);
    else
        answer(r, msg->from, msg->read_index.id, false, 0);
}

void read_index_reply(struct raft *r, const struct raft_msg *msg)
{
    const struct raft_msg_read_index_reply *reply = &msg->read_index_reply;

    if (r->role == RAFT_LEADER)
        return;
    for (size_t i = 0; i < r->read_count; i++) {
        struct wait_read *w = &r->reads[i];

        if (w->key != reply->id || w->proved)
            continue;
        w->proved = reply->ok;
        w->indexed = reply->ok;
        w->index = reply->index;
        if (!reply->ok)
            w->deadline_ns = r->now_ns; /* Ends at the next tick. */
        return;
    }
}

/* True: the read is over. */
static bool try_finish(struct raft *r, const struct wait_read *w)
{
    if (!w->proved || !w->indexed)
        return false;
    if (w->from.v != 0) {
        answer(r, w->from, w->id, true, w->index);
        return true;
    }
    if (r->applied_index < w->index)
        return false;
    outbox_read(&r->out, w->id, 0, w->index);
    return true;
}

static void pump_leader(struct raft *r)
{
    bool ready = raft_is_leader_ready(r), lease = read_lease_valid(r);
    bool under_way = false, waiting = false;
    uint64_t proved = proved_round(r);

    for (size_t i = 0; i < r->read_count; i++) {
        struct wait_read *w = &r->reads[i];

        if (ready && !w->indexed) {
            w->indexed = true;
            w->index = r->commit_index;
        }
        if (lease || (w->round > 0 && w->round <= proved))
            w->proved = true;
        under_way |= !w->proved && w->round > 0;
        waiting |= !w->proved && w->round == 0;
    }
    if (waiting && !under_way && !r->transfer_asked)
        read_start_round(r);
}

void read_pump(struct raft *r)
{
    size_t kept = 0;

    if (r->role == RAFT_LEADER)
        pump_leader(r);
    for (size_t i = 0; i < r->read_count; i++) {
        if (!try_finish(r, &r->reads[i]))
            r->reads[kept++] = r->reads[i];
    }
    r->read_count = kept;
}

/*
 * A question to the leader, or its answer, may be lost. Or we never learn that what it named is
 * committed, because we are no longer a member.
 */
void read_tick(struct raft *r)
{
    size_t kept = 0;

    if (r->role == RAFT_LEADER)
        return;
    for (size_t i = 0; i < r->read_count; i++) {
        const struct wait_read *w = &r->reads[i];

        if (r->now_ns >= w->deadline_ns)
            outbox_read(&r->out, w->id, RAFT_NOT_LEADER, 0);
        else
            r->reads[kept++] = *w;
    }
    r->read_count = kept;
}

void read_fail_all(struct raft *r)
{
    for (size_t i = 0; i < r->read_count; i++) {
        const struct wait_read *w = &r->reads[i];

        if (w->from.v != 0)
            answer(r, w->from, w->id, false, 0);
        else
            outbox_read(&r->out, w->id, RAFT_NOT_LEADER, 0);
    }
    r->read_count = 0;
}
