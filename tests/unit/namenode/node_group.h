/* A group of replicas in one process, over loopback, on real files; and what moves it. */
#ifndef TESTS_UNIT_NAMENODE_NODE_GROUP_H
#define TESTS_UNIT_NAMENODE_NODE_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "namenode/node.h"
#include "namenode/node_conf.h"

/* NODES found the group; the slot behind is for one that joins. */
enum { NODES = 3, SLOTS = 4 };

/* Three replicas share one thread here; and a machine that is busy with other tests is no reason for
 * an election. */
#ifdef __SANITIZE_THREAD__
enum { HEARTBEAT_MS = 100, ELECTION_MS = 2000, WAIT_MS = 120000 };
#else
enum { HEARTBEAT_MS = 40, ELECTION_MS = 500, WAIT_MS = 30000 };
#endif

struct replica {
    struct node_conf conf;
    struct node *node; /* NULL: it is down */
    struct services *services;
    struct metrics *metrics;
};

struct group {
    char dir[64];
    struct loop *loop;
    struct slab_pool *slabs;
    struct replica r[SLOTS];
    unsigned answers, unknown, refused;
    uint64_t last_id;
    uint8_t next_uuid;
};

typedef bool (*condition_fn)(struct group *g);

/* Runs the loop until it is true; fails the test when that takes too long. */
void wait_for(struct group *g, condition_fn is_true, const char *what);
void replica_up(struct group *g, unsigned i);
void replica_down(struct group *g, unsigned i);
extern uint64_t
    group_snapshot_rate; /* bytes a second, of groups made from then on; 0: the default */
/* Where the next group lives; NULL: in a new directory. What another process left there goes on. */
extern const char *group_dir;
int group_setup(void **state);
/* The same with another number of founders, at most NODES; one alone need not wait to be elected. */
int group_make(void **state, unsigned nodes, uint64_t election_ms);
/* How new a format (fsm.h) the last founder of the next group claims to know; group_setup() resets
 * it. */
extern uint32_t last_format;
int group_teardown(void **state);
int leader_of(const struct group *g);
bool has_leader(struct group *g);
bool all_equal(struct group *g);
bool cluster_is_made(struct group *g);
void assert_same_state(struct group *g);
void propose(struct group *g, int at, unsigned number);
bool answers_are_there(struct group *g);
void propose_many(struct group *g, unsigned count);
extern unsigned want_answers;

/* One replica, `lagging`, is down, and what it lacks is cut from the logs of the others. */
extern unsigned lagging;
void fall_behind(struct group *g);
bool snapshot_is_installed(struct group *g); /* ... on it, and all are equal */

/* One bit of the largest table of replica i flips, which is up or down. */
void flip_bit_of_a_table(struct group *g, unsigned i);

#define WAIT_FOR(g, condition) wait_for(g, condition, #condition)

#endif
