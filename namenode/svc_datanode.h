/*
 * The datanodes service, as the others see it: who is registered, placement groups and their
 * configurations, space. Leader only; elsewhere it knows nothing.
 */
#ifndef NAMENODE_SVC_DATANODE_H
#define NAMENODE_SVC_DATANODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "namenode/cluster_view.h"

struct conn;
struct datanodes;
struct fsm_space;
struct service;
struct services;
struct svc_datanode;
struct sync_progress;

extern const struct service svc_datanode;

struct svc_datanode *svc_datanode_of(struct services *all);

/* Usable bytes of the cluster: the copies are already divided out. */
void svc_datanode_space(const struct svc_datanode *s, struct fsm_space *ret_space);

/*
 * PGs for new chunks, spread by free space. Only writable ones whose targets are not nearly full.
 * -ENOSPC  every PG has a target that is nearly full
 * -EAGAIN  none is writable now: ask again. Where there are none of so many copies yet they are made
 */
int svc_datanode_choose_pgs(struct svc_datanode *s, uint32_t copies, uint32_t count, uint32_t *out);
/*
 * Somebody asks for so many copies: PGs for it are made, if there are none.
 * -EINVAL  the cluster has fewer hosts with a disk in use
 */
int svc_datanode_want_copies(struct svc_datanode *s, uint32_t copies);

/* Leader memory of datanodes, targets and placement groups. Borrowed, within this loop turn. */
const struct datanodes *svc_datanode_memory(const struct svc_datanode *s);

/* The control connection of the datanode that holds this target; NULL when there is none. */
struct conn *svc_datanode_conn(const struct svc_datanode *s, uint32_t target);

/* PGs and targets as messages. Release it with cluster_view_done(); valid within this loop turn. */
void svc_datanode_view(const struct svc_datanode *s, enum cluster_view_pgs pgs,
                       struct cluster_view *ret_view);
/* How far a PG's joining member is; NULL: it has none, or has not told. Valid within this loop turn. */
const struct sync_progress *svc_datanode_progress(const struct svc_datanode *s, uint32_t pg);
/* The last reports of damaged blocks, newest first: at most max. Borrowed. */
size_t svc_datanode_bad(const struct svc_datanode *s, const Dfs__BadChunkReport **out, size_t max);

#endif
