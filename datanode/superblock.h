/*
 * What a target says about itself: two files, superblock.a and superblock.b, written in turn, each
 * replaced atomically; the valid one with the higher serial counts.
 */
#ifndef DATANODE_SUPERBLOCK_H
#define DATANODE_SUPERBLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/uuid.h"

struct vfs;

enum { SUPERBLOCK_SIZE = 128 };

struct superblock {
    struct uuid cluster, target, boot_id;
    uint32_t target_id;
    bool is_clean;       /* closed in order; nothing to look after at the next opening */
    bool is_failed;      /* a write or sync failed: not used until an operator says so */
    uint64_t serial;     /* counts the writing of superblocks */
    uint64_t generation; /* counts the openings of the target */
    uint64_t checkpoint; /* ctab.N and ctab.log.N are the chunk table */
};

void superblock_encode(const struct superblock *sb, uint8_t out[SUPERBLOCK_SIZE]);
/*
 * -EBADMSG  wrong magic or CRC
 * -EPROTONOSUPPORT  of a newer version of this software
 */
int superblock_decode(const uint8_t *bytes, size_t len, struct superblock *ret_sb);

/*
 * -ENOENT   there is neither file
 * -EBADMSG  there are files, and none is valid
 */
int superblock_read(struct vfs *vfs, const char *dir, struct superblock *ret_sb);
/* Raises sb->serial and writes. */
int superblock_write(struct vfs *vfs, const char *dir, struct superblock *sb);

#endif
