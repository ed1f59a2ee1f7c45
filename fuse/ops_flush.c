/*
 * close(2): what was written is published before it returns.
 *
 * The close of a process that ends comes with no signal any more: the kernel drops those of a dying
 * process, and it would wait, unkillable, for as long as the datanodes are gone. Nobody hears its
 * answer, so it is given after a while; the data goes out all the same.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "common/clock.h"
#include "common/loop.h"
#include "common/mem.h"
#include "fuse/mount.h"

enum {
    LOOK_MS = 500,
    KILLED_MS = 1000,  /* somebody wants it gone */
    EXITED_MS = 10000, /* its parent may look at the file through another mount */
    PROC_EXITING = 4,  /* PF_EXITING in /proc/PID/stat */
};

struct flush {
    struct mount_op *op;
    pid_t pid;
    uint64_t since_ns;
    struct flush *prev, *next;
};

/* Whether the thread is on its way out, and by which signal (0: of its own will). */
static bool is_ending(pid_t pid, unsigned *ret_signal)
{
    char path[64], line[1024], *p = NULL;
    unsigned flags = 0, code = 0;
    FILE *f;

    if (pid == 0) /* Not in our pid namespace. */
        return false;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    f = fopen(path, "re");
    if (f == NULL)
        return false;
    if (fgets(line, sizeof(line), f) != NULL)
        p = strrchr(line, ')'); /* The name before it may hold anything. */
    (void)fclose(f);
    if (p == NULL)
        return false;
    /* From the state, field 3, on: flags are field 9, the exit code is field 52, the last. */
    if (sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) != 1)
        return false;
    p = strrchr(p, ' ');
    if (p != NULL)
        code = (unsigned)strtoul(p, NULL, 10);
    *ret_signal = code & 0x7f;
    return (flags & PROC_EXITING) != 0;
}

static bool nobody_hears(const struct flush *f, uint64_t now_ns)
{
    uint64_t waited_ms = (now_ns - f->since_ns) / CLOCK_NS_PER_MS;
    unsigned signum = 0;

    return waited_ms >= KILLED_MS && f->op->call.interrupt != NULL && is_ending(f->pid, &signum) &&
           (signum != 0 || waited_ms >= EXITED_MS);
}

static struct flush *find_unheard(const struct mount *m)
{
    uint64_t now_ns = loop_now_ns(m->loop);
    struct flush *f;

    DL_FOREACH (m->flushes, f) {
        if (nobody_hears(f, now_ns))
            return f;
    }
    return NULL;
}

static void look(void *ctx)
{
    struct mount *m = ctx;
    struct flush *f;

    while ((f = find_unheard(m)) != NULL)
        ll_interrupt(&f->op->call);
    if (m->flushes == NULL)
        loop_timer_stop(m->flush_timer);
}

static void flushed(void *ctx, int status)
{
    struct flush *f = ctx;

    DL_DELETE(f->op->m->flushes, f);
    mount_op_err(f->op, status);
    free(f);
}

static void do_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct mount *m = mount_of(req);
    struct flush *f = MEM_NEW(struct flush);

    (void)ino;
    f->op = mount_op_new(m, req);
    f->pid = fuse_req_ctx(req)->pid;
    f->since_ns = loop_now_ns(m->loop);
    DL_APPEND(m->flushes, f);
    if (m->flush_timer == NULL)
        m->flush_timer = loop_timer_new(m->loop, look, m);
    if (!loop_timer_is_active(m->flush_timer))
        loop_timer_start(m->flush_timer, LOOK_MS, LOOK_MS);
    ll_flush((struct ll_file *)(uintptr_t)fi->fh, &f->op->call, flushed, f);
}

void ops_flush_fill(struct fuse_lowlevel_ops *ops)
{
    ops->flush = do_flush;
}
