/* Membership: one voter more or less at a time, so that any two majorities meet (R3). */
#include "raft/members.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raft/mem.h"

void members_init(struct members *m, uint64_t base_index, const struct raft_conf *conf)
{
    *m = (struct members){0};
    members_append(m, base_index, conf);
}

void members_done(struct members *m)
{
    free(m->list);
}

void members_append(struct members *m, uint64_t index, const struct raft_conf *conf)
{
    assert(m->count == 0 || index > m->list[m->count - 1].index);
    m->list = raft_grow(m->list, m->count, &m->cap, sizeof(*m->list));
    m->list[m->count++] = (struct conf_at){index, *conf};
}

bool members_truncate(struct members *m, uint64_t from)
{
    size_t before = m->count;

    while (m->count > 1 && m->list[m->count - 1].index >= from)
        m->count--;
    return m->count != before;
}

void members_compact(struct members *m, uint64_t base_index)
{
    size_t drop = 0;

    while (drop + 1 < m->count && m->list[drop + 1].index <= base_index)
        drop++;
    m->count -= drop;
    memmove(m->list, m->list + drop, m->count * sizeof(*m->list));
    if (m->list[0].index < base_index)
        m->list[0].index = base_index;
}

void members_reset(struct members *m, uint64_t base_index, const struct raft_conf *conf)
{
    m->count = 0;
    members_append(m, base_index, conf);
}

const struct raft_conf *members_now(const struct members *m)
{
    return &m->list[m->count - 1].conf;
}

uint64_t members_now_index(const struct members *m)
{
    return m->list[m->count - 1].index;
}

const struct raft_conf *members_at(const struct members *m, uint64_t index)
{
    for (size_t i = m->count; i > 0; i--) {
        if (m->list[i - 1].index <= index)
            return &m->list[i - 1].conf;
    }
    return NULL;
}

bool members_is_voter(const struct members *m, struct raft_id id)
{
    const struct raft_member *member = raft_conf_find(members_now(m), id);

    return member != NULL && member->voter;
}

static unsigned voter_count(const struct raft_conf *conf)
{
    unsigned count = 0;

    for (unsigned i = 0; i < conf->count; i++)
        count += conf->members[i].voter;
    return count;
}

unsigned members_voter_count(const struct members *m)
{
    return voter_count(members_now(m));
}

unsigned members_quorum(const struct members *m)
{
    return members_voter_count(m) / 2 + 1;
}

uint64_t quorum_value(uint64_t *values, unsigned count)
{
    assert(count > 0);
    for (unsigned i = 1; i < count; i++) {
        for (unsigned k = i; k > 0 && values[k] > values[k - 1]; k--) {
            uint64_t v = values[k];

            values[k] = values[k - 1];
            values[k - 1] = v;
        }
    }
    return values[count / 2];
}

static int add_learner(struct raft_conf *conf, const struct raft_member *member)
{
    unsigned at = 0;

    if (member->id.v == 0 || memchr(member->addr, '\0', sizeof(member->addr)) == NULL)
        return -EINVAL;
    if (raft_conf_find(conf, member->id) != NULL)
        return -EEXIST;
    if (conf->count == RAFT_MEMBERS_MAX)
        return -ENOSPC;
    while (at < conf->count && conf->members[at].id.v < member->id.v)
        at++;
    memmove(&conf->members[at + 1], &conf->members[at],
            (conf->count - at) * sizeof(conf->members[0]));
    conf->members[at] = *member;
    conf->members[at].voter = false;
    conf->count++;
    return 0;
}

static int promote(struct raft_conf *conf, unsigned at)
{
    if (conf->members[at].voter)
        return -EEXIST;
    conf->members[at].voter = true;
    return 0;
}

/* A group without voters could never change again. */
static int drop_member(struct raft_conf *conf, unsigned at)
{
    if (conf->members[at].voter && voter_count(conf) == 1)
        return -EINVAL;
    conf->count--;
    memmove(&conf->members[at], &conf->members[at + 1],
            (conf->count - at) * sizeof(conf->members[0]));
    memset(&conf->members[conf->count], 0, sizeof(conf->members[0]));
    return 0;
}

int members_change(const struct raft_conf *conf, enum raft_conf_op op,
                   const struct raft_member *member, struct raft_conf *ret_conf)
{
    struct raft_conf changed = *conf;
    const struct raft_member *old = raft_conf_find(conf, member->id);
    int r = -EINVAL;

    if (op != RAFT_CONF_ADD_LEARNER && old == NULL)
        return -ENOENT;
    switch (op) {
    case RAFT_CONF_ADD_LEARNER:
        r = add_learner(&changed, member);
        break;
    case RAFT_CONF_PROMOTE:
        r = promote(&changed, (unsigned)(old - conf->members));
        break;
    case RAFT_CONF_REMOVE:
        r = drop_member(&changed, (unsigned)(old - conf->members));
        break;
    }
    if (r == 0)
        *ret_conf = changed;
    return r;
}
