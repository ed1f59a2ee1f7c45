/*
 * What the leader remembers of sessions beside the replicated record: when each was last heard of,
 * and which inodes each has open. Soft state: a new leader starts with the replicated sessions,
 * none of them attached, and learns the opens from the clients when they attach again.
 *
 * An unlinked inode may be taken apart only when every session is attached or has ended and none has
 * it open: so opens need no log entry, and yet survive a failover. Pure: no clock, no I/O.
 *
 * A client whose connection broke tells on a new one what it has open, and asks again what had no
 * answer. What was held up on the old one may still arrive after that: it would be counted twice. So
 * opens and closes count only on the connection on which the session has told last: `via` is its
 * number, in the order in which connections came (rpc/conn.h), 0 before the session has told anything.
 */
#ifndef NAMENODE_SESSIONS_H
#define NAMENODE_SESSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"

struct sessions;

/* The memory of the leader of that term. */
struct sessions *sessions_new(uint64_t term);
void sessions_free(struct sessions *s);
DEFINE_CLEANUP(sessions, sessions_free)

/* A session of the replicated state. attached: it was opened under this leader. */
void sessions_add(struct sessions *s, uint64_t session, bool attached, uint64_t now_ns);
void sessions_remove(struct sessions *s, uint64_t session);

/* Any request renews. False: no such session. */
bool sessions_renew(struct sessions *s, uint64_t session, uint64_t now_ns);

/*
 * The session tells all it has open, and counts as attached. An inode may be listed several times. What
 * comes by an older connection than the last time tells nothing any more, and what is told to the leader of
 * another term (0: of any, by clients of an older release) tells this one nothing: it was held up.
 */
void sessions_attach(struct sessions *s, uint64_t session, uint64_t term, uint64_t via,
                     const uint64_t *inos, size_t count);

/*
 * Counted: as many closes as opens. A close too many is ignored, and so is what comes by another
 * connection than that of the last sessions_attach(), if there was one.
 */
void sessions_open_inode(struct sessions *s, uint64_t session, uint64_t via, uint64_t ino);
void sessions_close_inode(struct sessions *s, uint64_t session, uint64_t via, uint64_t ino);

bool sessions_is_open(const struct sessions *s, uint64_t ino);
/*
 * Of an inode without links that nobody has open: it is the reaper's. To take it apart is allowed when
 * all sessions have told; to open it (some client still knows its number) is not any more, since its
 * end may be on its way through the log.
 */
bool sessions_may_reap(const struct sessions *s, uint64_t ino);
bool sessions_may_open(const struct sessions *s, uint64_t ino, uint32_t nlink);
/*
 * From the first ReapOp that is proposed until it is gone nobody may open it, whatever is told: a client
 * whose CLOSE was done, but not answered, tells that inode once more.
 */
void sessions_reap_begins(struct sessions *s, uint64_t ino);
bool sessions_is_reaped(const struct sessions *s, uint64_t ino);
void sessions_reap_ends(struct sessions *s, uint64_t ino);
/*
 * Which requests may have been done already, though their answer was lost: those up to the highest seq
 * that the log has, or may get. Only the log may answer them; what is said without it, as that there is
 * no room, is for others. Noted when one is proposed, and of each session when a leader begins.
 */
void sessions_note_seq(struct sessions *s, uint64_t session, uint64_t seq);
bool sessions_may_be_done(const struct sessions *s, uint64_t session, uint64_t seq);

/* Sessions that have not told what they have open. */
size_t sessions_detached_count(const struct sessions *s);
size_t sessions_count(const struct sessions *s);

/* Sessions not heard of for silence_ns, at most max of them. Returns how many. */
size_t sessions_expired(const struct sessions *s, uint64_t now_ns, uint64_t silence_ns,
                        uint64_t *out, size_t max);

#endif
