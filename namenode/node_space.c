/*
 * Room on the disks of all namenodes. A replica whose disk is full can neither log nor flush, and
 * ends; so each tells the leader how much it has, and the leader stops what takes room while any of
 * them is short (D2). One that is silent has nothing written to it, and does not count.
 */
#include <inttypes.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/vfs.h"
#include "namenode/node_impl.h"
#include "rpc/conn.h"
#include "rpc/node.pb-c.h"

enum { LOOK_S = 2 };

static uint64_t now_ns(void)
{
    return clock_monotonic_ns(clock_system());
}

bool node_is_short_of_space(const struct node *n)
{
    return disk_space_is_short(n->space) ||
           space_view_is_short(&n->spaces, raft_conf(n->raft), now_ns());
}

bool node_space_of(const struct node *n, struct raft_id id, struct node_space *ret_space)
{
    const struct peer_space *s;
    struct vfs_space own;

    if (id.v == n->conf->id.v) {
        disk_space_last(n->space, &own);
        *ret_space =
            (struct node_space){own.total_bytes, own.free_bytes, disk_space_is_short(n->space)};
        return true;
    }
    s = space_view_find(&n->spaces, raft_conf(n->raft), id, now_ns());
    if (s)
        *ret_space = (struct node_space){s->total_bytes, s->free_bytes, s->is_short};
    return s != NULL;
}

static void tell_change(const struct node *n, const struct peer_space *told)
{
    const struct peer_space *before =
        space_view_find(&n->spaces, raft_conf(n->raft), told->id, told->heard_ns);
    bool was_short = before && before->is_short;

    if (!node_is_leader(n) || was_short == told->is_short)
        return;
    if (told->is_short)
        log_error("the disk of a namenode is nearly full: only deleting is allowed",
                  "id=%" PRIu64 " free=%" PRIu64, told->id.v, told->free_bytes);
    else
        log_info("the disk of a namenode has room again", "id=%" PRIu64 " free=%" PRIu64,
                 told->id.v, told->free_bytes);
}

void node_on_space(struct node *n, const struct rpc_frame *f)
{
    Dfs__NodeSpace *m = dfs__node_space__unpack(NULL, f->header.body_len, f->body);
    struct peer_space told;

    if (!m)
        return;
    told = (struct peer_space){.id = {m->replica_id},
                               .total_bytes = m->bytes_total,
                               .free_bytes = m->bytes_free,
                               .is_short = m->is_short,
                               .heard_ns = now_ns()};
    tell_change(n, &told);
    space_view_note(&n->spaces, raft_conf(n->raft), &told);
    dfs__node_space__free_unpacked(m, NULL);
}

void node_care_for_space(struct node *n, uint64_t now_ns)
{
    Dfs__NodeSpace m = DFS__NODE_SPACE__INIT;
    struct vfs_space own;

    if (now_ns - n->space_ns <= LOOK_S * CLOCK_NS_PER_S)
        return;
    n->space_ns = now_ns;
    disk_space_look(n->space);
    if (n->leader.v == 0 || node_is_leader(n))
        return;
    disk_space_last(n->space, &own);
    m.replica_id = n->conf->id.v;
    m.bytes_total = own.total_bytes;
    m.bytes_free = own.free_bytes;
    m.is_short = disk_space_is_short(n->space);
    peers_tell(n->peers, n->leader, MSG_NODE_SPACE, &m.base);
}
