/*
 * Handing leadership over (Ongaro's thesis, 3.10).
 *
 *   begin ──target has all──► asked ──► deposed by the target
 *     └───────────┬─────────────┘
 *                 └── one election timeout ──► end, and lead on
 *
 * From begin on no proposal is taken and no lease holds. Once TIMEOUT_NOW is out, it may arrive at
 * any later time: so no new heartbeat round starts while asked, and the voters refuse a campaign
 * that names an older round than they have answered. So a lease after the end is safe again.
 */
#include "raft/internal.h"

bool transfer_active(const struct raft *r)
{
    return r->transfer_to.v != 0;
}

int transfer_begin(struct raft *r, struct raft_id to)
{
    const struct raft_member *member = raft_conf_find(members_now(&r->members), to);

    if (r->role != RAFT_LEADER)
        return RAFT_NOT_LEADER;
    if (member == NULL)
        return -ENOENT;
    if (!member->voter || to.v == r->cfg.id.v)
        return -EINVAL;
    if (transfer_active(r))
        return -EAGAIN;
    r->transfer_to = to;
    r->transfer_until_ns = r->now_ns + r->cfg.election_max_ns;
    r->transfer_asked = false;
    return 0;
}

static void ask(struct raft *r)
{
    struct raft_msg msg = {.type = RAFT_MSG_TIMEOUT_NOW, .timeout_now.round = r->round};

    r->transfer_asked = true;
    raft_send(r, r->transfer_to, &msg);
}

void transfer_pump(struct raft *r)
{
    struct progress *p = raft_find_peer(r, r->transfer_to);

    if (r->role == RAFT_LEADER && !r->transfer_asked && p != NULL && p->match == r->log.last_index)
        ask(r);
}

void transfer_tick(struct raft *r)
{
    if (r->now_ns >= r->transfer_until_ns)
        transfer_end(r);
    else if (r->transfer_asked)
        ask(r); /* The first one may be lost. */
}

void transfer_end(struct raft *r)
{
    r->transfer_to = RAFT_NOBODY;
    r->transfer_asked = false;
    r->lease_min_round = r->round + 1;
}

void transfer_timeout_now(struct raft *r, const struct raft_msg *msg)
{
    if (r->role == RAFT_LEADER || r->role == RAFT_CANDIDATE)
        return;
    if (r->seen_term == msg->term && r->seen_round > msg->timeout_now.round)
        return; /* An old one: the leader has given up and goes on. */
    election_campaign_transfer(r, msg->timeout_now.round);
}
