/*
 * A small cluster for stories about copies that move: proposals are applied at once, joiners are done
 * after a second, and what each PG had at the worst is remembered.
 */
#ifndef TESTS_UNIT_NAMENODE_PG_FLEET_H
#define TESTS_UNIT_NAMENODE_PG_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "namenode/pg_mgr.h"

static const uint64_t ms = 1000000ULL;
static const uint64_t boot = 7ULL << 32;

enum { TARGETS_MAX = 8, PGS_MAX = 192, COPIES = 3, STEP_MS = 100, SYNC_MS = 1000 };

struct one {
    bool there, alive, usable, draining;
    char host[8], rack[8];
    uint64_t incarnation, bytes_total;
};

struct fixture {
    struct pg_mgr *m;
    uint64_t now;
    struct one targets[TARGETS_MAX + 1]; /* by id, from 1 */
    struct pg_rec pgs[PGS_MAX];
    uint64_t sync_since[PGS_MAX];
    unsigned pg_count;
    unsigned joins;       /* copies that were made, or begun */
    unsigned serving_min; /* the fewest SERVING members that a PG had since it was set */
    unsigned below;       /* PGs that had fewer than their copies, each time */
};

/* After what it is was changed. */
void tell_target(struct fixture *f, uint32_t id);
void add_target(struct fixture *f, uint32_t id, unsigned host);
void drain(struct fixture *f, uint32_t id);
unsigned count(const struct pg_rec *pg, enum pg_member_state state);
/* In how many PGs it is, in whatever state. */
unsigned pgs_of(const struct fixture *f, uint32_t id);
/* Lets time pass. */
void pass(struct fixture *f, unsigned span_ms);
/* As many as there are to be; all whole. */
void make_pgs(struct fixture *f);
/* Targets of one host each; no PGs yet. `moves` at once for balance. */
struct fixture *hosts_of(unsigned hosts, uint32_t moves);
/* The same, with PGs. */
struct fixture *cluster_of(unsigned hosts, uint32_t moves);
void set_rack(struct fixture *f, uint32_t id, unsigned rack);
/* PGs with two copies in one rack. */
unsigned pgs_sharing_a_rack(const struct fixture *f);
void done(struct fixture *f);
/* All copies, on different hosts, none of them joining or away. */
void assert_whole(const struct fixture *f);

#endif
