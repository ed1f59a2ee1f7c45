/*
 * The leader's side: appending, sending what peers lack, counting what is committed, and changing
 * the membership (the paper's 5.3, 5.4.2; Ongaro's thesis, 4).
 */
#include <assert.h>

#include "raft/internal.h"

/* How long without any move until what is under way counts as lost. */
static int64_t retry_ns(const struct raft *r)
{
    return r->cfg.election_min_ns / 2;
}

/* A peer for each other member, keeping what is known of those that stay. */
void replicate_set_peers(struct raft *r)
{
    const struct raft_conf *conf = members_now(&r->members);
    unsigned kept = 0;

    for (unsigned i = 0; i < r->peer_count; i++) {
        if (raft_conf_find(conf, r->peers[i].id) != NULL) {
            if (kept != i)
                r->peers[kept] = r->peers[i];
            kept++;
        }
    }
    r->peer_count = kept;
    for (unsigned i = 0; i < conf->count; i++) {
        struct raft_id id = conf->members[i].id;

        if (id.v != r->cfg.id.v && raft_find_peer(r, id) == NULL)
            progress_init(&r->peers[r->peer_count++], id, r->log.last_index, r->now_ns);
    }
}

void replicate_lead(struct raft *r)
{
    struct raft_buf *empty = raft_buf_new(0);

    r->peer_count = 0;
    replicate_set_peers(r);
    r->transfer_to = RAFT_NOBODY;
    r->transfer_asked = false;
    r->transfer_campaign = false;
    r->round = 0;
    r->lease_min_round = 1;
    r->uncommitted_bytes = 0;
    r->first_own_index = r->log.last_index + 1;
    raft_append_own(r, RAFT_ENTRY_NOOP, empty);
    raft_buf_unref(empty);
    read_start_round(r);
    replicate_all(r);
}

/* How many cached entries from index on fit in one message. */
static size_t count_cached(const struct raft *r, uint64_t index)
{
    size_t count = 0, bytes = 0;
    const struct raft_entry *e;

    while (count < RAFT_MSG_ENTRIES_MAX && (e = entries_find(&r->log, index + count)) != NULL) {
        bytes += e->buf->len;
        if (count > 0 && bytes > r->cfg.append_bytes_max)
            break;
        count++;
    }
    return count;
}

/* Entries from index on, for one message. Returns how many, or as entries_read. */
static int collect(struct raft *r, uint64_t index, const struct raft_entry **ret_entries)
{
    size_t count = count_cached(r, index);
    struct raft_entry *out;
    int n;

    if (index > r->log.last_index)
        return 0;
    if (count > 0) {
        out = outbox_entries(&r->out, count);
        for (size_t i = 0; i < count; i++) {
            out[i] = *entries_find(&r->log, index + i);
            raft_buf_ref(out[i].buf);
        }
        *ret_entries = out;
        return (int)count;
    }
    count = (size_t)MIN(r->log.last_index - index + 1, (uint64_t)RAFT_MSG_ENTRIES_MAX);
    out = outbox_entries(&r->out, count);
    n = r->cfg.entries_read(r->cfg.entries_ctx, index, count, r->cfg.append_bytes_max, out);
    assert(n != 0 && (n < 0 || ((size_t)n <= count && out[0].index == index)));
    outbox_entries_filled(&r->out, n < 0 ? 0 : (size_t)n);
    *ret_entries = out;
    return n;
}

/* One APPEND from p->next on. False: nothing could be sent. */
static bool send_append(struct raft *r, struct progress *p)
{
    struct raft_msg msg = {.type = RAFT_MSG_APPEND};
    size_t bytes = 0;
    int n;

    msg.append.prev_index = p->next - 1;
    msg.append.commit = r->commit_index;
    n = entries_term(&r->log, msg.append.prev_index, &msg.append.prev_term)
            ? collect(r, p->next, &msg.append.entries)
            : -ENOENT;
    if (n == -EAGAIN)
        return false;
    if (n < 0) {
        snapshot_want(r, p); /* Cut, or damaged here: the state itself has it. */
        return false;
    }
    msg.append.entry_count = (size_t)n;
    for (int i = 0; i < n; i++)
        bytes += msg.append.entries[i].buf->len;
    raft_send(r, p->id, &msg);
    if (p->state == PROGRESS_PIPELINE) {
        progress_sent(p, p->next + (uint64_t)n - 1, bytes, r->now_ns);
    } else {
        p->probe_sent = true;
        p->moved_ns = r->now_ns;
    }
    return true;
}

/* R11: as much as the window lets through. */
void replicate_pump(struct raft *r, struct progress *p)
{
    switch (p->state) {
    case PROGRESS_PROBE:
        if (!p->probe_sent)
            (void)send_append(r, p);
        break;
    case PROGRESS_PIPELINE:
        while (p->state == PROGRESS_PIPELINE && p->next <= r->log.last_index &&
               p->window_count < r->cfg.inflight_messages_max &&
               p->window_bytes < r->cfg.inflight_bytes_max) {
            if (!send_append(r, p))
                break;
        }
        break;
    case PROGRESS_SNAPSHOT:
        break;
    }
}

void replicate_all(struct raft *r)
{
    for (unsigned i = 0; i < r->peer_count; i++)
        replicate_pump(r, &r->peers[i]);
}

static uint64_t quorum_match(struct raft *r)
{
    const struct raft_conf *conf = members_now(&r->members);
    uint64_t values[RAFT_MEMBERS_MAX];
    unsigned count = 0;

    for (unsigned i = 0; i < conf->count; i++) {
        const struct raft_member *m = &conf->members[i];
        const struct progress *p = raft_find_peer(r, m->id);

        if (!m->voter)
            continue;
        /* R1: we count ourselves only by what is on our own disk. */
        if (p != NULL)
            values[count++] = p->match;
        else if (MUTANT(r, COUNT_SELF_EARLY))
            values[count++] = r->log.last_index;
        else
            values[count++] = m->id.v == r->cfg.id.v ? r->durable_index : 0;
    }
    return count > 0 ? quorum_value(values, count) : 0;
}

static void release_committed(struct raft *r, uint64_t from, uint64_t to)
{
    for (uint64_t i = MAX(from, r->first_own_index); i <= to; i++) {
        const struct raft_entry *e = entries_find(&r->log, i);

        assert(e != NULL); /* What is not committed is not evicted. */
        r->uncommitted_bytes -= e->buf->len;
    }
}

/* Tell the others what is committed while we still can, then go. */
static void leave_if_removed(struct raft *r)
{
    if (members_now_index(&r->members) > r->commit_index ||
        members_is_voter(&r->members, r->cfg.id))
        return;
    read_start_round(r);
    election_become_follower(r, r->hard_state.term, RAFT_NOBODY);
}

void replicate_advance_commit(struct raft *r)
{
    uint64_t index = quorum_match(r), term = 0;

    if (index <= r->commit_index || !entries_term(&r->log, index, &term))
        return;
    /* R2: an entry of an older term may be on a majority and still be lost (the paper's fig. 8). */
    if (term != r->hard_state.term && !MUTANT(r, COMMIT_OLD_TERM))
        return;
    release_committed(r, r->commit_index + 1, index);
    r->commit_index = index;
    leave_if_removed(r);
}

static void advance_and_pump(struct raft *r, struct progress *p)
{
    struct raft_id id = p->id;

    replicate_advance_commit(r);
    if (r->role != RAFT_LEADER)
        return;
    p = raft_find_peer(r, id);
    if (p != NULL)
        replicate_pump(r, p);
}

void replicate_ack(struct raft *r, const struct raft_msg *msg)
{
    struct progress *p = r->role == RAFT_LEADER ? raft_find_peer(r, msg->from) : NULL;
    uint64_t match = msg->append_ack.match, term;

    if (p == NULL)
        return;
    if (match > r->log.last_index) {
        raft_fault(r, msg, RAFT_FAULT_PROTOCOL);
        return;
    }
    (void)progress_acked(p, match, r->now_ns);
    progress_catch_up(p, r->log.last_index, r->now_ns, r->cfg.election_max_ns);
    switch (p->state) {
    case PROGRESS_PROBE:
        progress_pipeline(p, r->now_ns);
        break;
    case PROGRESS_PIPELINE:
        break;
    case PROGRESS_SNAPSHOT:
        if (entries_term(&r->log, p->match, &term))
            progress_pipeline(p, r->now_ns);
        else if (p->offered && p->match >= p->offer.index)
            snapshot_want(r, p); /* While it was on its way, we cut further. */
        break;
    }
    advance_and_pump(r, p);
}

void replicate_reject(struct raft *r, const struct raft_msg *msg)
{
    struct progress *p = r->role == RAFT_LEADER ? raft_find_peer(r, msg->from) : NULL;
    const struct raft_msg_append_reject *rej = &msg->append_reject;
    uint64_t next;

    if (p == NULL || p->state == PROGRESS_SNAPSHOT)
        return;
    if (rej->lost && rej->hint_index < p->match)
        p->match = rej->hint_index; /* It had them once; its disk has not. */
    if (rej->prev_index <= p->match ||
        (p->state == PROGRESS_PROBE && rej->prev_index != p->next - 1))
        return; /* An answer to something older. */
    next = entries_last_with_term(&r->log, rej->hint_index, rej->hint_term) + 1;
    next = MIN(next, rej->prev_index);
    progress_probe(p, MAX(next, p->match + 1));
    replicate_pump(r, p);
}

static bool has_quorum_contact(struct raft *r)
{
    const struct raft_conf *conf = members_now(&r->members);
    uint64_t values[RAFT_MEMBERS_MAX];
    unsigned count = 0;

    for (unsigned i = 0; i < conf->count; i++) {
        const struct progress *p = raft_find_peer(r, conf->members[i].id);

        if (conf->members[i].voter)
            values[count++] = (uint64_t)(p != NULL ? p->acked_ns : r->now_ns);
    }
    return r->now_ns - (int64_t)quorum_value(values, count) <= r->cfg.election_max_ns;
}

/* An answer to a heartbeat shows that the peer lives: send again what seems lost. */
static void retry(struct raft *r, struct progress *p)
{
    bool stalled = r->now_ns - p->moved_ns > retry_ns(r);

    switch (p->state) {
    case PROGRESS_PROBE:
        if (stalled)
            p->probe_sent = false;
        break;
    case PROGRESS_PIPELINE:
        if (stalled && p->window_count > 0)
            progress_probe(p, p->match + 1);
        break;
    case PROGRESS_SNAPSHOT:
        snapshot_tick(r, p);
        break;
    }
    replicate_pump(r, p);
}

void replicate_heartbeat_acked(struct raft *r, struct progress *p)
{
    progress_catch_up(p, r->log.last_index, r->now_ns, r->cfg.election_max_ns);
    retry(r, p);
}

void replicate_tick(struct raft *r)
{
    if (!has_quorum_contact(r)) { /* R4: others may have elected another long since. */
        election_become_follower(r, r->hard_state.term, RAFT_NOBODY);
        return;
    }
    replicate_all(r); /* What entries_read had not at hand. */
    if (r->now_ns < r->heartbeat_at_ns)
        return;
    if (transfer_active(r))
        transfer_tick(r);
    read_start_round(r);
}

int replicate_propose(struct raft *r, const struct raft_event *ev, struct raft_update *up)
{
    size_t bytes = 0;

    if (r->role != RAFT_LEADER)
        return RAFT_NOT_LEADER;
    if (ev->propose.count == 0 ||
        (ev->propose.type != RAFT_ENTRY_NORMAL && ev->propose.type != RAFT_ENTRY_HASH))
        return -EINVAL;
    for (size_t i = 0; i < ev->propose.count; i++) {
        if (ev->propose.bufs[i]->len > RAFT_ENTRY_BYTES_MAX)
            return -EMSGSIZE;
        bytes += ev->propose.bufs[i]->len;
    }
    if (transfer_active(r) ||
        (r->uncommitted_bytes > 0 && r->uncommitted_bytes + bytes > r->cfg.uncommitted_bytes_max))
        return -EAGAIN;
    up->proposed_index = r->log.last_index + 1;
    up->proposed_term = r->hard_state.term;
    for (size_t i = 0; i < ev->propose.count; i++)
        raft_append_own(r, ev->propose.type, ev->propose.bufs[i]);
    replicate_all(r);
    return 0;
}

/*
 * R3: a learner becomes a voter only when that will not hold up commits: not one that was quick once
 * and is silent now, or has been at its present round for too long already.
 */
static bool has_caught_up(struct raft *r, struct raft_id id)
{
    const struct progress *p = raft_find_peer(r, id);

    return p != NULL && p->good_rounds >= CATCH_UP_ROUNDS &&
           r->now_ns - p->acked_ns < r->cfg.election_min_ns &&
           (p->match >= p->round_target || r->now_ns - p->round_start_ns < r->cfg.election_max_ns);
}

int replicate_conf_change(struct raft *r, const struct raft_event *ev, struct raft_update *up)
{
    uint8_t bytes[RAFT_CONF_BYTES_MAX];
    struct raft_conf conf;
    struct raft_buf *buf;
    int err;

    if (r->role != RAFT_LEADER)
        return RAFT_NOT_LEADER;
    err = members_change(members_now(&r->members), ev->conf_change.op, &ev->conf_change.member,
                         &conf);
    if (err < 0)
        return err;
    if (transfer_active(r))
        return -EAGAIN;
    if ((!raft_is_leader_ready(r) || members_now_index(&r->members) > r->commit_index) &&
        !MUTANT(r, CONF_EARLY))
        return -EAGAIN;
    if (ev->conf_change.op == RAFT_CONF_PROMOTE && !has_caught_up(r, ev->conf_change.member.id))
        return -EAGAIN;

    buf = raft_buf_copy(bytes, raft_conf_encode(&conf, bytes));
    up->proposed_index = r->log.last_index + 1;
    up->proposed_term = r->hard_state.term;
    raft_append_own(r, RAFT_ENTRY_CONF, buf);
    raft_buf_unref(buf);
    members_append(&r->members, r->log.last_index, &conf);
    r->out.conf_changed = true;
    replicate_set_peers(r);
    if (!MUTANT(r, LEASE_OVER_CONF))
        r->lease_min_round = r->round + 1; /* R6: proof by the old voters is none among the new. */
    replicate_all(r);
    return 0;
}

void replicate_unreachable(struct raft *r, struct raft_id peer)
{
    struct progress *p = r->role == RAFT_LEADER ? raft_find_peer(r, peer) : NULL;

    if (p == NULL || p->state != PROGRESS_PIPELINE)
        return;
    progress_probe(p, p->match + 1);
    p->probe_sent = true; /* Wait for a sign of life. */
    p->moved_ns = r->now_ns - retry_ns(r);
}
