/*
 * What the files of the datanode's rim share: everything here belongs to the loop's thread.
 *
 *   service.c  requests in ─► write.c, read.c, forward.c, inventory.c
 *   pg.c       one chain and what it wants done
 *   forward.c  neighbours: connections, hellos, operations, acknowledgements
 *   write.c    operations from clients, and onto the disk
 *   read.c     reads of clients and joiners
 *   joiner.c   copying from the source
 *   scrub.c    what nobody reads is looked at
 *   lateness.c who takes long, for the leader
 *   copying.c  whose turn it is to copy, when clients leave room
 *   holdings.c what is here, for a namenode that has to find out
 *   strays.c   what was left here when another target took our place
 *   heartbeat.c the leader
 */
#ifndef DATANODE_DN_H
#define DATANODE_DN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "common/latency.h"
#include "common/uuid.h"
#include "datanode/chain.h"
#include "datanode/copying.h"
#include "datanode/dn_conf.h"
#include "datanode/service.h"
#include "datanode/store.h"
#include "rpc/chunk.pb-c.h"
#include "rpc/conn.h"
#include "rpc/node.pb-c.h"

enum { DN_KEY_MAX = 64, DN_TICK_MS = 100, REPAIR_QUEUE_MAX = 64 };

/* Where a target lives, as the namenode said last. */
struct dn_place {
    struct target_id target;
    char addr[ADDR_TEXT_MAX];
    char node[DN_NAME_MAX + 1];
    char host[DN_NAME_MAX + 1];
    UT_hash_handle hh;
};

/* The connection that we open to another datanode; all PGs share it. */
struct dn_peer {
    struct dn *dn;
    char addr[ADDR_TEXT_MAX];
    struct conn *conn; /* NULL: none */
    bool was_open;     /* this connection stood once */
    UT_hash_handle hh;
};

/* A chunk of ours with a block that does not have its CRC. */
struct dn_repair {
    struct chunk_id chunk;
    uint32_t block; /* the first that was bad */
    unsigned tries;
    bool found; /* it was bad when last looked at, and block is set */
    bool left;  /* its file was gone, and we left the chain for that: once is enough */
};

/* What goes on at one of our targets, beside its store. */
struct dn_disk {
    struct target *target;
    struct copying *copying;
    struct latency_window own; /* operations of clients, see lateness.c */
    struct dn_link *links;     /* by successor */
};

/* One placement group at one of our targets. */
struct dn_pg {
    struct {
        uint32_t pg, target;
    } key;
    struct dn *dn;
    struct target *target;
    struct dn_disk *disk;
    struct chain *chain;
    struct chain_actions actions;
    bool is_stepping;
    struct conn *pred_conn;        /* a reference: where acknowledgements go */
    struct dn_peer *succ_peer;     /* of the last hello */
    const struct conn *hello_conn; /* of the oldest hello without an answer; NULL: none */
    uint64_t hello_id, hello_at_ns;
    struct joiner *joiner;
    uint64_t served_epoch; /* the last in which we were SERVING */
    size_t strays_in_hand;
    bool tells_strays;                               /* it was said that there are some */
    bool repairs;                                    /* a repair of ours is under way */
    struct chunk_id repair_now;                      /* of this chunk */
    struct dn_repair repair_queue[REPAIR_QUEUE_MAX]; /* what waits for it, or for repair_at_ms */
    size_t repair_count;
    uint64_t repair_pause_ms, repair_at_ms;
    uint64_t *marked; /* INCOMPLETE by attempts that broke off */
    size_t marked_count;
    uint64_t told_free;
    uint64_t timed_seq, timed_ns; /* an operation of which the acknowledgement is timed; 0: none */
    struct target_id timed_target;
    UT_hash_handle hh;
};

/* Somebody who waits for an answer of a chain, which knows it by its number alone. */
struct dn_waiter {
    uint64_t id;
    enum dn_waiter_kind {
        WAITER_OP,
        WAITER_READ,
        WAITER_HELLO,
        WAITER_CALL,
    } kind;
    struct conn *conn; /* a reference; NULL for WAITER_CALL */
    uint16_t type;
    uint64_t rpc_id;
    struct dn_pg *pg;
    struct chunk_id chunk; /* READ */
    uint32_t offset, len;
    bool verify;
    uint64_t since_ns;                     /* READ of a client: when the store was asked */
    struct copy_turn turn;                 /* READ of a joiner */
    struct chain_op *op;                   /* OP, before it is in the chain: a reference */
    uint64_t epoch;                        /* OP, READ of a joiner */
    void (*called)(void *ctx, int status); /* CALL */
    void *ctx;
    UT_hash_handle hh;
};

/* Who is at the other end of a connection that was made to us. */
struct dn_guest {
    bool is_peer; /* a datanode */
    bool is_namenode;
    bool is_bound; /* plain: only for this session */
    struct session_id session;
};

struct dn_metrics {
    struct metric *ops, *op_bytes, *chain_ops_sent, *chain_ops_received, *acks_sent, *acks_received;
    struct metric *reads, *read_bytes, *syncs, *stale, *bad_blocks, *accusations, *registered;
    struct metric *pgs_serving, *pgs_syncing, *joins, *join_bytes, *strays;
    struct metric *scrub_chunks, *scrub_bytes, *scrub_bad;
    struct metric *copy_rate, *copies_waiting;
};

struct dn {
    struct loop *loop;
    struct slab_pool *slabs;
    struct metrics *metrics;
    struct dn_metrics m;
    const struct dn_conf *conf;
    struct dn_events events;
    struct tls *tls;
    struct vfs *vfs;
    const struct clock *clock;

    uint64_t incarnation;
    struct uuid boot_id;
    struct uuid cluster;
    uint8_t data_key[DN_KEY_MAX];
    size_t data_key_len;
    bool is_open; /* the store stands */
    bool is_stopping;
    bool inline_io;
    void (*stopped)(void *ctx);
    void *stopped_ctx;

    struct store *store;
    struct dn_disk disks[TARGETS_PER_NODE_MAX];
    struct server *server;
    struct loop_timer *tick;
    uint64_t tick_count;
    uint64_t ticked_ns; /* the last tick; 0: none yet */
    struct latency_window stalls;

    struct dn_pg *pgs;
    struct dn_peer *peers;
    struct dn_place *places;
    uint64_t *fences; /* all sessions that were ever fenced */
    size_t fence_count;
    uint64_t session_floor;  /* below it all are, of the time before a restore */
    uint64_t lowest_session; /* below it none lives any more: all are, too */
    struct dn_waiter *waiters;
    uint64_t next_waiter;
    struct dn_apply *applies; /* operations in the hands of the store */
    struct dn_post *posts;    /* events that must not come from inside a step */
    struct nn_link *nn;
    struct scrub *scrub; /* NULL: off, or the store is not open */
};

/* ---- pg.c ---- */
struct dn_pg *pg_find(struct dn *dn, uint32_t pg, uint32_t target);
struct dn_pg *pg_get(struct dn *dn, uint32_t pg, struct target *t);
/* The one that is in the chain, else any, else NULL. */
struct dn_pg *pg_local(struct dn *dn, uint32_t pg);
void pg_step(struct dn_pg *pg, const struct chain_event *ev);
/* The same, from the loop, later. Nothing that ev points to is kept. */
void pg_post(struct dn_pg *pg, const struct chain_event *ev);
void pg_learn(struct dn *dn, const struct chain_config *c, bool from_namenode);
void pg_fences_changed(struct dn *dn);
void pg_tick_all(struct dn *dn);
void pg_target_failed(struct dn *dn, struct target *t);
void pg_free_all(struct dn *dn);
uint64_t pg_epoch(const struct dn_pg *pg);
/* One good copy is left of what it holds. */
bool pg_is_last_copy(const struct dn_pg *pg);

struct dn_waiter *waiter_new(struct dn *dn, enum dn_waiter_kind kind, struct conn *c,
                             const struct rpc_frame *f, struct dn_pg *pg);
void waiter_free(struct dn *dn, struct dn_waiter *w);
struct dn_waiter *waiter_find(struct dn *dn, uint64_t id);
/* An Error with the configuration that the other side should have; pg may be NULL. */
void dn_reply_error(struct dn *dn, struct conn *c, uint16_t type, uint64_t rpc_id, struct dn_pg *pg,
                    int code, const char *text);

/* ---- lateness.c ---- */
/* Is it an operation that somebody waits for? */
bool lateness_counts(const struct chain_op *op);
/* One is done on the disk. since_ns: when the store was asked. */
void lateness_client_took(struct dn_pg *pg, uint64_t since_ns);
void lateness_tick(struct dn *dn);
void lateness_sent(struct dn_pg *pg, const struct chain_action *a);
void lateness_acked(struct dn_pg *pg, uint64_t seq);
void lateness_own(struct dn_disk *disk, struct dn *dn, uint64_t *ret_p50_ns, uint64_t *ret_p99_ns);
/* lateness_links_done() releases them. */
void lateness_links(struct dn *dn, Dfs__HeartbeatRequest *m);
void lateness_links_done(Dfs__HeartbeatRequest *m);
void lateness_free(struct dn_disk *disk);

/* ---- holdings.c ---- */
/* What our targets hold of each group; holdings_done() releases it. */
void holdings_make(struct dn *dn, Dfs__HeartbeatRequest *m);
void holdings_done(Dfs__HeartbeatRequest *m);

/* ---- service.c ---- */
void dn_on_request(struct dn *dn, struct conn *c, const struct rpc_frame *f,
                   const struct dn_guest *guest);
const struct dn_place *dn_place_find(const struct dn *dn, uint32_t target);
/* What the others are told to connect to. */
const char *dn_advertised(const struct dn *dn);
int dn_open_store(struct dn *dn, const struct uuid *cluster);
void dn_learn_targets(struct dn *dn, Dfs__TargetInfo *const *infos, size_t count);
void dn_learn_pgs(struct dn *dn, Dfs__Pg *const *pgs, size_t count, const uint64_t *fences,
                  size_t fence_count, uint64_t lowest_session);
void dn_fail(struct dn *dn, const char *text);
struct dn_disk *dn_disk(struct dn *dn, const struct target *t);

/* ---- write.c ---- */
void write_on_request(struct dn *dn, struct conn *c, const struct rpc_frame *f,
                      const struct dn_guest *guest);
void write_apply(struct dn_pg *pg, const struct chain_action *a);
void write_free_all(struct dn *dn);
void write_answer(struct dn *dn, struct dn_waiter *w, const struct chain_action *a);

/* ---- read.c ---- */
void read_on_request(struct dn *dn, struct conn *c, const struct rpc_frame *f);
void read_now(struct dn *dn, struct dn_waiter *w, const struct chain_action *a);
void read_on_sync_begin(struct dn *dn, struct conn *c, const struct rpc_frame *f);
void read_on_sync_list(struct dn *dn, struct conn *c, const struct rpc_frame *f);
void read_on_sync_crcs(struct dn *dn, struct conn *c, const struct rpc_frame *f);
void read_on_sync_read(struct dn *dn, struct conn *c, const struct rpc_frame *f);

/* ---- repair.c ---- */
/* A block of the chunk here does not have its CRC: heals what can be healed, and tells the leader. */
void repair_start(struct dn_pg *pg, struct chunk_id chunk);
void repair_tick(struct dn_pg *pg, uint64_t now_ms);
/* At the head: another member has a bad block. */
void repair_on_request(struct dn_pg *pg, struct conn *c, const struct rpc_frame *f,
                       const struct chain_op *op);

/* ---- inventory.c ---- */
void inventory_on_request(struct dn *dn, struct conn *c, const struct rpc_frame *f);

/* ---- forward.c ---- */
void forward_hello(struct dn_pg *pg, const struct chain_action *a);
void forward_op(struct dn_pg *pg, const struct chain_action *a);
void forward_ack(struct dn_pg *pg, const struct chain_action *a);
void forward_hello_answer(struct dn_pg *pg, const struct chain_action *a);
void forward_on_hello(struct dn *dn, struct conn *c, const struct rpc_frame *f);
void forward_on_op(struct dn *dn, struct conn *c, const struct rpc_frame *f);
void forward_on_ack(struct dn *dn, const struct rpc_frame *f);
void forward_on_confirm(struct dn *dn, struct conn *c, const struct rpc_frame *f);
/* A connection that was made to us is gone: is its other end too? */
void forward_guest_gone(struct dn *dn, struct conn *c);
struct dn_peer *forward_peer(struct dn *dn, const char *addr);
void forward_free_all(struct dn *dn);

/* ---- joiner.c ---- */
void joiner_begin(struct dn_pg *pg, const struct chain_action *a);
void joiner_start(struct dn_pg *pg, const struct chain_action *a);
void joiner_stop(struct dn_pg *pg);
void joiner_live(struct dn_pg *pg, const struct chain_op *op, struct chunk_ver ver);
void joiner_progress(const struct dn_pg *pg, uint64_t *ret_done, uint64_t *ret_total);

/* ---- strays.c ---- */
/* Drops some of what is here of groups that have filled our place with another target. */
void strays_tick(struct dn *dn);

/* ---- heartbeat.c ---- */
struct nn_link *nn_link_new(struct dn *dn);
void nn_link_close(struct nn_link *l);
void nn_link_free(struct nn_link *l);
void nn_accuse(struct dn *dn, struct dn_pg *pg, struct target_id target, const char *why);
/* A heartbeat at the end of this turn of the loop. */
void nn_hurry(struct dn *dn);
void nn_report_bad(struct dn *dn, struct dn_pg *pg, struct chunk_id chunk, uint32_t block,
                   const char *what, bool healed);
bool nn_is_registered(const struct dn *dn);

#endif
