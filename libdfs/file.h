/* An open file. One per ll_open or ll_create. */
#ifndef LIBDFS_FILE_H
#define LIBDFS_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "libdfs/readahead.h"

struct inode;

struct ll_file {
    struct inode *inode;  /* a reference */
    int flags;            /* of open(2) */
    uint64_t errors_told; /* errseq */
    uint64_t write_end;   /* of the last write: with O_APPEND only we know it */
    struct readahead ahead;
};

struct inode_table;

/* There may be room for writes that wait. */
void file_wake_writes(struct inode_table *t);
/* They end with -ECANCELED. */
void file_cancel_writes(struct inode_table *t);

#endif
