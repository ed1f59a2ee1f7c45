/*
 * A name space in a few bytes, to be copied at every step of the search: which name in which directory
 * is which inode. Nothing else: links and a directory's being there at all are counted from the entries.
 *
 * Inodes and names are small numbers given by the checker. An inode that a history tells the number of
 * is known; one that was created by an operation without a return is fresh, until an answer names it:
 * then it is bound, i.e. becomes the known one.
 */
#ifndef TESTS_LIN_MODEL_H
#define TESTS_LIN_MODEL_H

#include "tests/lin/lin.h"

enum {
    MODEL_INODES = LIN_INODES_MAX,
    MODEL_OUTSIDE = MODEL_INODES - 1, /* where the roots lie */
    MODEL_WORDS = MODEL_INODES / 64,
};

struct model_set {
    uint64_t bits[MODEL_WORDS];
};
static inline bool model_set_has(const struct model_set *s, unsigned i)
{
    return s->bits[i / 64] >> i % 64 & 1;
}
static inline void model_set_put(struct model_set *s, unsigned i, bool in)
{
    uint64_t bit = UINT64_C(1) << i % 64;

    s->bits[i / 64] = in ? s->bits[i / 64] | bit : s->bits[i / 64] & ~bit;
}

struct model_entry {
    uint8_t dir, name, ino;
};

struct model_state {
    struct model_set born; /* has existed; a number is never given twice */
    struct model_set dirs; /* of those, the directories */
    unsigned count;
    struct model_entry
        entries[MODEL_INODES]; /* by directory and name; equal states are equal bytes */
};

struct model_listed {
    uint8_t name, ino;
    bool is_dir;
};

struct model_op {
    enum lin_kind kind;
    uint8_t dir, name, to_dir, to_name, ino;
    unsigned flags;
    uint8_t fresh; /* CREATE, MKDIR that don't tell the inode they make */

    /* The answer, when there is one. */
    bool answered;
    int error;
    bool tells_ino;
    uint8_t told_ino;
    bool told_dir;
    const struct model_listed *listed;
    unsigned listed_count;
};

struct model {
    struct model_set
        created;         /* Known inodes whose creation has an answer: nothing is bound to these. */
    unsigned fresh_from; /* Inodes from here on are fresh ones. */
    enum lin_mutant mutant;
};

void model_init(struct model_state *s);
/* A directory outside of all others. */
void model_root(struct model_state *s, uint8_t ino);

/*
 * Does op, whatever its answer says, in Linux's order of checks; 0 or an errno, > 0. ino: what a
 * creation makes. *ret_ino: what was created, found, removed or linked.
 */
int model_do(const struct model *m, struct model_state *s, const struct model_op *op, uint8_t ino,
             uint8_t *ret_ino);

enum model_step {
    MODEL_REFUTED, /* op's answer is not what would be answered now; *s is spoilt */
    MODEL_SAME,
    MODEL_CHANGED,
};
enum model_step model_step(const struct model *m, struct model_state *s, const struct model_op *op);

/* At least one name leads to it. */
bool model_is_linked(const struct model_state *s, uint8_t ino);

#endif
