/*
 * A cluster for tests of the data path: three datanodes that listen on loopback in the test's own
 * loop, over one common store of chunks, and a namenode that is nothing but the functions of
 * libdfs/nn.h (linked instead of nn.c). Every fault counts down: "the next n".
 */
#ifndef TESTS_UNIT_LIBDFS_FAKE_CLUSTER_H
#define TESTS_UNIT_LIBDFS_FAKE_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "libdfs/ll_internal.h"
#include "rpc/conn.h"
#include "rpc/meta.pb-c.h"

enum { FAKE_DNS = 3, FAKE_PGS = 4, FAKE_CHUNKS_PER_FILE = 8 };

struct fake_chunk {
    uint64_t id;
    UT_hash_handle hh;
    uint8_t *bytes;
    uint32_t len;
    bool exists;            /* has been written */
    uint64_t trunc_version; /* as chunk_state's */
};

struct fake_file {
    uint64_t ino;
    UT_hash_handle hh;
    Dfs__Attr attr;
    uint8_t inline_bytes[4096];
    size_t inline_len;
    struct {
        uint64_t id;
        uint32_t pg;
        bool materialized;
    } chunks[FAKE_CHUNKS_PER_FILE]; /* id 0: none */
    Dfs__ChunkTail tail;
    unsigned opens;
    bool gone; /* unlinked and reaped */
};

struct fake_dn {
    struct cluster *cluster;
    unsigned number;
    struct server *server;
    char *addr;
    unsigned ops, reads, syncs, truncs, hellos;

    /* Faults. */
    unsigned drop_before; /* of the next ops, close the connection without executing */
    unsigned drop_after;  /* ... after executing */
    unsigned fail_ops;    /* the next ops get fail_code */
    unsigned fail_reads;  /* the next reads get fail_code */
    int fail_code;
    unsigned flip_reads;               /* a bit is turned over in the data of the next reads */
    bool flip_always;                  /* ... also when verify is asked for */
    unsigned silent_ops, silent_reads; /* the next ones are never answered */
    bool hold_ops; /* executed and answered only when cluster_release() is called */
    struct held_op *held;
};

struct cluster {
    struct loop *loop;
    struct slab_pool *slabs;
    struct ll ll;
    struct fake_dn dns[FAKE_DNS];
    struct fake_chunk *chunks;
    struct fake_file *files;
    uint64_t next_ino, next_chunk;
    uint64_t map_version;
    uint64_t epoch[FAKE_PGS];
    unsigned head[FAKE_PGS]; /* which datanode is first in the chain; the others follow */
    uint64_t session;
    int64_t wall_ns;

    /* Exactly-once bookkeeping: the highest opseq without a gap, per PG, and repeats seen. */
    uint64_t opseq_next[FAKE_PGS];
    bool executed[FAKE_PGS][4096];
    unsigned repeats;

    /* Counters of the namenode, by op. */
    unsigned opens, creates, closes, getattrs, allocs, commits, layouts, truncates, trunc_dones,
        maps;
    uint64_t last_done_version;
    bool old_marks;                             /* the namenode gives them no version */
    Dfs__CommitOp last_commit;                  /* scalars only */
    int fail_commit, fail_alloc, fail_truncate; /* the next one gets this status */
    bool hold_nn;                               /* answers wait for cluster_release_nn() */
    struct nn_answer *answers;
    bool out_of_time;
};

struct cluster *cluster_new(void);
void cluster_free(struct cluster *c);

/* Runs the loop until *flag; fails the test after 4 s. */
void cluster_wait(struct cluster *c, const bool *flag);
void cluster_pass(struct cluster *c, uint64_t ms);
/* Runs it until the condition holds; fails the test after 4 s. */
#define CLUSTER_UNTIL(c, condition)                                                                \
    do {                                                                                           \
        unsigned until_turns_ = 0;                                                                 \
        while (!(condition) && until_turns_++ < 4000)                                              \
            cluster_pass((c), 1);                                                                  \
        assert_true(condition);                                                                    \
    } while (0)
/* Executes and answers what hold_ops kept back, in the order it came. */
void cluster_release(struct cluster *c);
void cluster_release_nn(struct cluster *c);
/* A new configuration: this datanode is the head of all PGs. The client is told if tell. */
void cluster_set_head(struct cluster *c, unsigned dn, bool tell);
/* The process is killed: connections break, nobody listens. */
void cluster_kill_dn(struct cluster *c, unsigned dn);

struct fake_file *cluster_file(struct cluster *c, struct ino ino);
struct fake_file *cluster_add_file(struct cluster *c, uint64_t size);
/* Content as the namenode and datanodes have it: what another client would read. */
void cluster_content(struct cluster *c, struct ino ino, uint8_t *out, size_t len);
/* Another client writes: chunks are filled, or inline content is set, and published. */
void cluster_foreign_write(struct cluster *c, struct ino ino, uint64_t offset, const void *bytes,
                           size_t len);

/* ---- between fake_cluster.c and fake_namenode.c ---- */

struct fake_chunk *fake_chunk_get(struct cluster *c, uint64_t id);
void fake_chunk_write(struct fake_chunk *k, uint32_t offset, const uint8_t *bytes, uint32_t len);
void fake_fill_pg(struct cluster *c, uint32_t pg, Dfs__Pg *out, Dfs__PgMember *members,
                  Dfs__PgMember **pointers);
void fake_drop_answers(struct cluster *c);

#endif
