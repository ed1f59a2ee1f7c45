/*
 * What an earlier format stored is brought to the log's (fsm_value.h): by the leader, a slice at a
 * time, with a pause after each for all others. A new leader goes on where the last one was.
 */
#include <inttypes.h>

#include "common/log.h"
#include "common/loop.h"
#include "namenode/node_impl.h"

enum { SLICE_VALUES = 64, SLICE_BYTES = 128 << 10, SLICE_PAUSE_MS = 10 };

static void on_slice_reply(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct node *n = ctx;

    n->slice_proposed = false;
    if (status < 0 || reply->status < 0)
        return; /* node_care() tries again. */
    n->converted_count += reply->id->id;
    if (fsm_state(n->fsm)->convert.kind != 0) {
        loop_timer_start(n->convert_timer, SLICE_PAUSE_MS, 0);
        return;
    }
    log_info("all of the store has the new format", "values=%" PRIu64, n->converted_count);
    n->converted_count = 0;
}

void node_convert(void *ctx)
{
    struct node *n = ctx;
    const struct convert_pos *at = &fsm_state(n->fsm)->convert;
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__ConvertOp op = DFS__CONVERT_OP__INIT;

    /* A rewritten value takes its room twice, until the store has tidied up. */
    if (at->kind == 0 || n->slice_proposed || !node_is_serving(n) || node_is_short_of_space(n))
        return;
    if (n->converted_count == 0)
        log_info("values of an earlier format are rewritten, in the background",
                 "from=%c/%" PRIu64 " kinds=" VALUE_KINDS, at->kind, at->id);
    op.max_values = SLICE_VALUES;
    op.max_bytes = SLICE_BYTES;
    req.op_case = DFS__META_REQUEST__OP_CONVERT;
    req.convert = &op;
    n->slice_proposed = true;
    node_propose(n, &req, on_slice_reply, n);
}
