/*
 * Looks at every byte of every chunk of a target, again and again, a full pass in scrub_period: what
 * nobody reads rots unnoticed otherwise. What is bad begins to be healed (repair.c); a chunk that is
 * good is compared with what the other members found of theirs. Slowly: each chunk has its share of
 * the period, and waits for its turn behind all that is copied (copying.h). Where it is, is kept on the disk, so that restarts do not begin from the start.
 * Loop thread only.
 */
#ifndef DATANODE_SCRUB_H
#define DATANODE_SCRUB_H

#include <stddef.h>
#include <stdint.h>

struct dn;
struct scrub;

/* What an operator is shown of one target. Times since 1970 in ns. */
struct scrub_status {
    int64_t began_ns;                 /* the pass under way, or the last one; 0: none yet */
    int64_t ended_ns;                 /* the last full pass; 0: none yet */
    uint64_t bytes_done, bytes_total; /* of the pass under way; equal: it is over */
    uint64_t bad, differing;          /* chunks found in it */
};

/* For all targets of the store, which is open. */
struct scrub *scrub_new(struct dn *dn);
/* After store_close(). */
void scrub_free(struct scrub *s);
void scrub_tick(struct scrub *s);
void scrub_status(const struct scrub *s, unsigned target_index, struct scrub_status *ret_status);

/*
 * The file DIR/scrub: where the pass is.
 * Damaged or not there: -EBADMSG, -ENOENT, and the pass begins anew, nothing is lost.
 */
enum { SCRUB_TEXT_MAX = 192 };
struct scrub_place {
    int64_t began_ns, ended_ns;
    uint32_t pg;
    uint64_t chunk; /* the last one looked at */
    uint64_t bytes_done, bad, differing;
};
size_t scrub_place_format(const struct scrub_place *p, char out[SCRUB_TEXT_MAX]);
int scrub_place_parse(const char *text, size_t len, struct scrub_place *ret_place);

#endif
