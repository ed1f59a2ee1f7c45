/*
 * The door to /dev/fuse: mounts, reads requests on the loop, hands them to libfuse's parser, and
 * corrects libfuse's answer to INIT, which drops or doesn't know bits that we want.
 */
#ifndef FUSE_TRANSPORT_H
#define FUSE_TRANSPORT_H

#include "fuse/mount.h"

struct transport;

struct transport_handlers {
    void (*mounted)(void *ctx);   /* the kernel has our answer to INIT */
    void (*unmounted)(void *ctx); /* nothing more will come */
    void *ctx;
};

/*
 * Mounts m->conf->mountpoint and begins to serve.
 * -errno; what went wrong has been logged
 */
int transport_new(struct mount *m, const struct fuse_lowlevel_ops *ops,
                  const struct transport_handlers *h, struct transport **ret_transport);
/* Unmounts if it is still mounted. */
void transport_free(struct transport *t);

/* Takes no more requests: the mount point is let go, whatever is still open there will fail. */
void transport_stop(struct transport *t);

/*
 * While a WRITE is being handled: the block that holds its bytes, for whoever refers to it to keep.
 * NULL: the bytes are to be copied, for the next request comes into the same block.
 */
struct slab *transport_write_slab(const struct transport *t);
/* The WRITE being handled comes from somebody whose writes clear setuid and setgid. */
bool transport_write_kills_suid(const struct transport *t);

#endif
