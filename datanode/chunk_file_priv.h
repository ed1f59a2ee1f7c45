/* What chunk_file.c and chunk_check.c share. The caller holds the file's lock. */
#ifndef DATANODE_CHUNK_FILE_PRIV_H
#define DATANODE_CHUNK_FILE_PRIV_H

#include <sys/types.h>

#include "datanode/chunk_file.h"

int chunk_open_locked(struct chunk_file *f, unsigned flags);
/* Of a whole block. */
uint32_t chunk_slot_of(const uint8_t *block);
/* A sector that cannot be read is a bad block, which others have; not the end of the disk. */
int chunk_read_error(ssize_t r);
/* The bytes that are there; the last block is filled up with zeros. */
int chunk_read_locked(struct chunk_file *f, uint32_t offset, uint32_t len, uint8_t *buf,
                      uint32_t *ret_len);

int chunk_get_slots_locked(struct chunk_file *f, uint32_t first, uint32_t count, uint32_t *slots);
/* Onto the disk, then in the cache. */
int chunk_write_slots_locked(struct chunk_file *f, uint32_t first, uint32_t count,
                             const uint32_t *slots);
void chunk_set_slots_locked(struct chunk_file *f, uint32_t first, uint32_t count,
                            const uint32_t *slots);

#endif
