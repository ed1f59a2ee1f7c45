/*
 * Keys of the metadata store: one letter for the kind, then ids big-endian, so that byte order is
 * the order of ids and everything of one inode lies together.
 *
 *   I ino          inode                    C ino page     chunk map, 256 chunks
 *   D parent name  directory entry          c pg chunk     whose chunk it is
 *   F ino          inline content           G pg chunk     waits for deletion at the datanodes
 *   L ino          symlink target           g ino          no links left, waits for the reaper
 *   X ino name     extended attribute       B session      evicted session (fence)
 *   N session      session                  R session seq  answer kept for a retry
 *   n uuid         session of a client      P pg           placement group
 *   T target       target                   t uuid         target of a disk
 *   A replica      namenode                 Z state | cluster | restored | repair
 *   U ino          what lies below a dir    K ino parent   names of a file in a directory
 */
#ifndef NAMENODE_KEYS_H
#define NAMENODE_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/limits.h"

enum { KEY_BYTES_MAX = 1 + 8 + NAME_BYTES_MAX };

struct key {
    size_t len;
    uint8_t b[KEY_BYTES_MAX];
};

/* The letter and one id: I F L g N B A U (64 bits), P T (32 bits). As prefix: C X R K; c G. */
void key_id64(struct key *k, char kind, uint64_t id);
void key_id32(struct key *k, char kind, uint32_t id);
/* R session seq. */
void key_reply(struct key *k, uint64_t session, uint64_t seq);
/* C ino page. */
void key_chunk_page(struct key *k, uint64_t ino, uint32_t page);
/* K ino parent. */
void key_link(struct key *k, uint64_t ino, uint64_t parent);
/* c, G. */
void key_pg_chunk(struct key *k, char kind, uint32_t pg, uint64_t chunk_id);
/* D, X; len <= NAME_BYTES_MAX. */
void key_name(struct key *k, char kind, uint64_t ino, const void *name, size_t len);
/* n, t. */
void key_uuid(struct key *k, char kind, const uint8_t uuid[16]);
/* The letter alone. */
void key_kind(struct key *k, char kind);
/* Z. */
void key_state(struct key *k);
void key_cluster(struct key *k);
void key_restored(struct key *k);
void key_repair(struct key *k);

/* Ids out of a key; the caller has checked its length. */
uint64_t key_get_u64(const uint8_t *p);
uint32_t key_get_u32(const uint8_t *p);

#endif
