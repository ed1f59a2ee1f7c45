/* What a replica knows, for those who ask: entries, terms, members, status. */
#include <assert.h>
#include <string.h>

#include "raft/internal.h"

const char *raft_role_name(enum raft_role role)
{
    switch (role) {
    case RAFT_FOLLOWER:
        return "follower";
    case RAFT_PRECANDIDATE:
        return "precandidate";
    case RAFT_CANDIDATE:
        return "candidate";
    case RAFT_LEADER:
        return "leader";
    case RAFT_RECOVERING:
        return "recovering";
    }
    return "?";
}

static int fetch_entry(struct raft *r, uint64_t index, const struct raft_entry **ret_entry)
{
    struct raft_entry got[READ_ENTRIES_MAX], *kept;
    size_t want = READ_ENTRIES_MAX;
    int n;

    if (r->log.last_index - index + 1 < want)
        want = (size_t)(r->log.last_index - index + 1);
    n = r->cfg.entries_read(r->cfg.entries_ctx, index, want, READ_BYTES_MAX, got);
    if (n < 0)
        return n;
    assert(n > 0 && (size_t)n <= want && got[0].index == index);
    kept = outbox_entries(&r->out, (size_t)n);
    memcpy(kept, got, (size_t)n * sizeof(*kept));
    *ret_entry = kept;
    return 0;
}

int raft_entry_get(struct raft *r, uint64_t index, const struct raft_entry **ret_entry)
{
    const struct raft_entry *entry;

    if (index <= r->log.base_index || index > r->log.last_index)
        return -ENOENT;
    entry = entries_find(&r->log, index);
    for (size_t i = r->out.array_count; entry == NULL && i > 0; i--) {
        const struct entry_array *a = &r->out.arrays[i - 1];

        if (a->count > 0 && index >= a->entries[0].index && index - a->entries[0].index < a->count)
            entry = &a->entries[index - a->entries[0].index];
    }
    if (entry == NULL)
        return fetch_entry(r, index, ret_entry);
    *ret_entry = entry;
    return 0;
}

int raft_term_at(const struct raft *r, uint64_t index, uint64_t *ret_term)
{
    return entries_term(&r->log, index, ret_term) ? 0 : -ENOENT;
}

int raft_point_at(const struct raft *r, uint64_t index, struct raft_point *ret_point)
{
    const struct raft_conf *conf = members_at(&r->members, index);
    uint64_t term;

    if (conf == NULL || !entries_term(&r->log, index, &term))
        return -ENOENT;
    *ret_point = (struct raft_point){index, term, *conf};
    return 0;
}

const struct raft_conf *raft_conf(const struct raft *r)
{
    return members_now(&r->members);
}

static void peer_status(const struct raft *r, struct raft_peer_status *s)
{
    static const char *const names[] = {"probe", "pipeline", "snapshot"};

    s->state = "-";
    if (s->id.v == r->cfg.id.v) {
        s->match_index = r->durable_index;
        s->acked_ns = r->now_ns;
    }
    for (unsigned i = 0; r->role == RAFT_LEADER && i < r->peer_count; i++) {
        if (r->peers[i].id.v != s->id.v)
            continue;
        s->state = names[r->peers[i].state];
        s->match_index = r->peers[i].match;
        s->acked_ns = r->peers[i].acked_ns;
    }
}

void raft_status(const struct raft *r, struct raft_status *ret_status)
{
    const struct raft_conf *conf = members_now(&r->members);
    struct raft_status s = {
        .id = r->cfg.id,
        .role = r->role,
        .term = r->hard_state.term,
        .vote = r->hard_state.vote,
        .leader = r->leader,
        .base_index = r->log.base_index,
        .last_index = r->log.last_index,
        .last_term = entries_last_term(&r->log),
        .durable_index = r->durable_index,
        .commit_index = raft_visible_commit(r),
        .applied_index = r->applied_index,
        .cached_bytes = r->log.cached_bytes,
        .lease_valid = read_lease_valid(r),
        .lease_until_ns = read_lease_until(r),
        .peer_count = conf->count,
    };

    for (unsigned i = 0; i < conf->count; i++) {
        s.peers[i].id = conf->members[i].id;
        s.peers[i].voter = conf->members[i].voter;
        peer_status(r, &s.peers[i]);
    }
    *ret_status = s;
}
