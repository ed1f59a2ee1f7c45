/* The invariants I1..I11 of consensus, with a view of all nodes at once. */
#include <stdlib.h>
#include <string.h>

#include "raft/mem.h"
#include "tests/sim/sim_raft.h"

#define ID(n) ((unsigned)((n)->number + 1))
#define UL(v) ((unsigned long)(v))

uint64_t sim_entry_hash(const struct raft_entry *e)
{
    uint64_t hash = sim_mix(e->type, e->buf->len);

    for (uint32_t i = 0; i < e->buf->len; i++)
        hash = sim_mix(hash, e->buf->data[i]);
    return hash;
}

struct sim_index *sim_index_at(struct sim_world *w, uint64_t index)
{
    if (index >= w->index_cap) {
        size_t cap = (size_t)index * 2 + 256;

        w->indexes = reallocarray(w->indexes, cap, sizeof(*w->indexes));
        if (w->indexes == NULL)
            abort();
        memset(w->indexes + w->index_cap, 0, (cap - w->index_cap) * sizeof(*w->indexes));
        w->index_cap = cap;
    }
    return &w->indexes[index];
}

static void reach_term(struct sim_world *w, uint64_t term)
{
    size_t cap = (size_t)term * 2 + 64;

    if (term < w->term_cap)
        return;
    w->leaders = reallocarray(w->leaders, cap, sizeof(*w->leaders));
    w->votes = reallocarray(w->votes, cap, sizeof(*w->votes));
    if (w->leaders == NULL || w->votes == NULL)
        abort();
    memset(w->leaders + w->term_cap, 0, (cap - w->term_cap) * sizeof(*w->leaders));
    memset(w->votes + w->term_cap, 0, (cap - w->term_cap) * sizeof(*w->votes));
    w->term_cap = cap;
}

/* 0 at the start of the log, and where the log was cut (then it is not known). */
static bool term_before(const struct sim_node *n, uint64_t index, uint64_t *ret_term)
{
    const struct raft_entry *prev = sim_log_find(&n->log, index - 1);

    if (prev == NULL && index != 1)
        return false;
    *ret_term = prev != NULL ? prev->term : 0;
    return true;
}

/* I2, by induction: equal (index, term) means equal entry and equal term before it. */
void check_appended(struct sim_world *w, const struct sim_node *n, const struct raft_entry *e)
{
    struct sim_index *at = sim_index_at(w, e->index);
    uint64_t hash = sim_entry_hash(e), prev_term = UINT64_MAX;

    (void)term_before(n, e->index, &prev_term);
    for (unsigned i = 0; i < at->known_count; i++) {
        struct sim_known *k = &at->known[i];

        if (k->term != e->term)
            continue;
        if (k->hash != hash)
            sim_fail(w, "I2: node %u has another entry at %lu term %lu", ID(n), UL(e->index),
                     UL(e->term));
        if (prev_term != UINT64_MAX && k->prev_term != UINT64_MAX && k->prev_term != prev_term)
            sim_fail(w, "I2: node %u has another entry before %lu term %lu", ID(n), UL(e->index),
                     UL(e->term));
        if (k->prev_term == UINT64_MAX)
            k->prev_term = prev_term;
        return;
    }
    if (at->known_count == sizeof(at->known) / sizeof(at->known[0])) {
        sim_fail(w, "too many entries at index %lu", UL(e->index));
        return;
    }
    at->known[at->known_count++] = (struct sim_known){e->term, prev_term, hash};
}

/* Or was, until it was damaged; or may have been, until the disk was lost. */
static bool is_durable_on_quorum(const struct sim_world *w, const struct raft_conf *conf,
                                 uint64_t index, uint64_t term)
{
    unsigned voters = 0, have = 0;

    for (unsigned i = 0; i < conf->count; i++) {
        const struct sim_node *n = &w->nodes[sim_number_of(conf->members[i].id)];
        const struct raft_entry *e = sim_log_find(&n->durable, index);

        if (!conf->members[i].voter)
            continue;
        voters++;
        have += n->id != conf->members[i].id.v || n->flushed.at.index >= index ||
                index <= n->faulty_to || (e != NULL && e->term == term);
    }
    return have * 2 > voters;
}

/* I8: a new membership only when the last one, and an entry of the leader's term, are committed. */
void check_conf(struct sim_world *w, const struct sim_node *n, const struct raft_entry *e)
{
    const struct raft_entry *own = sim_log_find(&n->log, n->own_first);
    struct raft_conf conf = n->state.at.conf;

    for (uint64_t i = n->log.first; i < e->index; i++) {
        const struct raft_entry *old = sim_log_find(&n->log, i);

        if (old == NULL || old->type != RAFT_ENTRY_CONF || i <= n->state.at.index)
            continue;
        (void)raft_conf_decode(old->buf->data, old->buf->len, &conf);
        if (i > w->max_commit && !is_durable_on_quorum(w, &conf, i, old->term))
            sim_fail(w, "I8: node %u changes the membership at %lu, that of %lu is not committed",
                     ID(n), UL(e->index), UL(i));
    }
    if (own != NULL && n->own_first > w->max_commit &&
        !is_durable_on_quorum(w, &conf, n->own_first, own->term))
        sim_fail(w, "I8: node %u changes the membership before its first entry is committed",
                 ID(n));
}

/*
 * R2: a leader commits nothing before its own first entry is on a quorum (the paper's figure 8 has
 * the loss that follows otherwise, but it takes five crashes in a row).
 */
void check_leader_commit(struct sim_world *w, const struct sim_node *n, uint64_t term)
{
    const struct raft_conf *conf = raft_conf(n->raft);

    if (n->own_first > w->max_commit && !is_durable_on_quorum(w, conf, n->own_first, term))
        sim_fail(w, "R2: node %u commits entries of older terms by counting", ID(n));
}

/* I6: one vote a term, over all restarts; none in quarantine, none while damaged (I11). */
static void check_vote(struct sim_world *w, const struct sim_node *n, uint64_t term,
                       struct raft_id candidate, bool real)
{
    struct raft_id *vote;

    if (candidate.v != n->id && sim_clock(w, n) - n->started_ns < 1000 * SIM_MS)
        sim_fail(w, "I6: node %u votes in quarantine", ID(n));
    /* That a group may begin it may say, when it has done nothing in it (election.c). */
    if (n->faulty_to > 0 && (real || n->state.at.index > 0))
        sim_fail(w, "I11: node %u votes while its log is damaged", ID(n));
    if (!real)
        return;
    if (n->hard_state.term != term || n->hard_state.vote.v != candidate.v)
        sim_fail(w, "I5: node %u votes in term %lu before that is durable", ID(n), UL(term));
    reach_term(w, term);
    vote = &w->votes[term][n->number];
    if (vote->v != 0 && vote->v != candidate.v)
        sim_fail(w, "I6: node %u votes twice in term %lu", ID(n), UL(term));
    *vote = candidate;
}

/* The entry itself, not what was in its place before. */
static bool has_durable(const struct sim_node *n, uint64_t index)
{
    const struct raft_entry *own = sim_log_find(&n->log, index);
    const struct raft_entry *durable = sim_log_find(&n->durable, index);

    return index <= n->flushed.at.index ||
           (durable != NULL && (own == NULL || own->term == durable->term));
}

/* I5: what a message says must be on its sender's disk; the sender may crash right after. */
void check_message(struct sim_world *w, struct sim_node *n, const struct raft_msg *msg)
{
    bool granted = (msg->type == RAFT_MSG_VOTE_REPLY || msg->type == RAFT_MSG_PREVOTE_REPLY) &&
                   msg->vote_reply.granted;
    struct raft_status status;
    bool hypothetical =
        msg->type == RAFT_MSG_PREVOTE || (msg->type == RAFT_MSG_PREVOTE_REPLY && granted);

    if (!hypothetical && msg->term > n->hard_state.term)
        sim_fail(w, "I5: node %u names term %lu before that is durable", ID(n), UL(msg->term));
    if (msg->type == RAFT_MSG_VOTE)
        check_vote(w, n, msg->term, msg->from, true);
    if (msg->type == RAFT_MSG_VOTE_REPLY && granted)
        check_vote(w, n, msg->term, msg->to, true);
    if (msg->type == RAFT_MSG_PREVOTE_REPLY && granted)
        check_vote(w, n, msg->term, msg->to, false);
    if (msg->type == RAFT_MSG_APPEND_ACK && !has_durable(n, msg->append_ack.match))
        sim_fail(w, "I5: node %u acknowledges %lu before that is durable", ID(n),
                 UL(msg->append_ack.match));
    if (msg->type == RAFT_MSG_TIMEOUT_NOW) {
        raft_status(n->raft, &status);
        if (status.lease_valid)
            sim_fail(w, "I8: node %u hands over leadership under a lease", ID(n));
    }
}

static bool same_voters(const struct raft_conf *a, const struct raft_conf *b)
{
    for (unsigned i = 0; i < a->count && a->count == b->count; i++)
        if (a->members[i].id.v != b->members[i].id.v || a->members[i].voter != b->members[i].voter)
            return false;
    return a->count == b->count;
}

static bool has_other_voters(const struct sim_node *n, const struct raft_conf *conf)
{
    for (unsigned i = 0; i < conf->count; i++)
        if (conf->members[i].voter && conf->members[i].id.v != n->id)
            return true;
    return false;
}

/* R6: a lease rests on when an answered heartbeat was sent, to voters of the membership in force. */
static void check_lease(struct sim_world *w, const struct sim_node *n,
                        const struct raft_status *status, const struct sim_before *before)
{
    if (status->lease_until_ns == 0 || !has_other_voters(n, raft_conf(n->raft)))
        return;
    if (status->lease_until_ns > n->proof_ns + SIM_ELECTION_MIN_NS / 10 * 8)
        sim_fail(w, "R6: the lease of node %u is longer than what was answered", ID(n));
    if (!same_voters(raft_conf(n->raft), &before->conf))
        sim_fail(w, "R6: node %u has a lease of the voters there were", ID(n));
}

/* I9: what a crash would leave of the log joins on to what it would leave of the state machine. */
void check_joins(struct sim_world *w, const struct sim_node *n)
{
    uint64_t first = n->durable.first > n->log.first ? n->durable.first : n->log.first;

    if (first > n->flushed.at.index + 1)
        sim_fail(w, "I9: the log of node %u begins at %lu, its state machine has flushed %lu",
                 ID(n), UL(first), UL(n->flushed.at.index));
}

/* I10: what is left after a crash, or comes by snapshot, is the state of one moment of the log. */
void check_state(struct sim_world *w, const struct sim_node *n)
{
    const struct sim_index *at = sim_index_at(w, n->state.at.index);

    if (n->state.at.index > 0 && (!at->applied || at->state_hash != n->state.hash))
        sim_fail(w, "I10: node %u begins with another state at %lu than was applied", ID(n),
                 UL(n->state.at.index));
}

void check_step(struct sim_world *w, struct sim_node *n, const struct raft_event *ev,
                const struct sim_before *before)
{
    const struct raft_msg *msg = ev->type == RAFT_EV_MESSAGE ? ev->msg : NULL;
    uint64_t known = UINT64_MAX;
    struct raft_status status;

    raft_status(n->raft, &status);
    if (msg != NULL && msg->type == RAFT_MSG_HEARTBEAT_ACK &&
        msg->heartbeat_ack.sent_ns > n->proof_ns)
        n->proof_ns = msg->heartbeat_ack.sent_ns;
    if (msg != NULL && msg->type == RAFT_MSG_APPEND)
        known = msg->append.prev_index + msg->append.entry_count;
    if (msg != NULL && msg->type == RAFT_MSG_HEARTBEAT)
        known = msg->heartbeat.commit;
    if (status.commit_index > before->commit_index && status.commit_index > known)
        sim_fail(w, "R10: node %u commits %lu, beyond %lu of the message", ID(n),
                 UL(status.commit_index), UL(known));
    check_lease(w, n, &status, before);
    check_joins(w, n);
}

/*
 * I7, before any read shows it: who is elected finds nobody of an older term whose lease still
 * holds. (One of a newer term may: votes for an older one, that arrive late, do no harm.)
 */
static void check_leases(struct sim_world *w, const struct sim_node *elected, uint64_t term)
{
    for (unsigned i = 0; i < w->node_count; i++) {
        const struct sim_node *n = &w->nodes[i];
        struct raft_status status;

        if (n == elected || !n->up)
            continue;
        raft_status(n->raft, &status);
        if (status.term < term && sim_clock(w, n) < status.lease_until_ns)
            sim_fail(w, "I7: node %u is elected while the lease of node %u holds", ID(elected),
                     ID(n));
    }
}

/* I1, and I3: a leader has all that leaders of older terms have committed. */
void check_leader(struct sim_world *w, const struct sim_node *n, uint64_t term)
{
    struct raft_id self = {n->id};

    reach_term(w, term);
    if (w->leaders[term].v != 0 && w->leaders[term].v != self.v)
        sim_fail(w, "I1: nodes %lu and %u lead in term %lu", UL(w->leaders[term].v), ID(n),
                 UL(term));
    w->leaders[term] = self;
    check_leases(w, n, term);
    for (uint64_t i = n->state.at.index + 1; i <= w->max_commit; i++) {
        const struct raft_entry *e = sim_log_find(&n->log, i);
        const struct sim_index *at = sim_index_at(w, i);

        if (!at->committed || at->commit_term >= term)
            continue;
        if (e == NULL || e->term != at->term) {
            sim_fail(w, "I3: node %u leads in term %lu without committed entry %lu", ID(n),
                     UL(term), UL(i));
            return;
        }
    }
}

/* I11: who has its voice back has again all that was committed of what it lost. */
void check_repaired(struct sim_world *w, const struct sim_node *n)
{
    for (uint64_t i = n->state.at.index + 1; i <= n->faulty_to && i <= w->max_commit; i++) {
        const struct raft_entry *e = sim_log_find(&n->durable, i);
        const struct sim_index *at = sim_index_at(w, i);

        if (i > n->flushed.at.index && at->committed && at->term <= n->lost_term &&
            (e == NULL || e->term != at->term)) {
            sim_fail(w, "I11: node %u is repaired without committed entry %lu", ID(n), UL(i));
            return;
        }
    }
}

/* I3, I4: what is once committed at an index is so for all. */
void check_committed(struct sim_world *w, const struct sim_node *n, uint64_t term, uint64_t from,
                     uint64_t to)
{
    for (uint64_t i = from; i <= to; i++) {
        const struct raft_entry *e = sim_log_find(&n->log, i);
        struct sim_index *at = sim_index_at(w, i);
        uint64_t hash;

        if (i <= n->state.at.index)
            continue;
        if (e == NULL) {
            sim_fail(w, "R10: node %u commits %lu, which it has not", ID(n), UL(i));
            return;
        }
        hash = sim_entry_hash(e);
        if (at->committed && (at->term != e->term || at->hash != hash))
            sim_fail(w, "I4: node %u commits another entry at %lu", ID(n), UL(i));
        if (!at->committed)
            at->commit_term = term;
        at->committed = true;
        at->term = e->term;
        at->hash = hash;
        if (i > w->max_commit)
            w->max_commit = i;
    }
}

void check_applied(struct sim_world *w, const struct sim_node *n, const struct raft_entry *e)
{
    struct sim_index *at = sim_index_at(w, e->index);

    if (!at->committed || at->term != e->term || at->hash != sim_entry_hash(e))
        sim_fail(w, "I4: node %u applies what is not committed at %lu", ID(n), UL(e->index));
    if (at->applied && at->state_hash != n->state.hash)
        sim_fail(w, "I4: node %u has another state at %lu", ID(n), UL(e->index));
    at->applied = true;
    at->state_hash = n->state.hash;
}

/* I7: a read sees all that was committed before it began. */
void check_read(struct sim_world *w, const struct sim_node *n, const struct raft_read *read)
{
    struct sim_read *known = &w->reads[read->id];

    if (read->id >= w->read_count || known->done || known->node != n->number ||
        known->life != n->life) {
        sim_fail(w, "node %u answers a read that nobody asked", ID(n));
        return;
    }
    known->done = true;
    if (read->result < 0) {
        w->stats->failed_reads++;
        return;
    }
    if (read->index < known->commit_before || n->state.at.index < known->commit_before)
        sim_fail(w, "I7: node %u reads at %lu though %lu was committed before%s", ID(n),
                 UL(read->index), UL(known->commit_before), known->lease ? ", by lease" : "");
    if (known->follower)
        w->stats->follower_reads++;
    else if (known->lease)
        w->stats->lease_reads++;
    else
        w->stats->round_reads++;
}
