/*
 * Whole namenodes in the simulated group: the real state machine on a store in memory, the real
 * proposals, sessions and reads; and clients with real sessions, which send the same request until
 * it is answered, to whom they believe leads.
 *
 *   client ──request──► node: sessions ─► proposals ─► raft ─► fsm_apply() ──reply──► client
 *                             └─► reads ─► fsm_read() ───────────────────────reply──►
 *
 *   god sees each entry when it is first applied: what each (session, seq) was answered, which ids
 *   were given; and keeps the log, to replay it into a fresh store at the end.
 */
#ifndef SIM_NN_H
#define SIM_NN_H

#include "common/buf.h"
#include "namenode/fsm.h"
#include "namenode/kv.h"
#include "namenode/proposals.h"
#include "namenode/sessions.h"
#include "namenode/space_view.h"
#include "tests/sim/sim_raft.h"

enum {
    NN_CLIENTS_MAX = 6,
    NN_CALLS_MAX = 4, /* of one client, at once */
    NN_CALL_SLOTS = NN_CALLS_MAX + 1,
    NN_OPENS_MAX = 12,  /* inodes that one client has open */
    NN_AREAS_MAX = 3,   /* directories of their own, so that histories stay short */
    NN_HASH_EVERY = 16, /* entries between state hashes; 4096 in production */
    NN_NAME_MAX = 8,
    NN_FILE_CHUNKS = 4, /* of a file, the most that clients ask for; see nn_chunk_index() */
    NN_TAILS_MAX = 4,   /* marks of truncations that clients have heard of */
    NN_TREE_PATH_MAX = 256,
};

/* What travels between clients and nodes; a packed body follows. */
enum nn_kind { NN_META, NN_OPEN, NN_RENEW, NN_ATTACH, NN_CLOSE, NN_SPACE };

struct nn_envelope {
    uint8_t kind;
    uint8_t client;
    uint16_t
        conn; /* of the client, for what is about opens: in the order in which they were made */
    uint32_t call;    /* number of the client's call */
    int32_t status;   /* replies: 0, or why there is no body */
    uint32_t leader;  /* replies: number of the node that may lead, plus 1 */
    uint64_t session; /* answers to RENEW and ATTACH: the leader's term */
    uint64_t term;    /* ATTACH: of the leader that is told */
};

/* A request that a node works on. */
struct nn_op {
    struct nn_op *next, *prev;
    struct nn *nn;
    struct nn_envelope from;
    Dfs__MetaRequest *msg; /* NULL unless NN_META */
    bool reads;            /* waits for read_id */
    bool unknown_session;
    bool is_first;    /* cannot have been done before it was proposed here */
    bool refuses;     /* for lack of room, when it is certain that we lead */
    uint64_t applied; /* by anybody, when it began to make that certain */
    uint64_t read_id;
    uint64_t reaps, term; /* a slice of that inode, by the leader of that term; 0: none */
};

/* A FormatOp, and the configuration whose formats it rests on. */
struct nn_format_ask {
    uint64_t index, term;
    uint32_t format; /* 0: none */
    struct raft_conf conf;
};

/* A namenode. */
struct nn {
    struct sim_world *w;
    struct sim_node *n;
    struct kv *kv;         /* the disk: what is flushed in it survives */
    struct kv *checkpoint; /* NULL: none */
    bool store_fails;      /* the next write to it, and all after */
    bool installed;        /* its state came by snapshot in this life */
    struct fsm *fsm;
    struct proposals proposals;
    struct batch *applying;
    struct sessions *sessions; /* NULL unless serving */
    struct nn_op *ops;
    int64_t format_at_ns[FSM_FORMAT + 1]; /* when it runs a release that knows this format */
    uint32_t heard_formats[SIM_NODES_MAX];
    struct nn_format_ask asked[FSM_FORMAT + 1]; /* by format: gathered, not yet proposed */
    struct space_view spaces;
    int64_t looked_ns;
    struct nn_told { /* God's own: what the leader was last told of whose disk */
        int64_t at_ns;
        uint64_t id;
        bool is_short;
    } told[SIM_NODES_MAX];
    struct reap_queue *reaps;
    size_t reaps_in_flight;
    bool applies_first; /* ...what nobody has applied before */
    bool led, transferring;
    uint64_t led_term;
    uint64_t hash_due;
    int64_t swept_ns;
    uint64_t reply_hash; /* of the entry being applied */
};

/* One request of a client, from its first sending to its answer. */
struct nn_call {
    bool active;
    enum nn_kind kind;
    uint32_t number;
    uint64_t session, seq; /* seq 0: a read */
    Dfs__MetaRequest *msg; /* NULL unless NN_META */
    unsigned tries;
    bool redirected; /* to whom it goes next is told */
    bool recorded;   /* in the history, once it is over */
    bool of_opens;   /* goes by the connection alone */
    bool held;       /* it asks for an inode that it has open */
    int64_t called_ns;
};

/* rm -r, from its first slice to its last. */
struct nn_tree_job {
    bool active, in_flight;
    uint64_t parent;
    char name[NN_NAME_MAX];
    uint8_t from[NN_TREE_PATH_MAX];
    size_t from_len;
    unsigned slices;
    uint64_t crashes; /* that there had been when it began */
};

/* The rest of a file's last chunk, which must be zeroed before the file grows. */
struct nn_tail {
    uint64_t ino, chunk;
    uint32_t from;
    uint64_t size, version; /* of the file; of the mark */
};

/* Of the opens of an inode: those that the leader counts for us, and of these the ones in use. */
struct nn_open {
    uint64_t ino;
    unsigned owed, held;
};

struct nn_client {
    unsigned number;
    uint8_t uuid[16];
    uint64_t session; /* 0: none */
    uint64_t next_seq;
    uint64_t floor;
    unsigned believed; /* node */
    struct nn_call calls[NN_CALL_SLOTS];
    uint32_t next_call;
    int64_t silent_until_ns;
    struct buf old;     /* a request that was sent once, with its envelope, */
    unsigned old_node;  /* and to whom */
    struct buf arrived; /* numbers of calls and connections of what came about opens: uint64_t */
    unsigned area;      /* where it works */
    struct nn_tree_job tree;
    struct nn_open opens[NN_OPENS_MAX];
    uint16_t conn; /* to conn_node; what is open was told on it if attached */
    unsigned conn_node;
    uint64_t conn_term; /* of the leader that was told */
    bool attached;
    bool is_older;         /* of a release whose marks of truncations have no version */
    struct nn_tail untold; /* zeroed by it, which it has yet to tell; chunk 0: none */
};

/* Somebody has zeroed it at the datanodes, when so much was applied. */
struct nn_zeroed {
    struct nn_tail tail;
    uint64_t applied;
};

/* Inodes that clients have heard of, for them to choose from. */
struct nn_area {
    uint64_t root; /* 0: not made yet */
    uint64_t dirs[16], files[16];
    unsigned dir_count, file_count;
    unsigned op_count; /* in the history */
    unsigned unknown_count;
    bool history_ended;
    int64_t history_end_ns;
};

/* What became of a (session, seq). */
struct nn_act {
    bool done;
    uint64_t index;
    uint64_t term;
    uint64_t reply_hash;
    bool replayed;
};

struct nn_god_session {
    bool is_open;
    uint8_t uuid[16];
    uint64_t floor, seq_max;
    struct nn_act *acts; /* by seq */
    size_t act_cap;
};

struct nn_entry {
    uint64_t term;
    struct raft_buf *buf; /* NULL: nothing of the state machine's */
    uint64_t state_hash, reply_hash;
    bool has_bytes;      /* Some node began here, or made a snapshot... */
    uint64_t bytes_hash; /* ...with a store of these bytes. */
};

struct lin_history;
struct model;
struct nn_data;

struct nn_world {
    struct nn nodes[SIM_NODES_MAX];
    struct nn_client clients[NN_CLIENTS_MAX];
    unsigned client_count;
    struct nn_area areas[NN_AREAS_MAX];
    unsigned area_count;
    int64_t client_gap_ns;
    int64_t courtesy_ns; /* silence after which a session is evicted */
    unsigned calls_at_once, names;
    unsigned data_percent, tree_percent, quota_percent; /* of changes */
    unsigned open_percent;                              /* of requests */
    struct nn_tail tails[NN_TAILS_MAX];                 /* chunk 0: none */
    uint64_t segment_bytes;                             /* of the log */

    /* God. */
    struct nn_format_ask *asks; /* all that were proposed: who leads next may ask anew */
    size_t ask_count, ask_cap;
    struct raft_conf format_confs[FSM_FORMAT + 1]; /* by format: of the one that took effect */
    struct nn_entry *entries;                      /* by index */
    size_t entry_cap;
    uint64_t applied; /* the newest index that anybody has applied */
    struct nn_god_session *sessions;
    size_t session_cap;
    uint64_t ino_max, session_max, chunk_max;
    bool *reaped; /* by inode: a slice of it, at least */
    size_t reaped_cap;
    uint64_t unlinked;        /* inodes that wait for the reaper */
    struct nn_zeroed *zeroed; /* in the order of applied */
    size_t zeroed_count, zeroed_cap;
    struct lin_history *history; /* NULL: empty */
};

#define UL(v) ((unsigned long)(v))

/* sim_nn.c: the machine */
struct nn *nn_of(const struct sim_world *w, const struct sim_node *n);
struct nn_world *nn_world_of(const struct sim_world *w);

/* sim_nn_log.c: the log on disk */
extern const struct sim_storage nn_log_storage;

/* sim_nn_serve.c: requests at a node */
uint32_t nn_known_format(const struct nn *nn);
void nn_serve(struct nn *nn, const struct sim_event *e);
void nn_serve_turn(struct nn *nn);
void nn_serve_read(struct nn *nn, const struct raft_read *read);
void nn_serve_stop(struct nn *nn);
void nn_fail_all(struct nn *nn);

/* sim_nn_client.c */
void nn_clients_begin(struct sim_world *w);
void nn_clients_end(struct sim_world *w);
void nn_client_event(struct sim_world *w, const struct sim_event *e);
bool nn_clients_idle(const struct sim_world *w);
/* What an event's number says: a client's timer, or a reply on its way. */
enum nn_client_event { NN_TIMER_THINK, NN_TIMER_RETRY, NN_REPLY, NN_OLD_COPY };
/* Across the simulated network; the body is copied. */
void nn_send_reply(struct nn *nn, const struct nn_envelope *to, const uint8_t *body, size_t len);

/* sim_nn_request.c: what clients ask for */
Dfs__MetaRequest *nn_any_request(struct sim_world *w, struct nn_client *c);
/* Of one of the inodes that it has open. */
Dfs__MetaRequest *nn_closing_request(struct sim_world *w, struct nn_client *c);
void nn_learn(struct sim_world *w, struct nn_client *c, const struct nn_call *call,
              const Dfs__MetaReply *reply);
/* What is there to be written, cut and counted, as chance has it. */
void nn_requests_begin(struct sim_world *w);

/* sim_nn_open.c: what clients have open */
bool nn_is_of_opens(const Dfs__MetaRequest *m);
bool nn_holds(const struct nn_client *c, uint64_t ino);
bool nn_holds_any(const struct nn_client *c);
/* Its session has ended, or it has forgotten. */
void nn_drop_opens(struct nn_client *c);
void nn_pack_opens(const struct nn_client *c, struct buf *out);
bool nn_may_open_more(const struct nn_client *c);
/* False: it has nothing to close; or, there is nothing to open either. */
bool nn_close_some(struct sim_world *w, struct nn_client *c, Dfs__MetaRequest *req);
bool nn_any_open(struct sim_world *w, struct nn_client *c, Dfs__MetaRequest *req);
void nn_open_learn(struct sim_world *w, struct nn_client *c, const struct nn_call *call,
                   const Dfs__MetaReply *reply);
void nn_open_reaped(struct sim_world *w, uint64_t ino);
/* Can it have come so, as connections are? */
bool nn_open_may_arrive(struct nn *nn, const struct nn_envelope *from);

/* sim_nn_check.c: I10, I12, I13, I15, I16 */
struct nn_entry *nn_entry_at(struct nn_world *nw, uint64_t index);
void nn_check_applied(struct nn *nn, const struct raft_entry *e);
/* What was gathered became an entry. */
void nn_check_asked(struct nn *nn, uint64_t index, uint64_t term);
/* The entry has brought the format that the state has now. */
void nn_check_brought(struct nn *nn, const struct raft_entry *e);
/* Of a node that has opened its store, found or installed, or makes a snapshot of it. */
void nn_check_bytes(struct nn *nn);
void nn_check_reply(struct nn *nn, const struct raft_entry *e, const Dfs__MetaRequest *req,
                    const struct fsm_reply *reply);
/* The leader will not have it done. asked: what was applied by anybody when it began to refuse. */
void nn_check_refusal(struct nn *nn, const Dfs__MetaRequest *req, uint64_t asked);
void nn_check_answer(struct sim_world *w, const struct nn_call *call, int status,
                     const uint8_t *bytes, size_t len);
void nn_check_end(struct sim_world *w);
void nn_check_done(struct nn_world *nw);
/* sim_nn_history.c: linearizability */
void nn_history_begin(struct sim_world *w, const struct nn_client *c, struct nn_call *call);
/* reply NULL: there is none, and what became of it is not known. */
void nn_history_end(struct sim_world *w, const struct nn_client *c, struct nn_call *call,
                    const Dfs__MetaReply *reply);
void nn_history_check(struct sim_world *w);
void nn_history_done(struct nn_world *nw);

/* sim_nn_content.c: the same of contents, quotas and trees */
/* Which four: two each in two pages of the map. */
uint32_t nn_chunk_index(unsigned slot);
void nn_any_content(struct sim_world *w, struct nn_client *c, Dfs__MetaRequest *req);
void nn_any_quota(struct sim_world *w, const struct nn_area *a, Dfs__MetaRequest *req);
void nn_any_tree(struct sim_world *w, struct nn_client *c, Dfs__MetaRequest *req);
/* An rm -r is under way, and its next slice can be asked for. */
bool nn_tree_waits(const struct nn_client *c);
void nn_content_learn(struct sim_world *w, struct nn_client *c, const Dfs__MetaRequest *req,
                      const Dfs__MetaReply *reply);

/*
 * sim_nn_data.c: how changes of contents and quotas must be answered. m: the names, which the caller
 * keeps; of each operation that the log is replayed with, in order.
 */
struct nn_data *nn_data_new(struct sim_world *w, struct model *m);
void nn_data_free(struct nn_data *d);
void nn_data_before(struct nn_data *d);
/* False: it is not of contents or quotas. */
bool nn_data_apply(struct nn_data *d, const Dfs__MetaRequest *req, const struct fsm_reply *reply,
                   int *ret_status);
/* A change of names was done; ino: of what was moved. */
void nn_data_named(struct nn_data *d, const Dfs__MetaRequest *req, uint64_t ino);
/* With -EDQUOT, where it stands now. */
bool nn_data_may_refuse(const struct nn_data *d, const Dfs__MetaRequest *req);
void nn_data_format(struct nn_data *d, uint32_t format);
void nn_data_zeroed(struct nn_data *d, const struct nn_tail *tail);
/* A slice of the reaper's left so many chunks. */
void nn_data_reaped(struct nn_data *d, uint64_t ino, uint64_t left);
void nn_data_check_end(struct nn_data *d, struct fsm *fsm);

/* sim_nn_tree.c: NULL, or what is wrong with the tree (static storage). */
const char *nn_check_tree(struct kv *kv, const struct state_rec *state);

#endif
