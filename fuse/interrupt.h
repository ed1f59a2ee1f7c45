/*
 * Calls whose process has got a signal while it waited. The kernel tells that once a call and no
 * more, so they are looked at until they are answered: the signal that ends the process may be
 * the second one, or come when the call cannot be given up at that moment.
 */
#ifndef FUSE_INTERRUPT_H
#define FUSE_INTERRUPT_H

#include "fuse/mount.h"

/* FUSE_INTERRUPT has come. The op may be answered and gone when this returns. */
void interrupt_begin(struct mount_op *op);
/* The op is answered. */
void interrupt_forget(struct mount_op *op);
/* No op is under way any more. */
void interrupt_done(struct mount *m);

#endif
