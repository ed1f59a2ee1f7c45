/*
 * A group of namenodes (node_group.h) with all of its services, and who talks to them over loopback:
 * datanodes that have no disk but say and answer what a test wants, and one client with sessions.
 * Every DELETE that comes to a datanode is looked at: see wrong_deletes.
 */
#ifndef TESTS_UNIT_NAMENODE_SVC_CLUSTER_H
#define TESTS_UNIT_NAMENODE_SVC_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "namenode/fsm.h"
#include "rpc/chunk.pb-c.h"
#include "rpc/conn.h"
#include "rpc/node.pb-c.h"
#include "tests/unit/namenode/node_group.h"

enum { DNS = 5, DN_TARGETS = 2, SESSIONS = 3, PGS_KNOWN = 32, SVC_TICK_MS = 100 };

/* What a datanode does with a DELETE. */
enum on_delete { DELETE_ANSWER, DELETE_HOLD, DELETE_REFUSE };

struct svc_cluster;

struct fake_dn {
    struct svc_cluster *cluster;
    char node[80], host[24], addr[24];
    uint64_t incarnation;
    uint8_t uuids[DN_TARGETS][16];
    unsigned target_count;
    uint32_t targets[DN_TARGETS]; /* as the namenode numbered them */
    uint64_t bytes_total, bytes_free;
    struct conn *conn;
    struct loop_timer *beat;
    uint64_t beaten_ns; /* when the last heartbeat went out */

    bool is_silent;       /* no heartbeats */
    bool is_failed;       /* they say that the first disk failed */
    bool is_synced;       /* they say that it is done where it joins */
    bool is_asked;        /* the next heartbeat tells what it holds: of each group it knows, */
    uint64_t held_epoch;  /* as of this epoch */
    bool refuses_configs; /* answers them with an error and forgets them */
    enum on_delete on_delete;

    int registered; /* 1: not answered yet, 0, or why not */
    Dfs__NodeRegisterReply *reply;
    int beat_status; /* of the last heartbeat that was answered; 1: none was */
    unsigned configs, refused_configs;
    struct pg_rec pgs[PGS_KNOWN]; /* by number, as it was told */
    uint64_t fenced[8];
    size_t fenced_count;
    uint64_t lowest_session;
};

/* A DELETE that a datanode got. */
struct deletion_seen {
    struct fake_dn *dn;
    struct conn *conn; /* a reference, until it is answered */
    uint64_t rpc_id;
    uint32_t pg;
    uint64_t epoch;
    size_t count;
    uint64_t *chunks;
};

struct svc_cluster {
    struct group *g;
    struct fake_dn dn[DNS];
    struct conn *client;
    int client_at; /* the replica that it talks to */
    struct {
        uint64_t id, seq;
    } sessions[SESSIONS];
    struct deletion_seen *deletions;
    size_t deletion_count;
    /* Somebody was told to delete what the leader's state machine doesn't call garbage, or was not
     * the head of that chain. No test ends with one. */
    unsigned wrong_deletes;
    /* Of the last call: its unpacked answer, or the Error. Ours. */
    ProtobufCMessage *reply;
    Dfs__Error *error;
};

/* One namenode, or three for those where the lead changes. */
int svc_cluster_setup(void **state);
int svc_cluster_setup_three(void **state);
int svc_cluster_teardown(void **state);

/* Runs the loop until it is true; fails the test when that takes too long. */
uint64_t wait_end(void);
void wait_turn(struct svc_cluster *c, uint64_t end, const char *what);
#define WAIT_UNTIL(c, condition)                                                                   \
    for (uint64_t end_ = wait_end(); !(condition); wait_turn((c), end_, #condition))               \
    continue
/* The services look around so many times: for what must not happen. */
void let_tick(struct svc_cluster *c, unsigned ticks);

struct node *leader(struct svc_cluster *c);
struct fsm *leader_fsm(struct svc_cluster *c);
/* It goes down, and another one serves. */
void leader_dies(struct svc_cluster *c);
/* It goes down and leads again: one that is alone. What it had in memory is gone all the same. */
void leader_restarts(struct svc_cluster *c);
struct pg_rec pg_of(struct svc_cluster *c, uint32_t pg);
uint8_t state_in(const struct pg_rec *pg, uint32_t target);
/* The report's line for a target. Borrowed until the next call. */
const Dfs__ReportReply *report_of(struct svc_cluster *c);
const Dfs__TargetInfo *target_in(const Dfs__ReportReply *r, uint32_t target);

/* ---- datanodes: number i has one target, on a host of its own, unless a test says otherwise ---- */

/* Connects to this replica and sends the registration. */
void dn_connect(struct svc_cluster *c, unsigned i, int replica);
/* To the leader; its answer, 0 or an error. */
int dn_register(struct svc_cluster *c, unsigned i);
/* The same, and it has to be let in: for the first count of them. */
void dns_up(struct svc_cluster *c, unsigned count);
void dn_down(struct svc_cluster *c, unsigned i);
/* A new process with nothing in memory. */
void dn_restarts(struct svc_cluster *c, unsigned i);
struct fake_dn *dn_of(struct svc_cluster *c, uint32_t target);
void dn_accuses(struct fake_dn *dn, uint32_t by, const struct pg_rec *pg, uint32_t target);
/* Three datanodes, and the placement groups are made. */
void three_dns_with_pgs(struct svc_cluster *c);
uint32_t pg_count(struct svc_cluster *c);
void deletion_answer(struct deletion_seen *d, int code);

/* ---- the client ---- */

/* Asks and waits. 0 or a negative code; the answer is in c->reply or c->error. */
int ask(struct svc_cluster *c, int replica, uint16_t type, const ProtobufCMessage *body,
        const ProtobufCMessageDescriptor *reply_type);
int ask_leader(struct svc_cluster *c, uint16_t type, const ProtobufCMessage *body,
               const ProtobufCMessageDescriptor *reply_type);
void session_open(struct svc_cluster *c, unsigned s);
/* Tells a new leader what it has open. */
int session_attach(struct svc_cluster *c, unsigned s, const uint64_t *inos, size_t count);
int session_attach_to(struct svc_cluster *c, unsigned s, uint64_t term, const uint64_t *inos,
                      size_t count); /* the leader of that term */
int session_close(struct svc_cluster *c, unsigned s);
/* Its status, or why there was none. */
int meta(struct svc_cluster *c, unsigned s, Dfs__MetaRequest *req);
/* Made and open, with so many chunks; its inode. */
uint64_t file_make(struct svc_cluster *c, unsigned s, const char *name, uint32_t chunks);
void file_unlink(struct svc_cluster *c, unsigned s, const char *name);
void file_close(struct svc_cluster *c, unsigned s, uint64_t ino);
bool inode_is_there(struct svc_cluster *c, uint64_t ino);
uint64_t garbage_count(struct svc_cluster *c);

#endif
