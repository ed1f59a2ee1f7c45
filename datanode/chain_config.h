/*
 * The configuration of a placement group as the replicated state machine decided it, and what
 * follows from it for one member: its role and its neighbours.
 * Chain order: the SERVING members in order, then at most one SYNCING; OFFLINE ones stand behind.
 */
#ifndef DATANODE_CHAIN_CONFIG_H
#define DATANODE_CHAIN_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ids.h"
#include "common/limits.h"

enum member_state {
    MEMBER_SERVING = 1, /* as MemberState on the wire */
    MEMBER_SYNCING,
    MEMBER_OFFLINE,
};

struct chain_member {
    struct target_id target;
    uint64_t incarnation;
    enum member_state state;
    uint64_t last_serving_epoch;
};

struct chain_config {
    struct pg_id pg;
    uint64_t epoch; /* 0: none known */
    uint64_t cold_epoch;
    uint64_t reset_epoch;
    uint64_t fence_version;
    uint32_t copies;
    uint32_t min_write;
    uint32_t member_count;
    struct chain_member members[PG_MEMBERS_MAX];
};

/* What a member is in a configuration. Targets of 0 are "none". */
struct chain_place {
    enum chain_role {
        CHAIN_OUT, /* not in the chain, or listed with another incarnation, or failed */
        CHAIN_SERVING,
        CHAIN_SYNCING,
    } role;
    bool is_head;
    bool is_tail; /* last SERVING; a SYNCING member may still follow */
    struct chain_member pred;
    struct chain_member succ;
};

void chain_config_place(const struct chain_config *c, struct target_id self, uint64_t incarnation,
                        struct chain_place *ret_place);
/* At least one SERVING and min_write in the chain: acknowledgements may be given. */
bool chain_config_writable(const struct chain_config *c);
struct target_id chain_config_head(const struct chain_config *c);
/*
 * -EPROTO  no id, no epoch, too many members, a state that does not exist, a target twice,
 *          a SERVING member behind a SYNCING one, two SYNCING
 */
int chain_config_check(const struct chain_config *c);

#endif
