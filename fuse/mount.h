/*
 * One mount: the session with the kernel on one side, the client (libdfs/dfs_ll.h) on the other,
 * both on one loop and one thread. A request is answered by the callback of the ll_ call it became.
 */
#ifndef FUSE_MOUNT_H
#define FUSE_MOUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "fuse/mount_conf.h"
#include "libdfs/dfs_ll.h"

struct flush;
struct loop;
struct loop_timer;
struct mount_op;
struct removed_dir;
struct transport;

struct mount {
    struct loop *loop;
    const struct mount_conf *conf;
    struct ll *ll;
    struct transport *transport;
    struct ino root;             /* what the kernel knows as nodeid 1 */
    struct removed_dir *removed; /* see removed.h */
    /* Calls whose process got a signal, see interrupt.h; the number of the present look at them. */
    struct mount_op *interrupted;
    struct loop_timer *interrupt_timer;
    uint64_t interrupt_look;
    struct flush *flushes; /* closes that wait: see ops_flush.c */
    struct loop_timer *flush_timer;
    /* Counters of /metrics and of the mount's ioctl. */
    uint64_t requests, writes, reads, interrupts;
};

/* One request of the kernel under way. */
struct mount_op {
    struct mount *m;
    fuse_req_t req;
    struct ll_call call;
    /* What the answer needs to know. */
    size_t size;
    struct ino ino;
    struct fuse_file_info fi;
    /* In mount.interrupted, and when it was last looked at. */
    bool interrupted;
    uint64_t looked;
    struct mount_op *prev, *next;
};

struct mount_op *mount_op_new(struct mount *m, fuse_req_t req);
/* After the reply. */
void mount_op_free(struct mount_op *op);
/* Replies and frees. */
void mount_op_err(struct mount_op *op, int status);

struct mount *mount_of(fuse_req_t req);
struct ino mount_ino(const struct mount *m, fuse_ino_t nodeid);
struct ll_cred mount_cred(fuse_req_t req);
void mount_stat(const struct ll_attr *attr, struct stat *ret_st);
/* An entry that the kernel may not keep: names and attributes are asked for each time. */
void mount_entry(const struct ll_attr *attr, struct fuse_entry_param *ret_entry);

/* The handlers of one noun each fill their part of the table. */
void ops_meta_fill(struct fuse_lowlevel_ops *ops);
void ops_dir_fill(struct fuse_lowlevel_ops *ops);
void ops_io_fill(struct fuse_lowlevel_ops *ops);
void ops_flush_fill(struct fuse_lowlevel_ops *ops);
void ops_xattr_fill(struct fuse_lowlevel_ops *ops);

#endif
