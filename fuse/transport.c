/*
 * See transport.h. A request is read into a block of 1 MiB and a page, placed so that the bytes of
 * a WRITE begin on a page: they go to the datanodes from there without a copy.
 */
#include "fuse/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "common/compiler.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/slab.h"
#include "fuse/init_answer.h"

enum {
    WRITE_HEAD = sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in),
    HEAD_AT = CHUNK_BLOCK_SIZE - WRITE_HEAD, /* in the block: the payload begins at 4096 */
    REQUEST_MAX = WRITE_HEAD + IO_SIZE_MAX,
    REQUESTS_PER_TURN = 32,
    GIVE_BLOCK_FROM = 64 << 10, /* the client may keep the block of requests from this size on */
};

struct transport {
    struct mount *m;
    struct fuse_session *session;
    struct loop_io *io;
    struct transport_handlers h;
    struct slab *block; /* the next request goes here */
    bool in_write;
    bool gives_block; /* of the WRITE being handled: nothing else is read into it */
    bool kills_suid;
    bool init_answered;
    uint64_t kernel_flags; /* what INIT offered */
    bool gone;
};

struct slab *transport_write_slab(const struct transport *t)
{
    return t->in_write && t->gives_block ? t->block : NULL;
}

bool transport_write_kills_suid(const struct transport *t)
{
    return t->in_write && t->kills_suid;
}

/* ---- INIT ---- */

static void mounted(void *ctx)
{
    struct transport *t = ctx;

    t->h.mounted(t->h.ctx);
}

static ssize_t reply_writev(int fd, struct iovec *iov, int count, void *userdata)
{
    struct mount *m = userdata;
    struct transport *t = m->transport;

    if (!t->init_answered && count == 2 && iov[1].iov_len >= FUSE_COMPAT_22_INIT_OUT_SIZE) {
        init_answer_fix(t->kernel_flags, iov[1].iov_base, iov[1].iov_len);
        t->init_answered = true;
        loop_defer(m->loop, mounted, t);
    }
    return writev(fd, iov, count);
}

static ssize_t request_read(int fd, void *buf, size_t len, void *userdata)
{
    (void)userdata;
    return read(fd, buf, len);
}

/* ---- requests ---- */

/* Nothing is read any more. The block goes now: the client, whose it is, ends before we do. */
static void stop_reading(struct transport *t)
{
    t->gone = true;
    loop_io_want(t->io, 0);
    slab_unref(STEAL(t->block));
}

static void gone(struct transport *t)
{
    if (t->gone)
        return;
    stop_reading(t);
    t->h.unmounted(t->h.ctx);
}

static void handle(struct transport *t, uint8_t *bytes, size_t len)
{
    const struct fuse_in_header *head = (const void *)bytes;
    struct fuse_buf buf = {.mem = bytes, .size = len};

    t->m->requests++;
    if (head->opcode == FUSE_INIT && len >= sizeof(*head))
        t->kernel_flags = init_kernel_flags(bytes + sizeof(*head), len - sizeof(*head));
    t->in_write = head->opcode == FUSE_WRITE && len >= WRITE_HEAD;
    t->gives_block = t->in_write && len >= GIVE_BLOCK_FROM;
    if (t->in_write) {
        const struct fuse_write_in *in = (const void *)(bytes + sizeof(*head));

        t->kills_suid = (in->write_flags & FUSE_WRITE_KILL_SUIDGID) != 0;
    }
    fuse_session_process_buf(t->session, &buf);
    if (t->gives_block) {
        slab_unref(t->block);
        t->block = slab_alloc(ll_slabs(t->m->ll), SLAB_SIZE_MAX);
    }
    t->in_write = false;
}

static void on_readable(void *ctx, unsigned events)
{
    struct transport *t = ctx;

    (void)events;
    for (unsigned i = 0; i < REQUESTS_PER_TURN && !t->gone; i++) {
        uint8_t *bytes = t->block->data + HEAD_AT;
        ssize_t n = read(fuse_session_fd(t->session), bytes, REQUEST_MAX);

        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0 && (errno == EINTR || errno == ENOENT))
            continue; /* ENOENT: the request was interrupted before we had it. */
        if (n < (ssize_t)sizeof(struct fuse_in_header)) {
            if (n >= 0 || errno != ENODEV)
                log_error("reading /dev/fuse failed", "error=%s",
                          n < 0 ? strerror(errno) : "short");
            gone(t);
            return;
        }
        handle(t, bytes, (size_t)n);
        if (fuse_session_exited(t->session)) {
            gone(t);
            return;
        }
    }
}

/* ---- mounting ---- */

/* The kernel's window for read-ahead: only sysfs can raise it over 128 KiB. Needs root. */
static void raise_read_ahead(const struct mount *m)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char line[4096], dev[32], where[2048], path[128] = "";

    if (f == NULL)
        return;
    while (fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, "%*d %*d %31s %*s %2047s", dev, where) != 2 ||
            strcmp(where, m->conf->mountpoint) != 0)
            continue;
        snprintf(path, sizeof(path), "/sys/class/bdi/%s/read_ahead_kb", dev);
    }
    (void)fclose(f);
    f = path[0] == '\0' ? NULL : fopen(path, "we");
    if (f == NULL)
        return;
    fprintf(f, "%u\n", m->conf->read_ahead_kb);
    (void)fclose(f);
}

/* As fuse_opt_parse() wants it: the source stands in /proc/mounts as in fstab, or `mount -a` would not
 * know that it is mounted. */
static char *escape_option(const char *text)
{
    char *out = mem_zalloc(strlen(text) + 1, 2), *at = out;

    for (const char *p = text; *p != '\0'; p++) {
        if (*p == ',' || *p == '\\')
            *at++ = '\\';
        *at++ = *p;
    }
    return out;
}

static struct fuse_session *session_new(struct mount *m, const struct fuse_lowlevel_ops *ops)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    struct fuse_session *se;
    char *source = mem_printf("%s:%s", m->conf->namenodes, m->conf->subdir);
    char *fsname = escape_option(source);
    char *opts =
        mem_printf("default_permissions,fsname=%s,subtype=dfs,max_read=%d%s%s", fsname, IO_SIZE_MAX,
                   m->conf->allow_other ? ",allow_other" : "", m->conf->kernel_options);

    free(source);
    free(fsname);
    fuse_opt_add_arg(&args, "dfs-fuse");
    fuse_opt_add_arg(&args, "-o");
    fuse_opt_add_arg(&args, opts);
    se = fuse_session_new(&args, ops, sizeof(*ops), m);
    fuse_opt_free_args(&args);
    free(opts);
    return se;
}

int transport_new(struct mount *m, const struct fuse_lowlevel_ops *ops,
                  const struct transport_handlers *h, struct transport **ret_transport)
{
    const struct fuse_custom_io io = {.writev = reply_writev, .read = request_read};
    struct transport *t = MEM_NEW(struct transport);
    int r;

    t->m = m;
    t->h = *h;
    t->session = session_new(m, ops);
    if (t->session == NULL) {
        free(t);
        return -EINVAL; /* libfuse has said which option. */
    }
    if (fuse_session_mount(t->session, m->conf->mountpoint) != 0) {
        r = errno == 0 ? -EIO : -errno;
        fuse_session_destroy(t->session);
        free(t);
        return r;
    }
    r = fuse_session_custom_io(t->session, &io, fuse_session_fd(t->session));
    if (r == 0)
        r = loop_io_new(m->loop, fuse_session_fd(t->session), on_readable, t, &t->io);
    if (r < 0) {
        fuse_session_unmount(t->session);
        fuse_session_destroy(t->session);
        free(t);
        return r;
    }
    t->block = slab_alloc(ll_slabs(m->ll), SLAB_SIZE_MAX);
    m->transport = t;
    loop_io_want(t->io, LOOP_READ);
    raise_read_ahead(m);
    *ret_transport = t;
    return 0;
}

void transport_stop(struct transport *t)
{
    if (t->gone)
        return;
    stop_reading(t);
    if (umount2(t->m->conf->mountpoint, MNT_DETACH) == 0 || errno != EPERM)
        return;
    /* Not root: fusermount3 does it. libfuse closes the descriptor first. */
    loop_io_free(STEAL(t->io));
    fuse_session_unmount(t->session);
}

void transport_free(struct transport *t)
{
    if (t == NULL)
        return;
    loop_cancel(t->m->loop, mounted, t);
    loop_io_free(t->io);
    if (!t->gone)
        fuse_session_unmount(t->session);
    fuse_session_destroy(t->session);
    free(t);
}
