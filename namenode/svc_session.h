/* The sessions service, as the others see it. Leader only: empty elsewhere. */
#ifndef NAMENODE_SVC_SESSION_H
#define NAMENODE_SVC_SESSION_H

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct rpc_frame;
struct service;
struct services;
struct sessions;
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
/* By a request that came on c. */
void svc_session_open_inode(struct svc_session *s, const struct conn *c, uint64_t session,
                            uint64_t ino);
void svc_session_close_inode(struct svc_session *s, const struct conn *c, uint64_t session,
                             uint64_t ino);
/* False: it has no links, and is on its way to be taken apart. */
bool svc_session_may_open(const struct svc_session *s, uint64_t ino, uint32_t nlink);
/* See sessions_reap_begins(). */
void svc_session_reap_begins(struct svc_session *s, uint64_t ino);
bool svc_session_is_reaped(const struct svc_session *s, uint64_t ino);
void svc_session_reap_ends(struct svc_session *s, uint64_t ino);
/* See sessions_note_seq(). */
void svc_session_note_seq(struct svc_session *s, uint64_t session, uint64_t seq);
bool svc_session_may_be_done(const struct svc_session *s, uint64_t session, uint64_t seq);
/* What the leader knows of them; NULL unless serving. */
const struct sessions *svc_session_view(const struct svc_session *s);

#endif
