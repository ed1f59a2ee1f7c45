/* The follower's side: entries from the leader, and what it says is committed (R7, R10). */
#include <assert.h>

#include "raft/internal.h"

static void reject(struct raft *r, const struct raft_msg *msg)
{
    struct raft_msg reply = {.type = RAFT_MSG_APPEND_REJECT};
    uint64_t hint = entries_last_with_term(&r->log, msg->append.prev_index, msg->append.prev_term);

    reply.append_reject.prev_index = msg->append.prev_index;
    reply.append_reject.hint_index = hint;
    (void)entries_term(&r->log, hint, &reply.append_reject.hint_term);
    reply.append_reject.lost = r->role == RAFT_RECOVERING;
    raft_send(r, msg->from, &reply);
}

/* Does our log agree with the entry before the message's first? */
static bool matches_prev(const struct raft *r, const struct raft_msg_append *a)
{
    uint64_t term;

    if (a->prev_index <= r->commit_index)
        return true; /* What is committed is the same everywhere. */
    return entries_term(&r->log, a->prev_index, &term) && term == a->prev_term;
}

/* All CONF entries must be readable before any of the message is taken. */
static bool is_sound(const struct raft_msg_append *a)
{
    struct raft_conf conf;

    for (size_t i = 0; i < a->entry_count; i++) {
        const struct raft_entry *e = &a->entries[i];

        if (e->index != a->prev_index + 1 + i)
            return false;
        if (e->type == RAFT_ENTRY_CONF && raft_conf_decode(e->buf->data, e->buf->len, &conf) < 0)
            return false;
    }
    return true;
}

static void truncate_from(struct raft *r, uint64_t from)
{
    assert(from > r->commit_index && "a committed entry would be lost");

    entries_truncate(&r->log, from);
    outbox_truncated(&r->out, from);
    if (r->durable_index >= from && !MUTANT(r, TRUNCATED_IS_DURABLE))
        r->durable_index = from - 1;
    r->out.truncate_from = from;
    if (members_truncate(&r->members, from))
        r->out.conf_changed = true;
}

static void take_entry(struct raft *r, const struct raft_entry *e)
{
    struct raft_conf conf;
    uint64_t term;

    if (e->index <= r->commit_index)
        return;
    if (entries_term(&r->log, e->index, &term)) {
        if (term == e->term)
            return;
        truncate_from(r, e->index);
    }
    entries_append(&r->log, e);
    outbox_entry(&r->out, e);
    if (e->type == RAFT_ENTRY_CONF && raft_conf_decode(e->buf->data, e->buf->len, &conf) == 0) {
        members_append(&r->members, e->index, &conf);
        r->out.conf_changed = true;
    }
}

void follow_append(struct raft *r, const struct raft_msg *msg)
{
    const struct raft_msg_append *a = &msg->append;
    struct raft_msg reply = {.type = RAFT_MSG_APPEND_ACK};
    uint64_t match = a->prev_index + a->entry_count;

    if (!is_sound(a)) {
        raft_fault(r, msg, RAFT_FAULT_PROTOCOL);
        return;
    }
    election_heard_leader(r, msg->from);
    if (!matches_prev(r, a)) {
        reject(r, msg);
        return;
    }
    /* A disk that has stalled: no more until it moves. The leader sends again (R11). */
    if (r->out.held_count > HELD_MAX / 2)
        return;
    for (size_t i = 0; i < a->entry_count; i++)
        take_entry(r, &a->entries[i]);
    if (MUTANT(r, TRUNCATE_SHORT) && match < r->log.last_index && match >= r->commit_index &&
        r->out.entry_count == 0)
        truncate_from(r, match + 1);
    /* Not further than this message reaches: what we have beyond may be another's. */
    follow_commit(r, MUTANT(r, COMMIT_BEYOND_MESSAGE) ? a->commit : MIN(a->commit, match));
    reply.append_ack.match = MIN(match, r->log.last_index);
    if (reply.append_ack.match <= r->durable_index || MUTANT(r, ACK_BEFORE_SYNC))
        raft_send(r, msg->from, &reply);
    else
        raft_send_after_log(r, msg->from, &reply);
}

/* R10: it never falls. */
void follow_commit(struct raft *r, uint64_t commit)
{
    commit = MIN(commit, r->log.last_index);
    if (commit > r->commit_index)
        r->commit_index = commit;
}

/*
 * Do we have again all that was committed of what we lost? Yes if our log reaches as far as it did:
 * a leader sent what is there now. Yes also if it ends in a later term than any lost entry's: what
 * was committed of those is in the leader's log, and there before any entry of a later term, up to
 * which ours is the same (README.md has the proof).
 */
void follow_check_repaired(struct raft *r)
{
    uint64_t term = 0;

    if (r->faulty_to == 0)
        return;
    (void)entries_term(&r->log, r->durable_index, &term);
    if (r->durable_index < r->faulty_to && term <= r->faulty_term &&
        !(MUTANT(r, REPAIRED_BY_SAME_TERM) && term == r->faulty_term))
        return;
    r->faulty_to = 0;
    assert(r->role == RAFT_RECOVERING);
    r->role = RAFT_FOLLOWER;
}
