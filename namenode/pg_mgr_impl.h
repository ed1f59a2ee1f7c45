/*
 * The inside of pg_mgr, shared by its files: what is known (pg_mgr.c), what follows for one PG
 * (pg_decide.c), which target is the best for a place (pg_place.c), and who is too slow (pg_slow.c).
 */
#ifndef NAMENODE_PG_MGR_IMPL_H
#define NAMENODE_PG_MGR_IMPL_H

#include <uthash.h>

#include "namenode/pg_mgr.h"

enum { ACCUSERS_MAX = 8, WITNESSES_MAX = 8, POOLS = REC_PG_MEMBERS_MAX + 1 };

struct accuser {
    uint32_t by;
    uint64_t since_ns, at_ns; /* first, last */
    bool is_turned; /* `by` said nothing: what it was accused of counts against this one */
};

/* See pg_slow.c. */
struct slow_state {
    uint64_t own_ns, own_at_ns; /* what it says itself; at 0: nothing */
    struct witness {
        uint32_t by;
        uint64_t p99_ns, at_ns;
    } witnesses[WITNESSES_MAX];
    uint32_t witness_count;
    uint64_t now_ns;   /* what is held to be true in this tick; 0: not known */
    uint64_t since_ns; /* too slow since then; 0: not */
    struct pg_slowness out;
    uint64_t until_ns; /* it is out until then */
    uint64_t back_ns;  /* when it was let in again; 0: never taken out */
};

/* A target's part of the PGs that have so many copies: what moves from where is decided for each such
 * pool by itself, so that each is spread evenly. Recounted at each tick. */
struct pool_part {
    uint32_t pgs, heads;
    uint32_t leaving; /* of these PGs, those that will leave it when a move is over */
};

struct target {
    uint32_t id;
    uint64_t incarnation; /* as the state machine has it */
    bool usable;
    bool draining;
    bool removed;
    bool failed;
    bool awaited; /* see pg_mgr_set_awaited() */
    bool full;    /* see pg_mgr_set_full() */
    char *host, *rack;
    uint64_t bytes_total;
    uint32_t weight; /* in 1/16 of the largest, at least 1: see pg_place_count() */

    uint64_t heard_incarnation;
    uint64_t heard_ns;       /* 0: never by this leader */
    bool lost;               /* its connection broke after it was last heard */
    uint64_t quiet_since_ns; /* when it was first found quiet for too long; 0: it is heard */
    struct accuser accusers[ACCUSERS_MAX];
    uint32_t accuser_count;
    bool sentenced;     /* the accusations have led to a proposal in this tick */
    uint32_t upheld;    /* a target that was sentenced because this one accused it, */
    uint64_t upheld_ns; /* and when that was last; 0: never */

    struct slow_state slow;

    uint32_t syncing_count;        /* PGs in which it is SYNCING: recounted at each tick */
    uint32_t shared;               /* scratch of planning: PGs with those that are chosen */
    struct pool_part parts[POOLS]; /* by the number of copies */
    UT_hash_handle hh;
};

/* It left this PG by itself: of no use from that epoch on until it is taken in anew. */
struct departure {
    uint32_t target;
    uint64_t incarnation, epoch;
};

struct pg {
    struct pg_rec rec;
    bool outstanding;
    struct departure departures[REC_PG_MEMBERS_MAX];
    uint32_t resting; /* a target, see rest_ns */
    uint64_t resting_until_ns;
    uint64_t offline_since_ns; /* since when fewer than `copies` are in the chain; 0: not */
    uint64_t dead_since_ns;    /* since when every SERVING member is dead; 0: not */
    uint32_t done_target;      /* SYNC_DONE as told by a heartbeat */
    uint64_t done_incarnation;
    uint64_t done_epoch;
    UT_hash_handle hh;
};

struct pg_mgr {
    struct pg_mgr_options o;
    uint64_t since_ns; /* from when silence counts */
    uint64_t last_tick_ns;
    struct target *targets;
    struct pg *pgs;
    bool pool_wanted[POOLS]; /* see pg_mgr_want_copies() */

    /* Of this tick: */
    bool is_hush;            /* so many fell silent at once that silence says nothing */
    uint64_t slow_out_ns;    /* when somebody was last taken out for slowness; 0: never */
    uint32_t moves;          /* PGs that have more copies than they need, or are getting them */
    uint64_t whole_since_ns; /* since when every PG has all its copies; 0: not */
    /* Memberships of usable targets that are alive (moves count as done), by copies of the PG, */
    uint64_t load_sum[POOLS];
    uint64_t weight_sum; /* and the weight of those */
};

/* ---- pg_mgr.c ---- */
struct target *pg_target_find(const struct pg_mgr *m, uint32_t id);
uint32_t pg_count_state(const struct pg_rec *r, enum pg_member_state s);
void pg_accusers_expire(struct target *t, uint64_t now_ns);

/* ---- pg_decide.c ---- */
/* What to propose for p now; true: *next is to be. */
bool pg_decide(struct pg_mgr *m, struct pg *p, uint64_t now_ns, struct pg_rec *next);

/* All that served last were removed by an operator: nobody is left to wait for. */
bool pg_is_bereft(const struct pg_mgr *m, const struct pg_rec *r);

/* ---- pg_slow.c ---- */
/* Who is too slow, and who may be back, as of this tick. */
void pg_slow_judge(struct pg_mgr *m, uint64_t now_ns);
/* Another process: it gets its chance, but what was is not forgotten. */
void pg_slow_restarted(struct target *t);

/* ---- pg_place.c ---- */
/* Counts what each target has, at the start of a tick. */
void pg_place_count(struct pg_mgr *m, uint64_t now_ns);
/* It may join one PG more: it is not joining too many, or this one cannot be written without it. */
bool pg_has_room_to_join(const struct pg_mgr *m, const struct pg_rec *r, const struct target *t);
/*
 * Another target for this slot, an OFFLINE member's or the one behind the last: on a host that no
 * other member is on, and best in a rack of its own; with room, unless there is no other; with few
 * PGs of as many copies for its size. NULL: there is none.
 */
struct target *pg_find_spare(struct pg_mgr *m, const struct pg_rec *r, uint32_t slot);
/*
 * The same for a copy that is to leave its slot for a better place: NULL unless the PG is then in
 * more racks, or in as many and the two targets are more equal, one of them above and the other
 * below the average.
 */
struct target *pg_find_better(struct pg_mgr *m, const struct pg_rec *r, uint32_t slot);
/* The slot of who goes when a PG has more copies than it needs: who is drained, else who shares its
 * rack with another, else who has the most PGs for its size, and of equals the one furthest down. */
uint32_t pg_most_dispensable(const struct pg_mgr *m, const struct pg_rec *r);

#endif
