/*
 * Brings configurations to the datanodes: what changed goes to every connected one at the end of
 * the loop turn. One that misses a push shows an old epoch in its heartbeat and gets it again.
 * Fences ride along; when the datanodes of all chains have acknowledged one, FenceDone is proposed.
 */
#ifndef NAMENODE_PG_PUSH_H
#define NAMENODE_PG_PUSH_H

#include <stdbool.h>
#include <stdint.h>

struct datanodes;
struct fence_rec;
struct node;
struct pg_mgr;
struct pg_push;

struct pg_push *pg_push_new(struct node *node, struct datanodes *dn, const struct pg_mgr *mgr);
void pg_push_free(struct pg_push *p);
/* Something changed: PGs (the dirty ones go out), targets or fences (all of them always do). */
void pg_push_schedule(struct pg_push *p);
/*
 * Datanodes keep fences in memory only, and the evicted may wake up years later: its fence is kept
 * until no older session lives, of which every datanode is told when it registers.
 */
bool fence_may_be_forgotten(const struct fence_rec *rec, uint64_t lowest_session, int64_t wall_ns);

#endif
