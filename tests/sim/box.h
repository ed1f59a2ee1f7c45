/*
 * A placement group in a box: the real chain and join cores of several members, with a network, a
 * disk for each, clients and a namenode of the simplest kind around them. One thread, no time:
 * what happens next is the caller's choice. Stories choose by hand, the simulator by dice, the
 * exploration tries them all.
 *
 * A chunk has BOX_BLOCKS blocks of two cells each; a cell holds the id of the operation that wrote
 * it, so that partial writes of a block are in the model.
 */
#ifndef TESTS_SIM_BOX_H
#define TESTS_SIM_BOX_H

#include <stdbool.h>
#include <stdint.h>

#include "common/rng.h"
#include "datanode/chain.h"
#include "datanode/join.h"

enum {
    BOX_MEMBERS = 4,
    BOX_CHUNKS = 3,
    BOX_BLOCKS = 3,
    BOX_CELLS = BOX_BLOCKS * 2,
    BOX_CELL_BYTES = 2048,
    BOX_CLIENTS = 3,
#ifdef BOX_SMALL /* The exploration copies whole boxes. */
    BOX_OPS_MAX = 8,
    BOX_CONFIGS_MAX = 32,
#else
    BOX_OPS_MAX = 512,
    BOX_CONFIGS_MAX = 256,
#endif
    BOX_UPTIME_MS = 86400000, /* what the clock shows as a run begins */
};
#define BOX_MIXED UINT32_C(0x80000000) /* a cell of more than one operation's bytes */

struct box_chunk {
    bool exists, tombstone, incomplete, clean;
    uint32_t len;
    struct chunk_ver ver;
    uint32_t cells[BOX_CELLS];
};

/* Something the disk has to do; the first of each chunk may be done. */
struct box_io {
    enum box_io_kind {
        BOX_IO_OP,
        BOX_IO_READ,
        BOX_IO_OWN_CRCS,
        BOX_IO_CRCS,
        BOX_IO_DATA,
        BOX_IO_COPY,
        BOX_IO_TRUNCATE,
        BOX_IO_INCOMPLETE,
        BOX_IO_COMPLETE,
        BOX_IO_DELETE,
        BOX_IO_FORGET,
    } kind;
    uint64_t io_id, waiter;
    struct chain_op *op;
    struct chunk_ver ver;
    uint32_t chunk; /* index */
    uint32_t offset, len;
    uint32_t cells[BOX_CELLS];
    int peer;       /* whom the answer goes to */
    unsigned epoch; /* generation of the connection or of the join: a late answer is dropped */
    bool forget, is_joining;
    struct box_io *prev, *next;
};

struct box_msg {
    enum box_msg_kind {
        BOX_HELLO,
        BOX_HELLO_ACK,
        BOX_HELLO_REFUSED,
        BOX_OP,
        BOX_ACK,
        BOX_BEGIN,
        BOX_SNAPSHOT,
        BOX_LIST_ASK,
        BOX_LIST,
        BOX_CRCS_ASK,
        BOX_CRCS,
        BOX_DATA_ASK,
        BOX_DATA,
    } kind;
    uint64_t epoch, seq, orig_epoch, hello_id, incarnation, waiter;
    int status;
    uint32_t crc, chunk, offset, len;
    unsigned join;
    struct chain_op *op;
    struct chain_config config;
    uint64_t *seqs;
    size_t seq_count;
    struct chain_snapshot snapshot;
    struct box_chunk copy;
    struct box_chunk all[BOX_CHUNKS];
    struct box_wire *wire; /* of a member with a store; owned */
    struct box_msg *prev, *next;
};

/* x connects to y: forth are hellos and operations, back are acks and the joiner's questions. */
struct box_conn {
    bool up, down_pending;
    unsigned generation;
    struct box_msg *forth, *back;
};

struct box_member {
    bool alive;
    struct target_id target;
    uint64_t incarnation, last_epoch;
    struct chain *chain;
    struct join *join;
    int join_source;
    unsigned join_id;
    uint64_t copy_waiter;
    uint64_t *marked;
    size_t marked_count;
    struct box_store *store; /* NULL: the model */
    struct box_chunk disk[BOX_CHUNKS];
    struct box_io *ios;
    bool applied[BOX_OPS_MAX];
    bool accused;
    uint64_t was_synced_in, was_synced_as; /* epoch and incarnation */
};

struct box_op {
    int client;
    struct chain_op *op;
    uint32_t first_cell, end_cell;
    uint64_t invoked, answered; /* 0: not yet */
    uint64_t sent_epoch;        /* a copy is on its way, or in hand, in this epoch; 0: none */
    uint64_t durable;           /* since when a sync has said so; 0: not */
    uint64_t ended_epoch;       /* the newest one when it was answered: nobody sends it later */
    uint64_t acked_epoch;       /* a head that is behind it may order it once more: in vain */
    bool acked, is_read;
    uint32_t chunk;
    uint32_t values[BOX_CELLS]; /* reads */
    bool refused;               /* with a final error */
    bool is_lost;               /* a sync has told its client that it may be */
};

struct box_client {
    struct session_id session;
    uint64_t next_opseq;
    int current; /* index of the operation under way, or -1 */
    struct chain_config config;
    uint64_t since_epoch;  /* the lowest in which something was written and not synced; 0: none */
    bool fenced;           /* by the acknowledged operation, or by the head of the day's word */
    bool fenced_by_op;     /* then every member has passed it, */
    uint64_t passed_epoch; /* of those that know this epoch */
    uint64_t fence_epoch;  /* members that are behind it reach nobody any more */
};

/* From or to a client: comes at any time, in any order, several times, or never. */
struct box_mail {
    bool is_reply;
    int member, op;
    uint64_t epoch, incarnation;
    int status;
    uint32_t values[BOX_CELLS];
    struct box_mail *prev, *next;
};

struct box_options {
    unsigned members, min_write, clients;
    unsigned mutant;
    bool has_store; /* that of production, instead of a model of it */
    uint64_t store_seed;
    unsigned opseq_step; /* wide steps make the dedup window pass quickly; 0: one */
};

struct box {
    struct box_options o;
    uint64_t now, clock_ms;
    struct box_member members[BOX_MEMBERS];
    struct box_conn conns[BOX_MEMBERS][BOX_MEMBERS];
    bool wall[BOX_MEMBERS][BOX_MEMBERS]; /* no connection can be made that way */
    struct box_client clients[BOX_CLIENTS];
    struct box_op ops[BOX_OPS_MAX];
    int op_count;
    struct box_mail *mail;

    struct chain_config config; /* the namenode's */
    struct chain_config history[BOX_CONFIGS_MAX];
    unsigned history_count;
    uint64_t began[BOX_CONFIGS_MAX]; /* when */
    bool pushed[BOX_MEMBERS];        /* of the newest config */
    uint64_t fenced[BOX_CLIENTS];
    size_t fenced_count;
    uint64_t fence_asked; /* session of the fence that is under way */
    int fence_op;
    uint64_t synced_epoch[BOX_MEMBERS]; /* as heard in a heartbeat */

    uint64_t next_waiter;
    struct box_waiter {
        enum { BOX_WAIT_CLIENT, BOX_WAIT_HELLO } kind;
        int member, op;
        int from;
        unsigned generation;
        uint64_t hello_id, epoch; /* epoch: of the mail */
    } * waiters;
    size_t waiter_capacity;

    struct box_nn *nn; /* pg_mgr decides; NULL: the caller does */

    struct chain_actions actions;
    bool tells;            /* prints what it does */
    const char *violation; /* the first broken invariant, or NULL */
    char what[256];
    struct {
        uint64_t acked, resent, rejoined, dedup_hits, copied, diverged, head_died, fences, promoted,
            reads, cold, leaders, accused, laundered, power, synced, too_cold, undone;
    } sometimes;
};

struct box *box_new(const struct box_options *o);
void box_free(struct box *b);

/* ---- what may happen next ---- */

struct box_choice {
    enum box_choice_kind {
        BOX_DELIVER_FORTH, /* a -> b */
        BOX_DELIVER_BACK,
        BOX_DELIVER_DOWN,
        BOX_DISK,    /* member a, n-th of the possible */
        BOX_MAIL,    /* n-th */
        BOX_PUSH,    /* member a learns the newest configuration */
        BOX_HEARD,   /* the namenode learns that member a is synced */
        BOX_PROMOTE, /* member a, heard of */
        BOX_SEND,    /* client a sends its operation, again perhaps, to the head it knows */
        BOX_REFRESH, /* client a learns the newest configuration */
        /* Only those who ask for them get these: */
        BOX_BREAK,   /* connection a -> b */
        BOX_CRASH,   /* member a */
        BOX_RESTART, /* member a */
        BOX_REMOVE,  /* the namenode drops member a */
        BOX_ADD,     /* and takes it back as syncing */
        BOX_TICK,    /* member a */
        BOX_LOSE,    /* n-th mail */
        BOX_CLEAN,   /* member a, chunk n: synced and marked */
        BOX_WRITE,   /* client a begins an operation */
        BOX_READ,    /* client a reads */
        BOX_FENCE,   /* the namenode fences client a */
    } kind;
    int a, b, n;
};
enum { BOX_CHOICES_MAX = 512 };

/* The moves that only carry on what was begun. */
unsigned box_moves(struct box *b, struct box_choice out[BOX_CHOICES_MAX]);
void box_do(struct box *b, struct box_choice c);
/* Makes such moves, the first possible each time, until none is left. */
void box_settle(struct box *b);
/* No client waits for anything. */
bool box_is_idle(const struct box *b);

/* ---- by hand ---- */
/* Each gives the index in b->ops. */
int box_write(struct box *b, int client, uint32_t chunk, uint32_t first_cell, uint32_t cells);
int box_trunc(struct box *b, int client, uint32_t chunk, uint32_t first_cell);
int box_delete(struct box *b, uint32_t chunk);
int box_sync(struct box *b, int client, uint64_t since_epoch);
int box_read(struct box *b, int client, uint32_t chunk, uint32_t block, int member);
void box_fence(struct box *b, int client);
void box_send(struct box *b, int op, int member, uint64_t epoch);
void box_config(struct box *b, const char *text); /* "0S 1S 2Y 3-": serving, syncing, offline */
void box_push(struct box *b, int member);
void box_crash(struct box *b, int member);
/* The machine, too: what its disk had not synced is lost or torn. With the model it is but a crash. */
void box_power_off(struct box *b, int member);
void box_restart(struct box *b, int member);
void box_break(struct box *b, int from, int to);
void box_tick(struct box *b, int member, uint64_t now_ms);
struct chain *box_chain(struct box *b, int member);
struct box_member *box_member_of(struct box *b, struct target_id target);

/* ---- the namenode as it is: box_nn.c ---- */
/* From now on configurations are made by pg_mgr; the present one is where it starts. */
void box_nn_start(struct box *b, uint64_t seed);
void box_nn_free(struct box *b);
/* Some time passes: heartbeats, accusations, decisions, and each member's clock ticks. */
void box_nn_turn(struct box *b);
void box_nn_lead_anew(struct box *b);
/* Nothing passes between it and the leader any more, or again. */
void box_nn_cut(struct box *b, int member, bool cut);
bool box_nn_reaches(const struct box *b, int member);
/* No more troubles of the namenode's. */
void box_nn_calm(struct box *b);
/* As many as there should be serve, and nothing is under way. */
bool box_nn_is_whole(const struct box *b);
void box_nn_died(struct box *b, int member);
void box_nn_accuse(struct box *b, int by, int target);

/* ---- checks ---- */
/* After each step; sets b->violation. */
void box_check(struct box *b);
/* When all is settled: serving members are identical, and each cell was a register. */
void box_check_quiet(struct box *b);
uint64_t box_hash(const struct box *b);
void box_violate(struct box *b, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Between the files of the box. */
void box_commit(struct box *b, const struct chain_config *c);
void box_deliver(struct box *b, int from, int to, bool forth);
void box_deliver_down(struct box *b, int from, int to);
struct box_waiter *box_waiter_new(struct box *b, uint64_t *ret_id);
void box_move_member(struct box *b, int m, enum member_state state);
bool box_may_promote(struct box *b, int m);
void box_conn_break(struct box *b, int from, int to);
void box_step(struct box *b, int member, const struct chain_event *ev);
void box_io_add(struct box *b, int member, const struct box_io *io);
unsigned box_io_possible(const struct box *b, int member);
void box_io_do(struct box *b, int member, unsigned n);
void box_io_drop_all(struct box *b, int member);
void box_join_end(struct box_member *me);
void box_join_run(struct box *b, int member, const struct join_event *ev);
void box_post(struct box *b, int from, int to, bool forth, const struct box_msg *m);
void box_mail_add(struct box *b, const struct box_mail *m);
void box_fence_done(struct box *b, int client);
void box_answered(struct box *b, const struct box_mail *m);
/* What the member has, in order of the chunks' numbers. */
uint32_t box_states(const struct box *b, int member, struct chunk_state out[BOX_CHUNKS]);
struct chunk_state box_chunk_state(const struct box_chunk *k, uint32_t index);
uint64_t box_block_hash(const struct box_chunk *k, uint32_t block);
uint32_t box_slot(const struct box_chunk *k, uint32_t block);

#endif
