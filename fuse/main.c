/*
 * dfs-fuse and mount.dfs: connects, mounts, serves until it is unmounted or told to stop.
 *
 *   parse ─► background ─► session with the namenodes ─► find the root ─► mount ─► ready
 *   SIGTERM, SIGINT or umount ─► write out what is dirty ─► end the session
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/compiler.h"
#include "common/daemon.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "fuse/counters.h"
#include "fuse/interrupt.h"
#include "fuse/mount.h"
#include "fuse/removed.h"
#include "fuse/transport.h"

enum { EXIT_UNREACHED = 32, DRAIN_MS = 60000 };

struct program {
    struct mount mount;
    struct mount_conf conf;
    struct daemon daemon;
    struct loop_signal *term, *interrupt, *hangup;
    struct mount_http *http;
    struct ll_call call;
    char *subdir_rest; /* what is left to be looked up of conf.subdir */
    char *client_name;
    bool stopping, closing;
    int exit_code;
};

static void do_init(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    /* Without EXPLICIT_INVAL_DATA a foreign change of the size drops the pages: else the last page,
     * filled up with zeros, would be shown where another mount has appended. */
    conn->want &=
        ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                    FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_AUTO_INVAL_DATA |
                    FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_POSIX_LOCKS);
    conn->want |=
        conn->capable &
        (FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_ASYNC_DIO | FUSE_CAP_READDIRPLUS |
         FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_IOCTL_DIR);
    conn->max_write = IO_SIZE_MAX;
    conn->max_read = IO_SIZE_MAX;
    conn->max_readahead = 16 << 20;
    conn->max_background = 128;
    conn->congestion_threshold = 96;
    conn->time_gran = 1;
}

static void closed(void *ctx, int status)
{
    struct program *p = ctx;

    if (status < 0) {
        log_error("some written data did not reach the cluster", "error=%s", strerror(-status));
        p->exit_code = 1;
    }
    loop_stop(p->mount.loop);
}

/* Nothing comes from the kernel any more: write out, end the session. */
static void begin_close(void *ctx)
{
    struct program *p = ctx;

    if (p->closing)
        return;
    p->closing = true;
    mount_http_free(STEAL(p->http));
    ll_close(p->mount.ll, DRAIN_MS, closed, p);
}

static void on_mounted(void *ctx)
{
    struct program *p = ctx;

    log_info("mounted", "on=%s from=%s:%s", p->conf.mountpoint, p->conf.namenodes, p->conf.subdir);
    if (p->conf.pid_file != NULL && daemon_write_pid_file(p->conf.pid_file) < 0)
        log_error("the pid file was not written", "path=%s", p->conf.pid_file);
    daemon_ready(&p->daemon);
}

static void on_unmounted(void *ctx)
{
    struct program *p = ctx;

    log_info("unmounted", "from=%s", p->conf.mountpoint);
    daemon_notify("STOPPING=1");
    loop_defer(p->mount.loop, begin_close, p);
}

static void fail(struct program *p, int exit_code)
{
    p->exit_code = exit_code;
    loop_defer(p->mount.loop, begin_close, p);
}

static void start_mount(struct program *p)
{
    const struct transport_handlers h = {
        .mounted = on_mounted, .unmounted = on_unmounted, .ctx = p};
    static struct fuse_lowlevel_ops ops = {.init = do_init};
    int r;

    if (p->conf.http_addr != NULL) {
        r = mount_http_new(&p->mount, &p->http);
        if (r < 0) {
            daemon_fail(&p->daemon, "cannot serve /metrics on %s: %s", p->conf.http_addr,
                        strerror(-r));
            fail(p, 1);
            return;
        }
    }
    ops_meta_fill(&ops);
    ops_dir_fill(&ops);
    ops_io_fill(&ops);
    ops_flush_fill(&ops);
    ops_xattr_fill(&ops);
    r = transport_new(&p->mount, &ops, &h, &p->mount.transport);
    if (r < 0) {
        daemon_fail(&p->daemon, "cannot mount on %s: %s", p->conf.mountpoint, strerror(-r));
        fail(p, 1);
    }
}

static void find_root(struct program *p);

static void root_found(void *ctx, int status, const struct ll_attr *attr)
{
    struct program *p = ctx;

    if (status == 0 && !S_ISDIR(attr->mode))
        status = -ENOTDIR;
    if (status < 0) {
        daemon_fail(&p->daemon, "%s on %s: %s", p->conf.subdir, p->conf.namenodes,
                    strerror(-status));
        fail(p, 1);
        return;
    }
    p->mount.root = attr->ino;
    find_root(p);
}

/* Walks to the directory that is to be the root, one name a step. */
static void find_root(struct program *p)
{
    const struct ll_cred cred = {.uid = 0, .kernel_checked = true};
    char *name = strtok_r(NULL, "/", &p->subdir_rest); /* goes on where it stopped */

    if (name == NULL)
        start_mount(p);
    else
        ll_lookup(p->mount.ll, &p->call, &cred, p->mount.root, name, root_found, p);
}

static void connected(void *ctx, int status)
{
    struct program *p = ctx;

    if (status < 0) {
        daemon_fail(&p->daemon, "the cluster was not reached: %s", ll_problem(p->mount.ll));
        fail(p, EXIT_UNREACHED);
        return;
    }
    p->mount.root = INO_ROOT;
    find_root(p);
}

static void on_signal(void *ctx, int signum)
{
    struct program *p = ctx;

    if (p->stopping)
        return;
    p->stopping = true;
    log_info("stopping", "signal=%d", signum);
    if (p->mount.transport == NULL) {
        begin_close(p);
        return;
    }
    /* Whoever still has files open there sees them fail; what was written is written out. */
    transport_stop(p->mount.transport);
    on_unmounted(p);
}

static char *client_name(const struct mount_conf *c)
{
    char host[HOST_NAME_MAX + 1] = "";
    char *name;

    (void)gethostname(host, sizeof(host) - 1);
    name = mem_printf("%s:%s", host, c->mountpoint);
    if (strlen(name) >= SESSION_NAME_MAX)
        name[SESSION_NAME_MAX - 1] = '\0';
    return name;
}

static int serve(struct program *p)
{
    struct mount *m = &p->mount;
    int r;

    r = loop_new(&m->loop);
    if (r < 0)
        return r;
    m->conf = &p->conf;
    p->client_name = client_name(&p->conf);
    p->conf.ll.client_name = p->client_name;
    r = loop_signal_new(m->loop, SIGTERM, on_signal, p, &p->term);
    if (r == 0)
        r = loop_signal_new(m->loop, SIGINT, on_signal, p, &p->interrupt);
    if (r == 0)
        r = loop_signal_new(m->loop, SIGHUP, on_signal, p, &p->hangup);
    if (r == 0)
        r = ll_new(m->loop, &p->conf.ll, true, connected, p, &m->ll);
    if (r < 0) {
        daemon_fail(&p->daemon, "cannot start: %s", strerror(-r));
        p->exit_code = 1;
    } else {
        loop_run(m->loop);
    }
    transport_free(m->transport);
    removed_clear(m);
    interrupt_done(m);
    loop_timer_free(m->flush_timer);
    loop_signal_free(p->term);
    loop_signal_free(p->interrupt);
    loop_signal_free(p->hangup);
    loop_free(m->loop);
    free(p->client_name);
    return r;
}

static char *program_mountpoint(const char *given)
{
    char *path = realpath(given, NULL);
    struct stat st;

    /* One that can't be asked is a dead mount, on which the kernel decides. */
    if (path != NULL && stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
        free(STEAL(path));
        errno = ENOTDIR;
    }
    if (path == NULL)
        fprintf(stderr, "dfs-fuse: mountpoint %s: %s\n", given, strerror(errno));
    return path;
}

int main(int argc, char **argv)
{
    struct program p = {.exit_code = 0};
    char *mountpoint, *subdir;
    int r;

    log_init("dfs-fuse", LOG_LEVEL_INFO);
    if (mount_conf_parse(&p.conf, argc, argv, &p.exit_code) < 0) {
        mount_conf_done(&p.conf);
        return p.exit_code;
    }
    mountpoint = program_mountpoint(p.conf.mountpoint);
    if (mountpoint == NULL)
        return 1;
    p.conf.mountpoint = mountpoint;
    if (!p.conf.foreground) {
        r = daemon_background(&p.daemon, p.conf.log_path);
        if (r < 0) {
            fprintf(stderr, "dfs-fuse: cannot go to the background: %s\n", strerror(-r));
            return 1;
        }
    } else {
        (void)signal(SIGPIPE, SIG_IGN);
    }
    (void)daemon_raise_nofile(65536);
    (void)prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
    subdir = p.subdir_rest = mem_printf("%s", p.conf.subdir);
    (void)serve(&p);
    free(subdir);
    free(mountpoint);
    mount_conf_done(&p.conf);
    return p.exit_code;
}
