/*
 * Decides what happens to placement groups: who is in a chain, who joins, who leaves. Pure: facts
 * and the time go in, proposals come out; the caller puts them through the Raft log and tells
 * what became of them. Leader only, soft state: a new leader starts it afresh from the state
 * machine's records and learns who is alive from the datanodes.
 *
 * Always holds (asserted in pg_mgr.c):
 *  - a proposed SERVING set is a subset of the present one, plus at most one member whose
 *    SYNC_DONE named the present epoch; the two sets intersect, except after a total failure,
 *    where a member of the last SERVING set starts again with a new incarnation, and after an
 *    operator has removed all of that set, where nobody serves until pg_survey has found who may;
 *  - at most one proposal of a PG is outstanding;
 *  - the last SERVING member is never taken out by anybody but an operator.
 *
 * Incarnations: a datanode makes one per process start, the upper 32 bits being a hash of the
 * host's boot id. Equal upper halves therefore mean: only the process died, the page cache lives.
 */
#ifndef NAMENODE_PG_MGR_H
#define NAMENODE_PG_MGR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "namenode/records.h"

/* States of pg_member_rec, as Dfs__MemberState. */
enum pg_member_state { PG_SERVING = 1, PG_SYNCING = 2, PG_OFFLINE = 3 };

/* What the state machine says of a target. */
struct pg_target {
    uint32_t id;
    uint64_t incarnation; /* newest registered; 0: never */
    bool usable;          /* ACTIVE: neither failed, draining nor removed */
    bool draining;        /* serves on until its PGs have found other places */
    bool removed;         /* by an operator, for good: it is waited for no more */
    const char *host;     /* failure domain: never two copies of a PG there; copied */
    const char *rack;     /* wider one: not two if it can be helped; NULL or "": not told; copied */
    uint64_t bytes_total; /* larger ones get more PGs; 0: as the largest */
};

struct pg_mgr_options {
    uint64_t silence_ns; /* no heartbeat for this long: dead; 2 s */
    uint64_t heard_ns;   /* a heartbeat within this: alive; 1.2 s */
    /* More of the targets than this, on three hosts or more, fall silent within hush_ns: that may be
     * our own network. Silence alone takes nobody out of a chain then. 30 %, 60 s. */
    uint32_t hush_percent;
    uint64_t hush_ns;
    uint64_t cold_wait_ns;     /* after a total failure: wait for more members; 5 s */
    uint64_t replace_ns;       /* OFFLINE for this long: a spare takes its place; 60 s */
    uint64_t balance_after_ns; /* all PGs whole for this long: copies move for balance; 10 s */
    /*
     * Fail-slow: who takes longer than slow_ns, and slow_factor times as long as its peers, for
     * slow_after_ns, is taken out; one a minute. It may come back after slow_rest_ns, and after twice
     * as long each time that it happens again. 30 s (0: nobody is), 1 s, 10, 5 min.
     */
    uint64_t slow_after_ns, slow_ns, slow_rest_ns;
    uint32_t slow_factor;
    uint64_t
        tick_gap_ns; /* a leader that itself stood still this long starts counting anew; 500 ms */
    uint32_t moves_at_once;     /* PGs that move for balance at the same time; 2, 0: none do */
    uint32_t syncs_per_target;  /* PGs that one target may be joining at the same time; 8. One that
                                  cannot be written without does not wait for that */
    uint32_t pgs_per_target;    /* of each pool: of the PGs of so many copies */
    uint32_t copies, min_write; /* where nothing else is asked for */
};
void pg_mgr_options_init(struct pg_mgr_options *o);

struct pg_mgr;

/* now_ns: any monotonic clock; the moment this namenode began to lead. NULL when out of memory. */
struct pg_mgr *pg_mgr_new(const struct pg_mgr_options *o, uint64_t now_ns);
void pg_mgr_free(struct pg_mgr *m);

/* The state machine's records, at the start and after each change. */
int pg_mgr_set_target(struct pg_mgr *m, const struct pg_target *t);
int pg_mgr_set_pg(struct pg_mgr *m, const struct pg_rec *pg);

/* A heartbeat or registration of this target, by the incarnation that sent it. */
void pg_mgr_heard(struct pg_mgr *m, uint32_t target, uint64_t incarnation, uint64_t now_ns);
/* The control connection of the datanode that holds this target broke. */
void pg_mgr_lost(struct pg_mgr *m, uint32_t target, uint64_t incarnation);
/* The operator says that it will be back (maintenance): no spare takes its place meanwhile, unless
 * a PG cannot be written without. */
void pg_mgr_set_awaited(struct pg_mgr *m, uint32_t target, bool awaited);
/* It has little room left: no new PG and no move goes there; a copy that is missing may, when no
 * other target is left. */
void pg_mgr_set_full(struct pg_mgr *m, uint32_t target, bool full);
/* A disk failed: never a source, never a member again until the state machine says otherwise. */
void pg_mgr_failed(struct pg_mgr *m, uint32_t target);
/*
 * How long 99 of 100 operations took: on the target itself, its disk and its process, as it says
 * (0: nothing to tell); and as `by`, its predecessor where it was the last of the chain, saw it
 * answer. It counts for some seconds.
 */
void pg_mgr_own_latency(struct pg_mgr *m, uint32_t target, uint64_t p99_ns, uint64_t now_ns);
void pg_mgr_link_latency(struct pg_mgr *m, uint32_t by, uint32_t target, uint64_t p99_ns,
                         uint64_t now_ns);
/* Whether it is kept out for its slowness, and why. */
struct pg_slowness {
    bool is_out;
    unsigned times;    /* that it was taken out, lately */
    uint64_t p99_ns;   /* that it was taken out for, */
    uint64_t peers_ns; /* and the median of the others then */
    uint64_t left_ns;  /* in so long it may come back, unless it is slow still */
};
void pg_mgr_slowness(const struct pg_mgr *m, uint32_t target, struct pg_slowness *ret_slowness);
/* A chain neighbour complains about that incarnation. */
void pg_mgr_accused(struct pg_mgr *m, uint32_t by, uint32_t target, uint64_t incarnation,
                    uint64_t now_ns);
/* A member of that epoch left the PG by itself, after a local error: it can't go on there. */
void pg_mgr_left(struct pg_mgr *m, uint32_t pg, uint32_t target, uint64_t incarnation,
                 uint64_t epoch);
/* The joiner says that all is copied and durable, as of this epoch. */
void pg_mgr_sync_done(struct pg_mgr *m, uint32_t pg, uint32_t target, uint64_t incarnation,
                      uint64_t epoch);

/*
 * What to propose now: records with epoch = the present epoch + 1 (if_epoch = epoch - 1), at most
 * max of them, of the PGs that lack copies those with the fewest good ones first: they get the places
 * where they can join. Each counts as outstanding until pg_mgr_set_pg() with a higher epoch or
 * pg_mgr_refused() for it. Returns how many.
 */
size_t pg_mgr_tick(struct pg_mgr *m, uint64_t now_ns, struct pg_rec *out, size_t max);
void pg_mgr_refused(struct pg_mgr *m, uint32_t pg);

/*
 * A file or directory is to have so many copies: from now on there are to be PGs for it. Where there
 * are some already they are the sign, also for the next leader.
 */
void pg_mgr_want_copies(struct pg_mgr *m, uint32_t copies);

/*
 * New PGs to create, with members placed over different hosts, roles and partners spread evenly;
 * ids are given at apply. 0 while enough exist or too few hosts are alive. Each number of copies has
 * its own pool of PGs. Of fewer copies than the cluster's as many have to be there for writes as there,
 * if it has so many; of more, two at least.
 */
size_t pg_mgr_plan_new(struct pg_mgr *m, uint64_t now_ns, struct pg_rec *out, size_t max);

bool pg_mgr_target_alive(const struct pg_mgr *m, uint32_t target);
bool pg_is_writable(const struct pg_rec *pg);

#endif
