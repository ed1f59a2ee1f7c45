/*
 * The leader's soft memory of datanodes and what they told last: connections, space, progress.
 * Lost with leadership, told again with the next registration and heartbeat.
 */
#ifndef NAMENODE_DATANODES_H
#define NAMENODE_DATANODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "namenode/records.h"
#include "rpc/node.pb-c.h"

struct conn;
struct pg_mgr;

enum { DN_TARGETS_MAX = 64, BAD_REPORTS_MAX = 64 };

struct datanode {
    char node[REC_STRING_SIZE]; /* its name, the key */
    struct conn *conn;          /* a reference; NULL: not connected */
    uint64_t incarnation;
    uint64_t heard_ns;
    uint32_t targets[DN_TARGETS_MAX];
    unsigned target_count;
    uint64_t fence_acked; /* it has acknowledged a push that held every fence up to this version */
    UT_hash_handle hh;
};

struct target_state {
    uint32_t target;
    struct target_rec rec; /* as the state machine has it */
    struct datanode *node; /* NULL: not registered with this leader */
    uint64_t bytes_total, bytes_free, chunk_count, bad_chunks;
    Dfs__ScrubStatus scrub;  /* began_ns 0: none */
    uint64_t p50_us, p99_us; /* of clients' operations there; 0: nothing told */
    bool reported;           /* this leader has been told the figures above */
    bool failed;
    bool retiring;  /* its removal is on its way through the log */
    bool told_slow; /* it was logged that it is kept out for that */
    UT_hash_handle hh;
};

/* How far a member is that is brought up to date, in this epoch. */
struct sync_progress {
    uint64_t done, total;          /* bytes; total 0: nobody has told */
    uint64_t first_done, first_ns; /* of the first report, and */
    uint64_t last_ns;              /* when the last one came */
};
/* Bytes a second from the first report to the last; 0: not known yet. */
uint64_t sync_progress_rate(const struct sync_progress *p);
void sync_progress_take(struct sync_progress *p, uint64_t done, uint64_t total, uint64_t now_ns);

struct pg_state {
    uint32_t pg;
    struct pg_rec rec;
    bool dirty; /* its members don't know the newest epoch yet */
    struct sync_progress sync;
    UT_hash_handle hh;
};

struct datanodes {
    struct datanode *nodes;
    struct target_state *targets;
    struct pg_state *pgs;
    Dfs__BadChunkReport *bad[BAD_REPORTS_MAX]; /* the newest is the last */
    size_t bad_count;
};

void datanodes_clear(struct datanodes *d);
struct datanode *datanodes_node(struct datanodes *d, const char *name, bool create);
struct datanode *datanodes_node_of_conn(struct datanodes *d, const struct conn *c);
struct target_state *datanodes_target(const struct datanodes *d, uint32_t target);
struct target_state *datanodes_target_by_uuid(const struct datanodes *d, const uint8_t *uuid);
/*
 * A target that has had its day: its datanode serves without it, and no placement group has it as a
 * member any more. NULL: there is none, or its removal is on the way.
 */
struct target_state *datanodes_retired(const struct datanodes *d);
/* What its datanode says of it. */
void target_state_take(struct target_state *t, const Dfs__TargetReport *report);
/* How late targets answer, as n, their predecessors' datanode, says. */
void datanodes_take_links(const struct datanodes *d, struct pg_mgr *mgr, const struct datanode *n,
                          const Dfs__HeartbeatRequest *m);
/* What pg_mgr cannot see: who has little room, and whose maintenance lasts at that Unix time. */
void datanodes_tell_room(const struct datanodes *d, struct pg_mgr *mgr, int64_t wall_ns);
/* Logs who is kept out for its slowness now, and who is not any more. */
void datanodes_tell_slow(struct datanodes *d, const struct pg_mgr *mgr);
/* Less than a tenth of it is free: no new data goes there. */
bool datanodes_is_nearly_full(const struct target_state *t);
/* How many placement groups have a copy there, and of how many it is the only one that serves
 * and was not removed. */
void datanodes_pgs_of(const struct datanodes *d, uint32_t target, uint32_t *ret_pgs,
                      uint32_t *ret_last);
struct pg_state *datanodes_pg(const struct datanodes *d, uint32_t pg);
/* From the state machine, at the start and after each change. */
void datanodes_set_target(struct datanodes *d, const struct target_rec *rec);
void datanodes_set_pg(struct datanodes *d, const struct pg_rec *rec);
/*
 * PGs of so many copies for new chunks, in turn (*next remembers where), only writable ones whose
 * targets are not nearly full nor much fuller than the emptiest. A target that hasn't reported yet (a
 * new leader) counts as empty: it is not full because we don't know it. One whose every SERVING
 * member is away (its datanode has no connection) is left alone while there are others: who writes
 * there would wait until one is back.
 * -ENOSPC  every PG has a target that is nearly full
 * -EAGAIN  none can be written now, or there is none: ask again
 */
int datanodes_choose_pgs(const struct datanodes *d, uint64_t *next, uint32_t copies, uint32_t count,
                         uint32_t *out);
/* Is there any PG of so many copies? */
bool datanodes_have_pgs(const struct datanodes *d, uint32_t copies);
/* Different ones with a target that is in use, heard of or not. */
uint32_t datanodes_host_count(const struct datanodes *d);
/*
 * What fits in all, and what still does, with so many copies on different hosts: a host that is full
 * while others are empty leaves no room for files that need it. With fewer hosts than copies, each
 * of them has one.
 */
void datanodes_space(const struct datanodes *d, uint32_t copies, uint64_t *ret_total,
                     uint64_t *ret_free);
/*
 * A damaged block, or its healing, was reported. Of each chunk of each target the newest report is
 * kept, of those the last BAD_REPORTS_MAX. Takes m.
 */
void datanodes_keep_bad(struct datanodes *d, Dfs__BadChunkReport *m);
/* The newest first, at most max. Borrowed until the next datanodes_keep_bad(). */
size_t datanodes_bad(const struct datanodes *d, const Dfs__BadChunkReport **out, size_t max);
/* Takes a reference of conn, drops the one before. NULL: it is gone. */
void datanode_set_conn(struct datanode *n, struct conn *c);

#endif
