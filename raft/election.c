/*
 * Who leads: election timeouts, pre-votes, votes (the paper's 5.2, 5.4.1; pre-vote: Ongaro's
 * thesis, 9.6).
 *
 *   FOLLOWER ──timeout──► PRECANDIDATE ──quorum──► CANDIDATE ──quorum──► LEADER
 *      ▲  │                    │  ▲───timeout──────────┘  │                │
 *      │  └──────TIMEOUT_NOW───┼──────────────────────────▲                │
 *      └───────────────────────┴── newer term, a leader, no quorum ────────┘
 *
 * RECOVERING stands beside it: it listens, but has no voice.
 */
#include <assert.h>

#include "raft/internal.h"

/* splitmix64: small, and good enough to keep candidates apart. */
static uint64_t next_random(struct raft *r)
{
    uint64_t z = (r->rng += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static int64_t random_delay(struct raft *r)
{
    return (int64_t)(next_random(r) % (uint64_t)(r->cfg.election_max_ns - r->cfg.election_min_ns));
}

static void reset_timer(struct raft *r)
{
    r->election_at_ns = r->now_ns + r->cfg.election_min_ns + random_delay(r);
}

/*
 * Who is removed by an entry that is not known to be committed may be the only one who has it: he
 * must be able to lead until it is, by the votes of the others (Ongaro's thesis, 4.2.2).
 */
static bool is_electable(const struct raft *r)
{
    uint64_t index = members_now_index(&r->members);
    const struct raft_conf *before = index > 0 ? members_at(&r->members, index - 1) : NULL;
    const struct raft_member *self;

    if (members_is_voter(&r->members, r->cfg.id))
        return true;
    if (index <= r->commit_index || before == NULL)
        return false;
    self = raft_conf_find(before, r->cfg.id);
    return self != NULL && self->voter;
}

/* R5: we may have promised a leader, just before we were restarted, not to elect another. */
static bool is_quarantined(const struct raft *r)
{
    return r->now_ns < r->quarantine_until_ns && !MUTANT(r, NO_QUARANTINE);
}

/*
 * Who is the only voter has promised nothing to anybody and need not wait. But that must be
 * certain: as long as the entry that made him so is not committed, another may lead by his word.
 */
static bool is_alone(const struct raft *r)
{
    return members_voter_count(&r->members) == 1 && members_is_voter(&r->members, r->cfg.id) &&
           members_now_index(&r->members) <= r->applied_index;
}

/* Who has lost what it acknowledged has no voice (I11). */
static bool has_voice(const struct raft *r)
{
    return r->role != RAFT_RECOVERING || MUTANT(r, DAMAGED_VOTES);
}

static bool may_campaign(const struct raft *r)
{
    return r->role != RAFT_RECOVERING && (!is_quarantined(r) || is_alone(r));
}

/* When all of a group start together, nobody leads until the quarantine is over: then at once, but
 * apart, and not a whole timeout after it. Who is wrong there asks (PREVOTE), and harms nobody. */
static void elect_after_quarantine(struct raft *r)
{
    r->election_at_ns = MAX(r->now_ns, r->quarantine_until_ns) + random_delay(r) / 4;
}

void election_start(struct raft *r)
{
    int64_t since = r->alone_since_ns > 0 ? r->alone_since_ns : r->now_ns;

    r->quarantine_until_ns = since + r->cfg.quarantine_ns;
    r->rng ^= (uint64_t)r->now_ns;
    r->read_key = next_random(r);
    elect_after_quarantine(r);
    if (is_alone(r))
        r->election_at_ns = r->now_ns;
}

/* Of whatever term: its read lease may rest on our not electing another (R6). */
static bool has_live_leader(const struct raft *r)
{
    return r->role == RAFT_LEADER || (r->heard && r->now_ns - r->heard_ns < r->cfg.election_min_ns);
}

/*
 * The leader asked for this election and dropped its lease. If it has given up since, and begun a
 * new round that we answered, its lease may stand on us again.
 */
static bool is_wanted_transfer(const struct raft *r, const struct raft_msg *msg)
{
    const struct raft_msg_vote *v = &msg->vote;

    if (!v->transfer || v->transfer_term + 1 != msg->term)
        return false;
    return r->seen_term < v->transfer_term ||
           (r->seen_term == v->transfer_term && r->seen_round <= v->transfer_round);
}

static bool may_elect(const struct raft *r, const struct raft_msg *msg)
{
    return !is_quarantined(r) && (!has_live_leader(r) || is_wanted_transfer(r, msg));
}

bool election_may_adopt(const struct raft *r, const struct raft_msg *msg)
{
    return may_elect(r, msg);
}

static bool is_up_to_date(const struct raft *r, const struct raft_msg_vote *v)
{
    uint64_t last_term = entries_last_term(&r->log);

    return v->last_term > last_term ||
           (v->last_term == last_term && v->last_index >= r->log.last_index);
}

void election_become_follower(struct raft *r, uint64_t term, struct raft_id leader)
{
    bool was_follower = r->role == RAFT_FOLLOWER || r->role == RAFT_RECOVERING;

    if (term > r->hard_state.term)
        raft_set_hard_state(r, term, RAFT_NOBODY);
    if (!was_follower || r->leader.v != leader.v)
        read_fail_all(r);
    if (!was_follower)
        reset_timer(r);
    r->role = r->faulty_to > 0 ? RAFT_RECOVERING : RAFT_FOLLOWER;
    r->leader = leader;
    r->peer_count = 0;
    r->transfer_to = RAFT_NOBODY;
    r->transfer_asked = false;
    r->transfer_campaign = false;
}

void election_heard_leader(struct raft *r, struct raft_id leader)
{
    assert(r->role != RAFT_LEADER && "two leaders in one term");
    if (r->leader.v != leader.v || r->role == RAFT_PRECANDIDATE)
        election_become_follower(r, r->hard_state.term, leader);
    r->heard = true;
    r->heard_ns = r->now_ns;
    reset_timer(r);
}

static bool has_voted(const struct raft *r, struct raft_id id)
{
    for (unsigned i = 0; i < r->votes.count; i++) {
        if (r->votes.granted[i].v == id.v)
            return true;
    }
    return false;
}

static void count_vote(struct raft *r, struct raft_id from)
{
    if (has_voted(r, from))
        return;
    if (members_is_voter(&r->members, from) && r->votes.count < RAFT_MEMBERS_MAX)
        r->votes.granted[r->votes.count++] = from;
}

/* Nothing was ever written here: this is a new group, or the disk was wiped. */
static bool is_blank(const struct raft *r)
{
    return r->log.last_index == 0 && r->applied_index == 0;
}

/*
 * A group is begun by all of its founders. A majority of wiped ones cannot tell itself from a new
 * group, and must not begin one in place of that which the others still have: those refuse to elect
 * who has nothing.
 */
static bool has_quorum(const struct raft *r)
{
    if (r->role == RAFT_PRECANDIDATE && is_blank(r))
        return r->votes.count == members_voter_count(&r->members);
    return r->votes.count >= members_quorum(&r->members);
}

unsigned raft_founders_awaited(const struct raft *r, struct raft_id ret_ids[RAFT_MEMBERS_MAX])
{
    const struct raft_conf *conf = members_now(&r->members);
    unsigned count = 0;

    if (r->role != RAFT_PRECANDIDATE || !is_blank(r))
        return 0;
    for (unsigned i = 0; i < conf->count; i++) {
        if (conf->members[i].voter && !has_voted(r, conf->members[i].id))
            ret_ids[count++] = conf->members[i].id;
    }
    return count;
}

static void ask_voters(struct raft *r, const struct raft_msg *ask)
{
    const struct raft_conf *conf = members_now(&r->members);

    for (unsigned i = 0; i < conf->count; i++) {
        struct raft_msg msg = *ask;

        if (conf->members[i].voter && conf->members[i].id.v != r->cfg.id.v)
            raft_send(r, conf->members[i].id, &msg);
    }
}

static void run(struct raft *r, enum raft_role role, enum raft_msg_type type, uint64_t term)
{
    struct raft_msg msg = {.type = type, .term = term};

    r->role = role;
    r->leader = RAFT_NOBODY;
    r->votes.count = 0;
    reset_timer(r);
    msg.vote.last_index = r->log.last_index;
    msg.vote.last_term = entries_last_term(&r->log);
    msg.vote.transfer = r->transfer_campaign;
    msg.vote.transfer_term = r->transfer_term;
    msg.vote.transfer_round = r->transfer_round;
    ask_voters(r, &msg);
}

/* Our own vote counts, and the asking messages leave, once the term and vote are durable. */
static void campaign(struct raft *r)
{
    read_fail_all(r);
    raft_set_hard_state(r, r->hard_state.term + 1, r->cfg.id);
    run(r, RAFT_CANDIDATE, RAFT_MSG_VOTE, r->hard_state.term);
}

static void precampaign(struct raft *r)
{
    read_fail_all(r);
    r->transfer_campaign = false;
    run(r, RAFT_PRECANDIDATE, RAFT_MSG_PREVOTE, r->hard_state.term + 1);
    count_vote(r, r->cfg.id);
    if (has_quorum(r))
        campaign(r);
}

void election_campaign_transfer(struct raft *r, uint64_t round)
{
    if (!may_campaign(r) || !members_is_voter(&r->members, r->cfg.id))
        return;
    r->transfer_campaign = true;
    r->transfer_term = r->hard_state.term;
    r->transfer_round = round;
    campaign(r);
}

void election_tick(struct raft *r)
{
    if (r->now_ns < r->election_at_ns)
        return;
    if (may_campaign(r) && is_electable(r)) {
        precampaign(r);
        return;
    }
    reset_timer(r);
    if (is_quarantined(r)) /* Who led when we started is silent. */
        elect_after_quarantine(r);
}

static void become_leader(struct raft *r)
{
    r->role = RAFT_LEADER;
    r->leader = r->cfg.id;
    r->leader_term = r->hard_state.term;
    replicate_lead(r);
}

void election_durable(struct raft *r)
{
    if (r->role != RAFT_CANDIDATE || !outbox_hard_state_durable(&r->out))
        return;
    count_vote(r, r->cfg.id);
    if (has_quorum(r))
        become_leader(r);
}

/*
 * Who asked is about to campaign. Two that do so at once split the votes, and where disks are slow
 * "at once" is long: so we let it try first, and of two that ask each other the smaller id goes on.
 * It asks again after a whole timeout at the earliest; half of one is our turn.
 */
static void let_try_first(struct raft *r, struct raft_id other)
{
    if (r->role == RAFT_PRECANDIDATE && r->cfg.id.v < other.v)
        return;
    if (r->role == RAFT_PRECANDIDATE)
        r->role = RAFT_FOLLOWER;
    r->election_at_ns = MAX(r->election_at_ns, r->now_ns + r->cfg.election_min_ns / 2);
}

/*
 * A group begins with all of its founders (has_quorum()), and one has damaged its first entries
 * before it had applied any. It has no voice; but that the others have nothing is no sign that they
 * were wiped, and what was committed one of them would have.
 */
static bool may_begin_without(const struct raft *r, const struct raft_msg_vote *v)
{
    return r->role == RAFT_RECOVERING && r->applied_index == 0 && v->last_index == 0;
}

void election_prevote(struct raft *r, const struct raft_msg *msg)
{
    struct raft_msg reply = {.type = RAFT_MSG_PREVOTE_REPLY};

    reply.vote_reply.granted =
        msg->term > r->hard_state.term && !is_quarantined(r) && !has_live_leader(r) &&
        ((has_voice(r) && is_up_to_date(r, &msg->vote)) || may_begin_without(r, &msg->vote));
    if (reply.vote_reply.granted) {
        reply.term = msg->term;
        let_try_first(r, msg->from);
    }
    raft_send(r, msg->from, &reply);
}

void election_prevote_reply(struct raft *r, const struct raft_msg *msg)
{
    if (r->role != RAFT_PRECANDIDATE || !msg->vote_reply.granted ||
        msg->term != r->hard_state.term + 1)
        return;
    count_vote(r, msg->from);
    if (has_quorum(r))
        campaign(r);
}

void election_vote(struct raft *r, const struct raft_msg *msg)
{
    struct raft_msg reply = {.type = RAFT_MSG_VOTE_REPLY};
    struct raft_id vote = r->hard_state.vote;

    reply.vote_reply.granted = has_voice(r) && r->role != RAFT_LEADER &&
                               (vote.v == 0 || vote.v == msg->from.v) && may_elect(r, msg) &&
                               is_up_to_date(r, &msg->vote);
    if (reply.vote_reply.granted && vote.v == 0) {
        raft_set_hard_state(r, r->hard_state.term, msg->from);
        if (r->role == RAFT_PRECANDIDATE)
            r->role = RAFT_FOLLOWER;
        reset_timer(r);
    }
    raft_send(r, msg->from, &reply);
}

void election_vote_reply(struct raft *r, const struct raft_msg *msg)
{
    if (r->role != RAFT_CANDIDATE || !msg->vote_reply.granted)
        return;
    count_vote(r, msg->from);
    if (has_quorum(r))
        become_leader(r);
}
