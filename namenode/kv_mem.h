/*
 * The kv in memory, with the same contract and a crash on demand: for unit tests and simulation.
 * A checkpoint is one file in its directory.
 */
#ifndef NAMENODE_KV_MEM_H
#define NAMENODE_KV_MEM_H

#include "namenode/kv.h"

int kv_mem_new(struct kv **ret_kv);

/* The store of a checkpoint that kv_mem made. -ENOENT, -EBADMSG, -EIO. */
int kv_mem_open(const char *checkpoint_dir, struct kv **ret_kv);

/* A store of its own with all that was written, flushed: a checkpoint without files. */
int kv_mem_copy(struct kv *kv, struct kv **ret_kv);

/* What a store does by itself when its memory is full: flushes when the next write is done. */
void kv_mem_flush_at_write(struct kv *kv);

/* What a power cut does: forgets all that was not flushed. */
void kv_mem_crash(struct kv *kv);

/* The next write (0), or the one after count more, fails with -EIO, and all after it. */
void kv_mem_fail_write_after(struct kv *kv, unsigned count);

#endif
