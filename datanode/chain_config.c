#include "datanode/chain_config.h"

#include <errno.h>
#include <string.h>

#include "common/error.h"

/* OFFLINE members are no part of the chain, wherever they are listed. */
static bool in_chain(const struct chain_member *m)
{
    return m->state == MEMBER_SERVING || m->state == MEMBER_SYNCING;
}

void chain_config_place(const struct chain_config *c, struct target_id self, uint64_t incarnation,
                        struct chain_place *ret_place)
{
    struct chain_place place = {.role = CHAIN_OUT};
    const struct chain_member *me = NULL, *before = NULL, *after = NULL;
    bool serving_after = false;

    for (uint32_t i = 0; i < c->member_count; i++) {
        const struct chain_member *m = &c->members[i];

        if (!in_chain(m))
            continue;
        if (ID_EQUAL(m->target, self)) {
            me = m;
            continue;
        }
        if (me == NULL) {
            before = m;
            continue;
        }
        if (after == NULL)
            after = m;
        serving_after = serving_after || m->state == MEMBER_SERVING;
    }

    if (me != NULL && me->incarnation == incarnation) {
        place.role = me->state == MEMBER_SERVING ? CHAIN_SERVING : CHAIN_SYNCING;
        place.is_head = place.role == CHAIN_SERVING && before == NULL;
        place.is_tail = place.role == CHAIN_SERVING && !serving_after;
        if (before != NULL)
            place.pred = *before;
        if (after != NULL)
            place.succ = *after;
    }
    *ret_place = place;
}

bool chain_config_writable(const struct chain_config *c)
{
    uint32_t serving = 0, chain = 0;

    for (uint32_t i = 0; i < c->member_count; i++) {
        serving += c->members[i].state == MEMBER_SERVING;
        chain += in_chain(&c->members[i]);
    }
    return serving >= 1 && chain >= c->min_write;
}

struct target_id chain_config_head(const struct chain_config *c)
{
    for (uint32_t i = 0; i < c->member_count; i++) {
        if (c->members[i].state == MEMBER_SERVING)
            return c->members[i].target;
    }
    return (struct target_id){0};
}

int chain_config_check(const struct chain_config *c)
{
    bool syncing = false;

    if (ID_IS_NONE(c->pg) || c->epoch == 0 || c->member_count > PG_MEMBERS_MAX)
        return DFS_EPROTO;

    for (uint32_t i = 0; i < c->member_count; i++) {
        const struct chain_member *m = &c->members[i];

        if (ID_IS_NONE(m->target))
            return DFS_EPROTO;
        for (uint32_t j = 0; j < i; j++) {
            if (ID_EQUAL(c->members[j].target, m->target))
                return DFS_EPROTO;
        }
        switch (m->state) {
        case MEMBER_SERVING:
            if (syncing)
                return DFS_EPROTO;
            break;
        case MEMBER_SYNCING:
            if (syncing)
                return DFS_EPROTO;
            syncing = true;
            break;
        case MEMBER_OFFLINE:
            break;
        default: /* From the wire: any number is possible. */
            return DFS_EPROTO;
        }
    }
    return 0;
}
