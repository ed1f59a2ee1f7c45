/*
 * libfuse's answer to INIT, corrected: 3.14 drops bits that we want, or doesn't know them, and lets
 * its own environment choose some that we don't. Only bytes in and bytes out: see transport.c.
 */
#ifndef FUSE_INIT_ANSWER_H
#define FUSE_INIT_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include <linux/fuse.h>

/* The 64 flags that the kernel offers, by the body of its INIT; 0 when that is too short. */
uint64_t init_kernel_flags(const void *body, size_t len);

/* out is the body of the answer, len bytes and at least FUSE_COMPAT_22_INIT_OUT_SIZE. */
void init_answer_fix(uint64_t kernel_flags, struct fuse_init_out *out, size_t len);

#endif
