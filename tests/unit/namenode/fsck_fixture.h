/* A store with a tree in it, damage to its records, and walks over it (namenode/fsck.h). */
#ifndef TESTS_UNIT_NAMENODE_FSCK_FIXTURE_H
#define TESTS_UNIT_NAMENODE_FSCK_FIXTURE_H

#include "namenode/fsck.h"
#include "namenode/keys.h"
#include "tests/unit/namenode/fsm_fixture.h"

enum { GONE = 999 }; /* no inode has this number */

/* /a/plain, /a/inline, /a/chunks (3), /a/sub/link, /p/q/file, /a/two = /b/two, and one that is open only. */
struct tree {
    uint64_t a, b, sub, p, q, plain, inlined, chunks, link, two, open_only, file;
};

/* What the last walk has found. */
extern struct fsck_result fsck_found;

struct tree fsck_tree_make(struct fx *f);
void damage_put(struct fx *f, const struct key *k, const void *data, size_t len);
void damage_drop(struct fx *f, const struct key *k);
void damage_drop_id(struct fx *f, char kind, uint64_t ino);
void damage_put_value(struct fx *f, const struct key *k, const char *text);
void damage_put_id(struct fx *f, char kind, uint64_t ino, const char *text);
void damage_drop_entry(struct fx *f, uint64_t dir, const char *name);
void damage_put_entry(struct fx *f, uint64_t dir, const char *name, uint64_t ino, uint32_t type);
struct inode_rec fsck_inode_of(struct fx *f, uint64_t ino);
void damage_put_inode(struct fx *f, const struct inode_rec *rec);
void damage_put_owner(struct fx *f, char kind, uint32_t pg, uint64_t chunk, uint64_t ino,
                      uint32_t index);
void damage_put_page(struct fx *f, uint64_t ino, uint32_t pg, uint64_t chunk);
void fsck_again(struct fx *f);
const struct fsck_finding *fsck_find(enum fsck_kind kind);
int fsck_repair_one(struct fx *f, uint64_t walked, uint64_t number, const Dfs__RepairOp *how);
void fsck_repair_found(struct fx *f);
unsigned fsck_repair_all(struct fx *f);
void fsck_is_told(enum fsck_kind kind, const char *path);
void fsck_is_mended(struct fx *f);
void fsck_is_found(struct fx *f, enum fsck_kind kind, const char *path);
bool fsck_is_lost(struct fx *f, uint64_t ino);

#endif
