/*
 * The operations, one function each, and what they share. op_* are executed at apply, read_* answer
 * from the state as it is. Each gives the status of its reply and fills in the result.
 */
#ifndef NAMENODE_FSM_OPS_H
#define NAMENODE_FSM_OPS_H

#include "namenode/fsm_copies.h"
#include "namenode/fsm_quota.h"
#include "namenode/fsm_tx.h"
#include "namenode/fsm_usage.h"
#include "namenode/fsm_value.h"
#include "namenode/perm.h"

typedef int (*fsm_op_fn)(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);

/* fsm_dir.c */
int op_create(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
int op_link(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
int op_unlink(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
int op_rmdir(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
/* A directory that cred may search. -ESTALE, -ENOTDIR, -ENOENT (it was removed), -EACCES */
int dir_get(struct tx *tx, const struct cred *cred, uint64_t ino, struct inode_rec *ret_dir);
/* -EINVAL: empty, with a slash or NUL, "." or ".."; -ENAMETOOLONG */
int name_check(ProtobufCBinaryData name);
/*
 * unlink(2) and rmdir(2) with all their checks, for whoever removes an entry. *ret_inode: what it
 * was, its links counted anew.
 */
int dir_unlink(struct tx *tx, const struct cred *cred, uint64_t parent, ProtobufCBinaryData name,
               struct inode_rec *ret_inode);
int dir_rmdir(struct tx *tx, const struct cred *cred, uint64_t parent, ProtobufCBinaryData name,
              struct inode_rec *ret_inode);
/* An entry came or went. */
void dir_changed(struct tx *tx, struct inode_rec *dir);
/* Its name in dir has gone: one link less; with none left (directories at once) the inode goes to
 * the reaper. */
void inode_unlinked(struct tx *tx, uint64_t dir, struct inode_rec *inode);

/* fsm_rename.c */
int op_rename(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);

/* fsm_tree.c */
int op_remove_tree(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);

/* fsm_inode.c */
int op_setattr(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
/* Of a regular file that is to be read or written. -EISDIR, -EINVAL for what is none, -ESTALE */
int file_get(struct tx *tx, uint64_t ino, struct inode_rec *ret_inode);
Dfs__Attr *attr_of(struct arena *arena, const struct inode_rec *inode);
Dfs__EntryReply *reply_entry(struct tx *tx, Dfs__MetaReply *reply, const struct inode_rec *inode);
void reply_id(struct tx *tx, Dfs__MetaReply *reply, uint64_t id, uint64_t epoch);
/* Inline data (unless known_version is current) and the start of the chunk map. */
int reply_content(struct tx *tx, Dfs__EntryReply *entry, const struct inode_rec *inode,
                  uint64_t known_version);

/* fsm_chunk.c */
int op_truncate(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
int op_trunc_done(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
int op_alloc(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
int op_reap(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
int op_gc_done(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
/* Chunks that exist among `count` from first on. */
int chunk_refs(struct tx *tx, uint64_t ino, uint32_t first, uint32_t count,
               Dfs__ChunkRef ***ret_refs, size_t *ret_count);

/* Out of a map (that is the caller's) into the garbage queue of its group. */
void chunk_to_garbage(struct tx *tx, uint64_t ino, uint32_t index, const struct chunk_rec *chunk);

/* fsm_repair.c */
int op_repair(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);

/* fsm_commit.c */
int op_commit(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);

/* fsm_quota.c */
int op_set_quota(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
int read_usage(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);

/* fsm_xattr.c */
int op_setxattr(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
int op_removexattr(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
int read_getxattr(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
int read_listxattr(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
/* The capability that a write by somebody else takes away. */
int xattr_drop_capability(struct tx *tx, struct inode_rec *inode);
int xattr_drop_all(struct tx *tx, struct inode_rec *inode);

/* fsm_swap.c */
int op_swap_chunks(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);

/* fsm_session.c */
int op_session_open(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
int op_session_end(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
int op_fence_done(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);

/* fsm_cluster.c */
int op_cluster_init(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
int op_namenode_set(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
int op_target_add(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
int op_target_set(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
int op_pg_create(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
int op_format(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);
int op_pg_epoch(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);

/* fsm_value.c */
int op_convert(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply);

/* fsm_exec.c: what the log may hold; NULL for anything else. */
fsm_op_fn fsm_op_of(const Dfs__MetaRequest *req);
bool fsm_op_is_internal(const Dfs__MetaRequest *req);
/*
 * One operation with its exactly-once rules. *ret_bytes is the packed reply for operations of
 * sessions (in the arena), NULL for the leader's own. Look at tx->fatal afterwards.
 */
void fsm_exec(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply **ret_reply,
              const uint8_t **ret_bytes, size_t *ret_len);

#endif
