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

enum { LOOK_S = 2, SILENT_S = 10 };

static struct peer_space *find_space(struct node *n, struct raft_id id)
{
    for (unsigned i = 0; i < n->space_count; i++) {
        if (n->spaces[i].id.v == id.v)
            return &n->spaces[i];
    }
    return NULL;
}

/* Of a member now, heard not long ago. */
static bool counts(const struct node *n, const struct peer_space *s)
{
    uint64_t now_ns = clock_monotonic_ns(clock_system());

    return raft_conf_find(raft_conf(n->raft), s->id) != NULL &&
           now_ns - s->heard_ns < SILENT_S * CLOCK_NS_PER_S;
}

bool node_is_short_of_space(const struct node *n)
{
    if (disk_space_is_short(n->space))
        return true;
    for (unsigned i = 0; i < n->space_count; i++) {
        if (n->spaces[i].is_short && counts(n, &n->spaces[i]))
            return true;
    }
    return false;
}

bool node_space_of(const struct node *n, struct raft_id id, struct node_space *ret_space)
{
    struct vfs_space own;

    if (id.v == n->conf->id.v) {
        disk_space_last(n->space, &own);
        *ret_space =
            (struct node_space){own.total_bytes, own.free_bytes, disk_space_is_short(n->space)};
        return true;
    }
    for (unsigned i = 0; i < n->space_count; i++) {
        const struct peer_space *s = &n->spaces[i];

        if (s->id.v != id.v || !counts(n, s))
            continue;
        *ret_space = (struct node_space){s->total_bytes, s->free_bytes, s->is_short};
        return true;
    }
    return false;
}

void node_on_space(struct node *n, const struct rpc_frame *f)
{
    Dfs__NodeSpace *m = dfs__node_space__unpack(NULL, f->header.body_len, f->body);
    struct raft_id id = {m ? m->replica_id : 0};
    struct peer_space *s = find_space(n, id);

    if (m && !s && raft_conf_find(raft_conf(n->raft), id)) {
        /* The places of those who have left are free again. */
        for (unsigned i = 0; i < n->space_count && !s; i++)
            s = counts(n, &n->spaces[i]) ? NULL : &n->spaces[i];
        if (!s && n->space_count < RAFT_MEMBERS_MAX)
            s = &n->spaces[n->space_count++];
        if (s)
            *s = (struct peer_space){.id = id};
    }
    if (m && s) {
        if (m->is_short && !s->is_short && node_is_leader(n))
            log_error("the disk of a namenode is nearly full: only deleting is allowed",
                      "id=%" PRIu64 " free=%" PRIu64, id.v, m->bytes_free);
        if (!m->is_short && s->is_short && node_is_leader(n))
            log_info("the disk of a namenode has room again", "id=%" PRIu64 " free=%" PRIu64, id.v,
                     m->bytes_free);
        *s = (struct peer_space){.id = id,
                                 .total_bytes = m->bytes_total,
                                 .free_bytes = m->bytes_free,
                                 .is_short = m->is_short,
                                 .heard_ns = clock_monotonic_ns(clock_system())};
    }
    if (m)
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
