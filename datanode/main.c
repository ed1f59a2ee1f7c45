/* dfs-datanode: command line, configuration, and the order in which the parts start and end. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/args.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/conf.h"
#include "common/daemon.h"
#include "common/error.h"
#include "common/http.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/metrics.h"
#include "common/rng.h"
#include "common/slab.h"
#include "common/vfs.h"
#include "datanode/dn_conf.h"
#include "datanode/service.h"
#include "rpc/tls.h"

enum {
    OPT_CONFIG = 1,
    OPT_CHECK,
    OPT_FOREGROUND,
    OPT_DAEMON,
    OPT_LOG_FILE,
    OPT_PID_FILE,
    OPT_REBUILD
};
enum { SLABS_KEPT_BYTES = 64 << 20, OPEN_FILES = 65536 };

static const struct arg_option options[] = {
    {"config", 'c', "FILE", "read the configuration from FILE (" DFS_SYSCONFDIR "/dfs.conf)",
     OPT_CONFIG},
    {"check-config", 0, NULL, "check the configuration and exit", OPT_CHECK},
    {"foreground", 'f', NULL, "stay in the foreground (default)", OPT_FOREGROUND},
    {"daemon", 'd', NULL, "go to the background once the port is served", OPT_DAEMON},
    {"log-file", 0, "FILE", "with --daemon: append the log to FILE", OPT_LOG_FILE},
    {"pid-file", 0, "FILE", "write the process id to FILE", OPT_PID_FILE},
    {"rebuild", 0, NULL,
     "open a target whose chunk table is lost: every chunk file there is taken as suspect and "
     "compared with its other copies",
     OPT_REBUILD},
    {0}};

static const struct args_spec spec = {
    .program = "dfs-datanode",
    .usage = "[OPTION]...",
    .about = "Keeps the chunks of a dfs cluster, in one or more target directories.",
    .options = options,
};

struct program {
    const char *conf_path, *log_file, *pid_file;
    bool check_only, background, rebuild;

    struct dn_conf conf;
    struct daemon daemon;
    struct metrics *metrics;
    struct loop *loop;
    struct slab_pool *slabs;
    struct tls *tls;
    struct dn *dn;
    struct http *http;
    struct loop_signal *on_term, *on_int;
    bool is_stopping;
    int exit_code;
};

static int parse_args(struct program *p, int argc, char **argv)
{
    struct args a;
    int opt;

    args_init(&a, &spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        switch (opt) {
        case OPT_CONFIG:
            p->conf_path = a.value;
            break;
        case OPT_CHECK:
            p->check_only = true;
            break;
        case OPT_FOREGROUND:
            p->background = false;
            break;
        case OPT_DAEMON:
            p->background = true;
            break;
        case OPT_LOG_FILE:
            p->log_file = a.value;
            break;
        case OPT_PID_FILE:
            p->pid_file = a.value;
            break;
        case OPT_REBUILD:
            p->rebuild = true;
            break;
        default:
            return a.exit_code;
        }
    }
    return -1;
}

static int read_conf(struct program *p)
{
    CLEANUP(conf) struct conf *conf = NULL;
    int r = conf_load(p->conf_path, &conf);

    if (r < 0) {
        (void)fprintf(stderr,
                      "dfs-datanode: the configuration %s cannot be read: %s; --config=FILE names "
                      "another\n",
                      p->conf_path, dfs_strerror(r));
        return r;
    }
    r = dn_conf_read(conf, p->conf_path, &p->conf);
    p->conf.rebuild = p->rebuild;
    if (r < 0)
        (void)fprintf(stderr, "%s", conf_problems(conf));
    return r;
}

/* On its own thread: reads only metrics. */
static void on_http(void *ctx, const char *path, const char *query, struct http_reply *reply)
{
    struct program *p = ctx;
    struct buf b = {0};

    (void)query;
    if (strcmp(path, "/metrics") == 0) {
        reply->content_type = "text/plain; version=0.0.4";
        metrics_render(p->metrics, &b);
    } else if (strcmp(path, "/health") == 0) {
        bool ok = metrics_read(p->metrics, "dfs_dn_registered") != 0;

        reply->status = ok ? 200 : 503;
        buf_append_str(&b, ok ? "registered\n" : "no leader\n");
    } else {
        return;
    }
    reply->body_len = b.len;
    reply->body = buf_take(&b);
}

static void on_stopped(void *ctx)
{
    struct program *p = ctx;

    loop_stop(p->loop);
}

static void stop(struct program *p)
{
    if (p->is_stopping)
        return;
    p->is_stopping = true;
    daemon_notify("STOPPING=1");
    dn_stop(p->dn, on_stopped, p);
}

static void on_signal(void *ctx, int signum)
{
    log_info("stopping", "signal=%s", strsignal(signum));
    stop(ctx);
}

/* What only shows once a namenode has answered: a target that cannot be opened. */
static void on_failed(void *ctx, const char *text)
{
    struct program *p = ctx;

    log_error("cannot go on", "reason=\"%s\"", text);
    p->exit_code = EXIT_FAILURE;
    loop_stop(p->loop);
}

/*
 * Targets are opened once a namenode has said which cluster this is; what is wrong with their
 * directories is told at once.
 */
static int check_targets(const struct dn_conf *conf, char *err, size_t err_size)
{
    int r = 0;

    for (unsigned i = 0; i < conf->target_count && r == 0; i++) {
        int fd;

        r = daemon_make_dir(conf->targets[i], err, err_size);
        if (r == 0)
            r = daemon_lock_dir(conf->targets[i], &fd, err, err_size);
        if (r == 0)
            (void)close(fd);
    }
    return r;
}

static int start(struct program *p)
{
    char err[1024];
    int r;

    r = tls_new(p->conf.tls_ca, p->conf.tls_cert, p->conf.tls_key, &p->tls, err, sizeof(err));
    if (r == 0)
        r = tls_check_role(p->tls, "datanode", err, sizeof(err));
    if (r == 0)
        r = check_targets(&p->conf, err, sizeof(err));
    if (r < 0) {
        daemon_fail(&p->daemon, "dfs-datanode: %s", err);
        return r;
    }
    (void)daemon_raise_nofile(OPEN_FILES);
    r = loop_new(&p->loop);
    if (r < 0) {
        daemon_fail(&p->daemon, "dfs-datanode: no event loop: %s", dfs_strerror(r));
        return r;
    }
    p->metrics = metrics_new();
    p->slabs = slab_pool_new(SLABS_KEPT_BYTES);
    r = dn_new(&(struct dn_options){.loop = p->loop,
                                    .slabs = p->slabs,
                                    .metrics = p->metrics,
                                    .vfs = vfs_posix(),
                                    .clock = clock_system(),
                                    .conf = &p->conf,
                                    .tls = p->tls,
                                    .incarnation = rng_system_u64(),
                                    .events = {.failed = on_failed, .ctx = p}},
               err, sizeof(err), &p->dn);
    if (r < 0) {
        daemon_fail(&p->daemon, "dfs-datanode: %s", err);
        return r;
    }
    if (p->conf.http != NULL) {
        r = http_new(p->conf.http, on_http, p, &p->http);
        if (r < 0) {
            daemon_fail(&p->daemon, "dfs-datanode: cannot listen: http = %s: %s", p->conf.http,
                        dfs_strerror(r));
            return r;
        }
    }
    r = loop_signal_new(p->loop, SIGTERM, on_signal, p, &p->on_term);
    if (r == 0)
        r = loop_signal_new(p->loop, SIGINT, on_signal, p, &p->on_int);
    if (r == 0 && p->pid_file != NULL)
        r = daemon_write_pid_file(p->pid_file);
    if (r < 0)
        daemon_fail(&p->daemon, "dfs-datanode: cannot start: %s", dfs_strerror(r));
    return r;
}

static void finish(struct program *p)
{
    http_free(p->http);
    loop_signal_free(p->on_term);
    loop_signal_free(p->on_int);
    dn_free(p->dn);
    if (p->tls != NULL)
        tls_free(p->tls);
    loop_free(p->loop);
    if (p->slabs != NULL)
        slab_pool_free(p->slabs);
    if (p->metrics != NULL)
        metrics_free(p->metrics);
    if (p->pid_file != NULL && p->dn != NULL)
        (void)remove(p->pid_file);
    dn_conf_done(&p->conf);
}

int main(int argc, char **argv)
{
    struct program p = {.conf_path = DFS_SYSCONFDIR "/dfs.conf"};
    int r = parse_args(&p, argc, argv);

    if (r >= 0)
        return r;
    if (read_conf(&p) < 0) {
        dn_conf_done(&p.conf);
        return EXIT_FAILURE;
    }
    if (p.check_only) {
        (void)printf("%s: no mistakes\n", p.conf_path);
        dn_conf_done(&p.conf);
        return EXIT_SUCCESS;
    }
    log_init("dfs-datanode", p.conf.log_level);
    (void)signal(SIGPIPE, SIG_IGN);
    r = p.background ? daemon_background(&p.daemon, p.log_file) : 0;
    if (r < 0) {
        (void)fprintf(stderr, "dfs-datanode: cannot go to the background: %s\n", dfs_strerror(r));
    } else {
        r = start(&p);
    }
    if (r == 0) {
        daemon_ready(&p.daemon);
        log_info("listening", "addr=%s node=%s", dn_addr(p.dn), p.conf.node);
        loop_run(p.loop);
    }
    finish(&p);
    return r < 0 ? EXIT_FAILURE : p.exit_code;
}
