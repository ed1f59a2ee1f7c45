/* The sessions service, as the others see it. Leader only: empty elsewhere. */
#ifndef NAMENODE_SVC_SESSION_H
#define NAMENODE_SVC_SESSION_H

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct rpc_frame;
struct service;
struct services;
struct svc_session;

extern const struct service svc_session;

struct svc_session *svc_session_of(struct services *all);

/* A request of this session came in: it lives. False: it is not known (any more). */
bool svc_session_renew(struct svc_session *s, uint64_t session);
/*
 * Answers a request of a session that is not known: DFS_ESTALE_SESSION, but only when it is certain
 * that we still lead. One who was deposed and does not know it has not heard of the newest sessions,
 * and a client that is told so wrongly gives up what it has not written yet.
 */
void svc_session_unknown(struct svc_session *s, struct conn *c, const struct rpc_frame *f,
                         uint64_t session);
void svc_session_open_inode(struct svc_session *s, uint64_t session, uint64_t ino);
void svc_session_close_inode(struct svc_session *s, uint64_t session, uint64_t ino);
/* An unlinked inode may go: every session has told what it has open, and this is not among it. */
bool svc_session_may_reap(const struct svc_session *s, uint64_t ino);

#endif
