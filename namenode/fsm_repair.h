/* The kinds of RepairOp: each gives DONE, NOT_NEEDED, or why not. For fsm_repair*.c alone. */
#ifndef NAMENODE_FSM_REPAIR_H
#define NAMENODE_FSM_REPAIR_H

#include "namenode/fsm_ops.h"

enum { NOT_NEEDED = 0, DONE = 1 };

/* fsm_repair.c */
/* 1 and the record, 0: no such inode. */
int repair_inode_find(struct tx *tx, uint64_t ino, struct inode_rec *ret_inode);
bool repair_is_live_dir(const struct inode_rec *inode);

/* fsm_repair_names.c */
int repair_drop_entry(struct tx *tx, const Dfs__RepairOp *op);
int repair_entry_type(struct tx *tx, const Dfs__RepairOp *op);
int repair_move_entry(struct tx *tx, const Dfs__RepairOp *op);
int repair_adopt(struct tx *tx, const Dfs__RepairOp *op);
int repair_parent(struct tx *tx, const Dfs__RepairOp *op);

/* fsm_repair_chunks.c */
int repair_drop_map(struct tx *tx, const Dfs__RepairOp *op);
int repair_owner(struct tx *tx, const Dfs__RepairOp *op);
int repair_garbage(struct tx *tx, const Dfs__RepairOp *op);
int repair_no_garbage(struct tx *tx, const Dfs__RepairOp *op);

#endif
