#include "namenode/log_keep.h"

#include <stdbool.h>

#include "common/compiler.h"
#include "namenode/mutants.h"
#include "raft/raft.h"

/* One that is not heard gets a snapshot when it comes back: nobody knows when that will be. */
static bool counts(const struct log_keep *k, const struct raft_status *status,
                   const struct raft_peer_status *p)
{
    return p->id.v != status->id.v && p->acked_ns + k->live_ns > k->now_ns;
}

uint64_t log_keep_from(const struct log_keep *k, const struct raft_status *status)
{
    uint64_t upto = MUTANT(CUT_UNFLUSHED) ? status->applied_index : k->flushed_index;

    if (status->role != RAFT_LEADER || k->log_bytes > k->log_bytes_max)
        return upto + 1;
    for (unsigned i = 0; i < status->peer_count; i++) {
        if (counts(k, status, &status->peers[i]))
            upto = MIN(upto, status->peers[i].match_index);
    }
    return upto + 1;
}
