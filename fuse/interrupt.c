/* See interrupt.h. */
#include "fuse/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <utlist.h>

#include "common/loop.h"
#include "fuse/signals.h"

enum { LOOK_MS = 100, STATUS_MAX = 8192 };

/* Whether the thread that waits is to end. */
static bool is_ending(pid_t pid)
{
    char path[64], status[STATUS_MAX];
    ssize_t n;
    int fd;

    if (pid == 0) /* Not in our pid namespace: nothing can be seen of it. */
        return true;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    n = read(fd, status, sizeof(status) - 1);
    (void)close(fd);
    if (n < 0)
        return true;
    status[n] = '\0';
    return signals_end(status);
}

static void look_at(struct mount_op *op)
{
    op->looked = op->m->interrupt_look;
    if (is_ending(fuse_req_ctx(op->req)->pid))
        ll_interrupt(&op->call);
}

/* Ends with the list's end: what is answered leaves the list, and may take others with it. */
static struct mount_op *not_looked_at(const struct mount *m)
{
    struct mount_op *op;

    DL_FOREACH (m->interrupted, op) {
        if (op->looked != m->interrupt_look)
            return op;
    }
    return NULL;
}

static void look(void *ctx)
{
    struct mount *m = ctx;
    struct mount_op *op;

    m->interrupt_look++;
    while ((op = not_looked_at(m)) != NULL)
        look_at(op);
    if (m->interrupted == NULL)
        loop_timer_stop(m->interrupt_timer);
}

void interrupt_begin(struct mount_op *op)
{
    struct mount *m = op->m;

    m->interrupts++;
    if (!op->interrupted) {
        op->interrupted = true;
        DL_APPEND(m->interrupted, op);
    }
    if (m->interrupt_timer == NULL)
        m->interrupt_timer = loop_timer_new(m->loop, look, m);
    if (!loop_timer_is_active(m->interrupt_timer))
        loop_timer_start(m->interrupt_timer, LOOK_MS, LOOK_MS);
    look_at(op);
}

void interrupt_forget(struct mount_op *op)
{
    if (op->interrupted)
        DL_DELETE(op->m->interrupted, op);
}

void interrupt_done(struct mount *m)
{
    loop_timer_free(m->interrupt_timer);
}
