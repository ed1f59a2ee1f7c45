/*
 * The joiner's side of copying, as a pure step function: what its source, the tail, has and it has
 * not is brought over, chunk by chunk, while live operations go on being applied.
 *
 *   LIST ──► for each chunk: CRCS of both ──► equal? ──► COMPLETE
 *                              ▲              no: copy the blocks that differ
 *                              └──────────────┘
 *        ──► what only we have is deleted ──► DONE
 *
 * The source is right by definition; no "greater version wins" anywhere. A chunk is taken over
 * unseen only when both sides call it CLEAN at the same version and no operation touched it since.
 *
 * Blocks are equal when their hashes are: equal CRCs do not make equal bytes, see chunk_file_check().
 * Only where the source's own block is bad, and so has no hash, the CRC it should have decides; and
 * if ours has not that one, it becomes bad too, unless both chunks are at rest at the same version.
 *
 * Why comparing is enough under live operations: the source does our requests after the operations
 * it has sent us. A block that was equal once stays equal, since both apply the same operations to
 * it; what a live operation touched while a copy was on its way is not taken from the copy, and is
 * asked for again.
 *
 * Why it ends however much is written meanwhile: new writes come here by themselves, so only old
 * blocks are copied, and each once. A whole chunk is looked at again only while it differs in blocks
 * that no live operation touched during the look: those that were copied do not any more. A block
 * that is touched all the time cannot be compared; it was copied in a moment in which it was not, and
 * a moment is one round trip for one block. Only a chunk that is cut during each look, of all of
 * it, is looked at for longer.
 */
#ifndef DATANODE_JOIN_H
#define DATANODE_JOIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"
#include "common/ids.h"
#include "datanode/chain_op.h"
#include "datanode/store.h"

struct join;

enum join_event_kind {
    JOIN_EV_LIST,   /* states, count, end */
    JOIN_EV_CRCS,   /* the source's: state, slots, count; status DFS_ENOCHUNK: it has none,
                       DFS_EBADBLOCK: it has lost the file */
    JOIN_EV_OWN,    /* ours: the same, and bad; the same statuses */
    JOIN_EV_DATA,   /* offset, len (what was asked), slots, count, bytes_len, payload, bytes */
    JOIN_EV_STORED, /* status: a COPY, TRUNCATE, MARK_COMPLETE or DELETE is done */
};

struct join_event {
    enum join_event_kind kind;
    int status;
    const struct chunk_state *states; /* LIST */
    size_t count;
    bool end;
    struct chunk_state state;
    const uint32_t *slots;
    const uint64_t *hashes; /* CRCS, OWN: with the slots */
    const uint64_t *bad;    /* OWN: bitmap, or NULL */
    uint32_t offset, len;
    uint32_t bytes_len; /* DATA: bytes there are; the rest up to len is zeros */
    void *payload;      /* DATA: borrowed, comes back in the action */
    const uint8_t *bytes;
};

enum join_action_kind {
    JOIN_ACT_ASK_LIST,        /* chunk: after it */
    JOIN_ACT_ASK_CRCS,        /* chunk */
    JOIN_ACT_OWN_CRCS,        /* chunk */
    JOIN_ACT_ASK_DATA,        /* chunk, offset, len: verified */
    JOIN_ACT_COPY,            /* chunk, offset, len, payload, bytes: whole blocks, of the event that
                                 caused it. bytes NULL: zeros; with slots: no such bytes, but blocks
                                 that are bad and should have these */
    JOIN_ACT_TRUNCATE,        /* chunk, offset: the length becomes exactly this */
    JOIN_ACT_MARK_INCOMPLETE, /* chunk: before anything that follows; nobody waits for it */
    JOIN_ACT_MARK_COMPLETE,   /* chunk, ver, trunc_version */
    JOIN_ACT_DELETE,          /* chunk; keep_tombstone: the source has one too */
    JOIN_ACT_FORGET,          /* chunk: our tombstone goes; nobody waits for it */
    JOIN_ACT_DONE,            /* all is here and durable */
    JOIN_ACT_FAILED,          /* status: begin again */
};

struct join_action {
    enum join_action_kind kind;
    struct chunk_id chunk;
    struct chunk_ver ver;
    uint64_t trunc_version;
    uint32_t offset, len;
    bool keep_tombstone;
    void *payload;
    const uint8_t *bytes;
    const uint32_t
        *slots; /* COPY: of the blocks copied, NULL for zeros; lives as long as the event */
    int status;
};

struct join_actions {
    struct join_action *items;
    size_t count, capacity;
};
void join_actions_clear(struct join_actions *a);
void join_actions_done(struct join_actions *a);

/* own: the chunks of the PG here, in order of their ids, tombstones included. */
struct join *join_new(struct pg_id pg, const struct chunk_state *own, size_t own_count,
                      unsigned mutant);
void join_free(struct join *j);
DEFINE_CLEANUP(join, join_free)

/*
 * The chunks that this attempt marked INCOMPLETE: an attempt that follows in the same life of the
 * process looks at them again, for the disk may not have done the marks yet when it lists. The list
 * is malloc'ed; gives its length.
 */
size_t join_marked(const struct join *j, uint64_t **ret_chunks);
void join_look_again(struct join *j, const uint64_t *chunks, size_t count);

/* The first request. */
void join_start(struct join *j, struct join_actions *out);
void join_step(struct join *j, const struct join_event *ev, struct join_actions *out);
/* An operation is about to be applied: what is to be done before it comes out. */
void join_live(struct join *j, const struct chain_op *op, struct chunk_ver ver,
               struct join_actions *out);

bool join_is_over(const struct join *j);
struct join_progress {
    uint64_t chunks_done, chunks_total, bytes_done, bytes_total, bytes_copied;
};
void join_progress(const struct join *j, struct join_progress *ret_progress);
/* A number over everything that decides its future, for the exploration of states. */
uint64_t join_state_hash(const struct join *j);

#endif
