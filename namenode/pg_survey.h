/*
 * Which copy of a placement group is the one to go on from, when the state machine cannot say: after
 * a restore it knows the group only as it was when the backup was made, and after an operator has
 * given the newest copy up (svc_target.c) only who had that. The datanodes know what they hold, and
 * are asked; then a group is started from the member that has the most, and the others join it
 * as after any failure. Pure but for the clock that is passed in. Leader only.
 *
 * The best is the one that served in, or has a chunk of, the highest epoch. Why it holds all that was
 * acknowledged: whoever was in the chain to the end has each chunk in its last version. Among those
 * that have seen the last epoch, one that says that it served in it goes before one that may only
 * have been joining; then the younger version, fewer chunks that are not whole, more chunks, and
 * having served when the backup was made.
 *
 * A group starts when every target that is not known to be given up has told what it holds, and
 * not before wait_ns, since there may be some that the backup does not know. A chain takes writes
 * with min_write members: with fewer targets than that missing, one of those that are there was in
 * the last chain, and after late_ns that is enough. Otherwise the group waits: for the targets, or
 * for the operator, who restores anew with --without. A group of which all members were given up so,
 * and that nobody else holds, starts empty on targets that are there: what was in it is lost, and is
 * said to be (EIO, `dfs fsck --files`).
 */
#ifndef NAMENODE_PG_SURVEY_H
#define NAMENODE_PG_SURVEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"
#include "namenode/datanodes.h"

struct pg_survey;

/* now_ns: of the same clock as in pg_survey_tick(); when this namenode began to lead. */
struct pg_survey *pg_survey_new(uint64_t now_ns);
void pg_survey_free(struct pg_survey *s);
DEFINE_CLEANUP(pg_survey, pg_survey_free)

/* There are groups to be started. */
bool pg_survey_is_needed(const struct datanodes *d);
/* It has not told what it holds, and is to. */
bool pg_survey_wants(const struct pg_survey *s, const struct datanodes *d,
                     const struct datanode *n);
/* What a datanode told, for its own targets. */
void pg_survey_take(struct pg_survey *s, const struct datanode *n, const Dfs__HeartbeatRequest *m);
/* What to propose now, as pg_mgr_tick(). A group is proposed again when nothing came of it. */
size_t pg_survey_tick(struct pg_survey *s, const struct datanodes *d, uint64_t now_ns,
                      struct pg_rec *out, size_t max);

#endif
