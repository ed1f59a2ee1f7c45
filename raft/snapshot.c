/*
 * Peers that need what we have cut, and our own log's beginning. The files of a snapshot are the
 * rim's business; here it is a point: index, term, members.
 *
 *   leader                              follower
 *   snapshot_wanted ──► SNAPSHOT_READY
 *                         offer ──────► snapshot_offered ──► SNAPSHOT_INSTALLED
 *   PIPELINE ◄─────────── ack ◄──────── log reset (R8)
 */
#include <assert.h>

#include "raft/internal.h"

void snapshot_want(struct raft *r, struct progress *p)
{
    progress_snapshot(p);
    outbox_snapshot_wanted(&r->out, p->id);
}

static void send_offer(struct raft *r, struct progress *p)
{
    struct raft_msg msg = {.type = RAFT_MSG_SNAPSHOT_OFFER};

    msg.snapshot_offer.point = p->offer;
    p->offered_ns = r->now_ns;
    raft_send(r, p->id, &msg);
}

void snapshot_ready(struct raft *r, struct raft_id peer, const struct raft_point *point)
{
    struct progress *p = r->role == RAFT_LEADER ? raft_find_peer(r, peer) : NULL;

    if (p == NULL || p->state != PROGRESS_SNAPSHOT || point->index > r->commit_index)
        return;
    p->offered = true;
    p->offer = *point;
    send_offer(r, p);
}

/* Not at once again: what failed just now, fails again. */
void snapshot_failed(struct raft *r, struct raft_id peer)
{
    struct progress *p = r->role == RAFT_LEADER ? raft_find_peer(r, peer) : NULL;

    if (p == NULL || p->state != PROGRESS_SNAPSHOT)
        return;
    progress_probe(p, p->match + 1);
    p->probe_sent = true;
    p->moved_ns = r->now_ns;
}

/* The peer lives and we do not know that it has what we offered: say it again. */
void snapshot_tick(struct raft *r, struct progress *p)
{
    if (p->offered && r->now_ns - p->offered_ns >= r->cfg.election_max_ns)
        send_offer(r, p);
}

static void ack(struct raft *r, struct raft_id to, uint64_t match)
{
    struct raft_msg msg = {.type = RAFT_MSG_APPEND_ACK, .append_ack.match = match};

    if (match <= r->durable_index)
        raft_send(r, to, &msg);
    else
        raft_send_after_log(r, to, &msg);
}

void snapshot_offer(struct raft *r, const struct raft_msg *msg)
{
    const struct raft_point *point = &msg->snapshot_offer.point;
    uint64_t term;

    election_heard_leader(r, msg->from);
    if (point->index <= r->commit_index) {
        ack(r, msg->from, MIN(point->index, r->durable_index));
        return;
    }
    if (entries_term(&r->log, point->index, &term) && term == point->term) {
        follow_commit(r, point->index); /* We have it all; it was only not known to be committed. */
        ack(r, msg->from, point->index);
        return;
    }
    if (r->installing.index == point->index && r->installing.term == point->term &&
        r->installing_from.v == msg->from.v)
        return;
    r->installing = *point;
    r->installing_from = msg->from;
    r->out.offered = true;
    r->out.offer = *point;
    r->out.offer_from = msg->from;
}

/* R8, the second half: a log without the snapshot's last entry has nothing to do with it. */
void snapshot_reset_log(struct raft *r, const struct raft_point *point)
{
    entries_reset(&r->log, point->index, point->term);
    members_reset(&r->members, point->index, &point->conf);
    outbox_truncated(&r->out, 1);
    r->out.log_reset = true;
    r->out.log_base = *point;
    r->out.conf_changed = true;
    r->durable_index = point->index;
}

int snapshot_installed(struct raft *r, const struct raft_point *point)
{
    uint64_t term;
    bool known = entries_term(&r->log, point->index, &term) && term == point->term;

    if (point->index < r->applied_index || r->role == RAFT_LEADER)
        return -EINVAL;
    r->installing.index = 0;
    if (MUTANT(r, SKIP_R8) && point->index <= r->log.last_index)
        known = true;
    if (known) {
        entries_compact(&r->log, point->index, point->term);
        members_compact(&r->members, point->index);
    } else {
        snapshot_reset_log(r, point);
    }
    r->commit_index = MAX(r->commit_index, point->index);
    r->applied_index = point->index;
    r->durable_index = MAX(r->durable_index, point->index);
    follow_check_repaired(r);
    if (r->leader.v != 0)
        ack(r, r->leader, point->index);
    return 0;
}

int snapshot_compacted(struct raft *r, uint64_t first_index)
{
    uint64_t term, base = first_index - 1;

    if (first_index == 0 || base > r->applied_index)
        return -EINVAL;
    if (base <= r->log.base_index)
        return 0;
    if (!entries_term(&r->log, base, &term))
        return -EINVAL;
    entries_compact(&r->log, base, term);
    members_compact(&r->members, base);
    return 0;
}
