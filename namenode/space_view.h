/*
 * What namenodes have told of the room on their disks, and whether that stops what takes room (D2): while
 * any member is short. One that is silent has nothing written to it, and does not count. Pure: no
 * clock, no I/O; node_space.c tells and asks.
 */
#ifndef NAMENODE_SPACE_VIEW_H
#define NAMENODE_SPACE_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "raft/types.h"

/* Room on another namenode's disk, as it said. */
struct peer_space {
    struct raft_id id;
    uint64_t total_bytes, free_bytes;
    uint64_t heard_ns; /* monotonic */
    bool is_short;
};

/* Zeroed memory is an empty one. */
struct space_view {
    struct peer_space spaces[RAFT_MEMBERS_MAX];
    unsigned count;
};

/* Borrowed; NULL if it is no member, or has not been heard for long. */
const struct peer_space *space_view_find(const struct space_view *v, const struct raft_conf *conf,
                                         struct raft_id id, uint64_t now_ns);
/* It says so, now: told->heard_ns. Who is no member is not listened to. */
void space_view_note(struct space_view *v, const struct raft_conf *conf,
                     const struct peer_space *told);
/* Is anybody short? */
bool space_view_is_short(const struct space_view *v, const struct raft_conf *conf, uint64_t now_ns);

#endif
