/*
 * What the core remembers of the log: which term each index has, and the recent entries.
 *
 *        base            cached from                     last
 *   ──────┼──────────────────┼────────────────────────────┤
 *    cut  │  on disk only    │  on disk and in memory, or  │
 *         │                  │  still on the way to disk   │
 *
 * Terms change seldom, so they are kept as runs, for the whole log.
 */
#ifndef RAFT_ENTRIES_H
#define RAFT_ENTRIES_H

#include "raft/types.h"

struct term_run {
    uint64_t first; /* Index from which on entries have this term, until the next run. */
    uint64_t term;
};

struct entries {
    uint64_t base_index; /* Just before the first entry. */
    uint64_t base_term;  /* 0: not known, if base_index is not 0. */
    uint64_t last_index;

    struct term_run *runs;
    size_t run_count;
    size_t run_cap;

    /* A ring of the last cached_count entries, each with a reference. */
    struct raft_entry *ring;
    size_t ring_cap; /* 0 or a power of two. */
    size_t ring_head;
    size_t cached_count;
    size_t cached_bytes; /* their payload, and ENTRY_COST for each */
};

void entries_init(struct entries *e, uint64_t base_index, uint64_t base_term);
void entries_done(struct entries *e);

/* Must be the next index. Takes a reference. */
void entries_append(struct entries *e, const struct raft_entry *entry);

/* Drops index from and all after it, from memory too (R7). */
void entries_truncate(struct entries *e, uint64_t from);

/* Drops all; the log continues after a new base. */
void entries_reset(struct entries *e, uint64_t base_index, uint64_t base_term);

/* The log was cut: the base moves up. Entries after it stay. */
void entries_compact(struct entries *e, uint64_t base_index, uint64_t base_term);

/* Forgets the oldest entries up to an index until at most bytes_max are held. */
void entries_evict(struct entries *e, uint64_t up_to, size_t bytes_max);

/* False if index is before the base, or at a base of unknown term, or after the end. */
bool entries_term(const struct entries *e, uint64_t index, uint64_t *ret_term);
uint64_t entries_last_term(const struct entries *e);

/* NULL if it is not in memory. Borrowed until the next change. */
const struct raft_entry *entries_find(const struct entries *e, uint64_t index);

/* The largest index <= index, and >= the base, whose term is <= term. */
uint64_t entries_last_with_term(const struct entries *e, uint64_t index, uint64_t term);

#endif
