/*
 * Values: what is stored as it is, behind a version byte (records.h). Formats before
 * FSM_FORMAT_VALUES stored it without one. Such a store is converted in slices, one log entry each:
 *
 *   FormatOp ─► convert_begin() ─► ConvertOp, ConvertOp ... (node_convert.c) ─► convert.kind is 0
 *
 * How far that has got stands in the state record. So whether a value has its version follows from
 * its key, on every replica alike, at any moment; the first byte of an old one could be any. A slice
 * takes all values of an id or none, so that the position is two numbers, and inodes that begin
 * after the format have the version from the start, so that the end does not run away from it.
 */
#ifndef NAMENODE_FSM_VALUE_H
#define NAMENODE_FSM_VALUE_H

#include "namenode/fsm_tx.h"

/* The key is a value's (value_is_kind()). */
bool value_has_version(const struct state_rec *state, const struct key *k);

/* As tx_get(), of what lies behind the version. An unknown version is damage. */
int value_get(struct tx *tx, const struct key *k, struct kv_value *ret_value);
/* The same, copied into the arena. */
int value_get_copy(struct tx *tx, const struct key *k, const uint8_t **ret_data, size_t *ret_len);
void value_put(struct tx *tx, const struct key *k, const void *data, size_t len);

/* The format has just been raised. What has no values has nothing to convert. */
int convert_begin(struct tx *tx);

#endif
