/* What join.c and join_list.c share. */
#ifndef DATANODE_JOIN_PRIVATE_H
#define DATANODE_JOIN_PRIVATE_H

#include <uthash.h>

#include "common/limits.h"
#include "datanode/join.h"

/* What is known of a chunk that is, or was, not identical on both sides. */
struct join_chunk {
    struct chunk_id id;
    bool complete;          /* nothing left to do: it lives on live operations */
    bool incomplete;        /* the mark was asked for */
    bool marked;            /* ever, in this attempt */
    bool is_deleted;        /* by the last live operation */
    struct chunk_ver ver;   /* of the last live operation; 0: none came */
    uint64_t trunc_version; /* the highest that one had */
    UT_hash_handle hh;
};

enum join_state {
    JOIN_LISTING,
    JOIN_COMPARING, /* waits for both CRC lists of `now` */
    JOIN_COPYING,   /* waits for data, and for copies to be stored */
    JOIN_MARKING,   /* waits for the last mark */
    JOIN_DELETING,
    JOIN_OVER,
};

struct join {
    struct pg_id pg;
    unsigned mutant;
    enum join_state state;
    struct chunk_state *own, *theirs;
    size_t own_count, theirs_count, theirs_capacity;

    struct join_chunk *chunks; /* touched by live operations, or worked on */
    uint64_t *work;            /* chunk ids to be compared, in order */
    size_t work_count, work_capacity, work_next;
    struct join_extra {
        uint64_t id;
        bool keep_tombstone;
    } * extra; /* only here, or deleted there */
    size_t extra_count, extra_next;

    /* The chunk in hand. */
    struct chunk_id now;
    bool have_theirs, have_own, own_missing, theirs_missing;
    struct chunk_state their_state, own_state;
    struct join_blocks {
        uint32_t count; /* the rest are zeros */
        uint32_t *slots;
        uint64_t *hashes;
    } theirs_now, own_now;
    uint64_t *own_bad;                       /* bitmap over all blocks */
    uint64_t differs[CHUNK_BLOCKS / 64];     /* to be fetched */
    uint64_t touched[CHUNK_BLOCKS / 64];     /* by live operations since the lists were asked for */
    uint64_t overwritten[CHUNK_BLOCKS / 64]; /* wholly: the copy has nothing to add */
    uint64_t raced[CHUNK_BLOCKS / 64];       /* touched since it was asked for */
    bool any_touched, fix_length, deleting;
    bool any_cut;      /* by a live operation: the length may be any */
    uint32_t live_end; /* of the writes that came live */
    bool look_again;   /* it differs by more than live operations account for */
    uint32_t scan;     /* blocks before it were asked for, or need not be */
    unsigned in_hand;  /* requests and stores under way */
    bool copy_failed;
    uint64_t copied;  /* bytes of it that came over, also twice */
    unsigned refused; /* questions for data that met a block that had just become bad */

    struct join_progress progress;
};

struct join_action *join_emit(struct join_actions *out, enum join_action_kind kind,
                              struct chunk_id chunk);
struct join_chunk *join_chunk_find(const struct join *j, uint64_t id);
struct join_chunk *join_chunk_get(struct join *j, uint64_t id);
/* One more to be compared. */
void join_work_add(struct join *j, uint64_t id);
void join_next_chunk(struct join *j, struct join_actions *out);
void join_fail(struct join *j, int status, struct join_actions *out);

/* ---- join_list.c ---- */
void join_on_list(struct join *j, const struct join_event *ev, struct join_actions *out);
/* Ours was CLEAN at the version that theirs had, when the lists were made. */
bool join_was_same(const struct join *j, struct chunk_id chunk);

#endif
