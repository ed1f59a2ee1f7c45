/* See init_answer.h. */
#include "fuse/init_answer.h"

#include <inttypes.h>

#include "common/log.h"

enum { OLD_INIT_IN_SIZE = 16 }; /* without flags2 */

#ifndef FUSE_DIRECT_IO_ALLOW_MMAP /* Linux 6.6 */
#define FUSE_DIRECT_IO_ALLOW_MMAP (UINT64_C(1) << 36)
#endif

uint64_t init_kernel_flags(const void *body, size_t len)
{
    const struct fuse_init_in *in = body;

    if (len < OLD_INIT_IN_SIZE)
        return 0;
    if ((in->flags & FUSE_INIT_EXT) != 0 && len >= sizeof(*in))
        return in->flags | (uint64_t)in->flags2 << 32;
    return in->flags;
}

/* Bits that 3.14 doesn't send: upstream issue 861 for the first; the others are newer than it. */
void init_answer_fix(uint64_t kernel_flags, struct fuse_init_out *out, size_t len)
{
    uint64_t want = FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2 | FUSE_DIRECT_IO_ALLOW_MMAP;
    uint64_t have = kernel_flags & want;

    out->flags |= (uint32_t)have;
    if (have >> 32 != 0 && len >= sizeof(*out)) {
        out->flags |= FUSE_INIT_EXT;
        out->flags2 |= (uint32_t)(have >> 32);
    }
    out->flags &=
        ~(uint32_t)(FUSE_WRITEBACK_CACHE | FUSE_SPLICE_READ | FUSE_SPLICE_WRITE | FUSE_SPLICE_MOVE);
    log_debug("INIT answered", "kernel=%" PRIx64 " flags=%x max_write=%u", kernel_flags, out->flags,
              out->max_write);
}
