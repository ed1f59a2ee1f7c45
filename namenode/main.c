/* dfs-namenode: command line, configuration, and the order in which the parts start and end. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/args.h"
#include "common/buf.h"
#include "common/conf.h"
#include "common/daemon.h"
#include "common/error.h"
#include "common/http.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/slab.h"
#include "common/strutil.h"
#include "namenode/node.h"
#include "namenode/node_conf.h"
#include "namenode/restore.h"
#include "namenode/service.h"
#include "rpc/tls.h"

enum { WITHOUT_MAX = 4096 };

enum {
    OPT_CONFIG = 1,
    OPT_CHECK,
    OPT_FOREGROUND,
    OPT_DAEMON,
    OPT_LOG_FILE,
    OPT_PID_FILE,
    OPT_RESTORE,
    OPT_WITHOUT
};

static const struct arg_option options[] = {
    {"config", 'c', "FILE", "read the configuration from FILE (" DFS_SYSCONFDIR "/dfs.conf)",
     OPT_CONFIG},
    {"check-config", 0, NULL, "check the configuration and exit", OPT_CHECK},
    {"foreground", 'f', NULL, "stay in the foreground (default)", OPT_FOREGROUND},
    {"daemon", 'd', NULL, "go to the background once it serves its port", OPT_DAEMON},
    {"log-file", 0, "FILE", "with --daemon: append the log to FILE", OPT_LOG_FILE},
    {"pid-file", 0, "FILE", "write the process id to FILE", OPT_PID_FILE},
    {"restore", 0, "FILE", "make the empty data directory out of a backup (-: stdin), and exit",
     OPT_RESTORE},
    {"without", 0, "TARGET,...", "with --restore: these targets are gone for good", OPT_WITHOUT},
    {0}};

static const struct args_spec spec = {
    .program = "dfs-namenode",
    .usage = "[OPTION]...",
    .about = "Keeps the metadata of a dfs cluster, together with the other namenodes.",
    .options = options,
};

struct program {
    const char *conf_path, *log_file, *pid_file;
    const char *restore, *without;
    bool check_only, background;

    struct node_conf conf;
    struct daemon daemon;
    struct metrics *metrics;
    struct loop *loop;
    struct slab_pool *slabs;
    struct tls *tls;
    struct node *node;
    struct services *services;
    struct http *http;
    struct loop_signal *on_term, *on_int;
    bool is_stopping;
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
        case OPT_RESTORE:
            p->restore = a.value;
            break;
        case OPT_WITHOUT:
            p->without = a.value;
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
                      "dfs-namenode: the configuration %s cannot be read: %s; --config=FILE names "
                      "another\n",
                      p->conf_path, dfs_strerror(r));
        return r;
    }
    r = node_conf_read(conf, p->conf_path, &p->conf);
    if (r < 0)
        (void)fprintf(stderr, "%s", conf_problems(conf));
    return r;
}

/* ---- HTTP: on its own thread, reads only metrics ---- */

static void on_http(void *ctx, const char *path, const char *query, struct http_reply *reply)
{
    struct program *p = ctx;
    struct buf b = {0};

    (void)query;
    if (strcmp(path, "/metrics") == 0) {
        reply->content_type = "text/plain; version=0.0.4";
        metrics_render(p->metrics, &b);
    } else if (strcmp(path, "/health") == 0) {
        bool ok = metrics_read(p->metrics, "dfs_namenode_has_leader") != 0;

        reply->status = ok ? 200 : 503;
        buf_append_str(&b, !ok                                                     ? "no leader\n"
                           : metrics_read(p->metrics, "dfs_namenode_serving") != 0 ? "leader\n"
                                                                                   : "follower\n");
    } else {
        return;
    }
    reply->body_len = b.len;
    reply->body = buf_take(&b);
}

/* ---- start, run, stop ---- */

static void on_stopped(void *ctx)
{
    struct program *p = ctx;

    loop_stop(p->loop);
}

static void on_signal(void *ctx, int signum)
{
    struct program *p = ctx;

    if (p->is_stopping)
        return;
    p->is_stopping = true;
    log_info("stopping", "signal=%s", strsignal(signum));
    daemon_notify("STOPPING=1");
    node_stop(p->node, on_stopped, p);
}

static int start(struct program *p, char *err, size_t err_size)
{
    int r = loop_new(&p->loop);

    if (r < 0) {
        (void)snprintf(err, err_size, "the event loop: %s", dfs_strerror(r));
        return r;
    }
    p->slabs = slab_pool_new(64 * MIB);
    p->metrics = metrics_new();
    r = tls_new(p->conf.tls_ca, p->conf.tls_cert, p->conf.tls_key, &p->tls, err, err_size);
    if (r == 0)
        r = tls_check_role(p->tls, "namenode", err, err_size);
    if (r < 0)
        return r;
    r = node_new(p->loop, p->slabs, p->tls, &p->conf, &p->node);
    if (r == 0)
        r = services_new(p->node, p->slabs, p->tls, p->metrics, &p->services);
    if (r < 0) {
        const char *why = log_last_error();

        (void)snprintf(err, err_size, "%s", why[0] != '\0' ? why : dfs_strerror(r));
        return r;
    }
    if (p->conf.http) {
        r = http_new(p->conf.http, on_http, p, &p->http);
        if (r < 0) {
            (void)snprintf(err, err_size, "http = %s: %s", p->conf.http, dfs_strerror(r));
            return r;
        }
    }
    r = loop_signal_new(p->loop, SIGTERM, on_signal, p, &p->on_term);
    if (r == 0)
        r = loop_signal_new(p->loop, SIGINT, on_signal, p, &p->on_int);
    if (r == 0 && p->pid_file)
        r = daemon_write_pid_file(p->pid_file);
    if (r < 0)
        (void)snprintf(err, err_size, "signals or pid file: %s", dfs_strerror(r));
    return r;
}

static void stop(struct program *p)
{
    http_free(p->http);
    loop_signal_free(p->on_term);
    loop_signal_free(p->on_int);
    services_free(p->services);
    node_free(p->node);
    tls_free(p->tls);
    if (p->loop)
        loop_run_once(p->loop, false);
    slab_pool_free(p->slabs);
    loop_free(p->loop);
    metrics_free(p->metrics);
}

static int run(struct program *p)
{
    char err[1024] = "";
    int r;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)daemon_raise_nofile(1 << 20);
    r = start(p, err, sizeof(err));
    if (r < 0) {
        daemon_fail(&p->daemon, "dfs-namenode: cannot start: %s", err);
        stop(p);
        return EXIT_FAILURE;
    }
    log_info("listening", "id=%" PRIu64 " addr=%s http=%s", p->conf.id.v,
             services_addr(p->services), p->http ? http_addr(p->http) : "off");
    daemon_ready(&p->daemon);
    loop_run(p->loop);
    stop(p);
    log_info("stopped", "");
    return EXIT_SUCCESS;
}

/* -EINVAL: not a list of numbers. */
static int parse_targets(const char *text, uint32_t *out, size_t max, size_t *ret_count)
{
    char *copy = mem_strdup(text ? text : ""), *save = NULL;
    size_t count = 0;
    int r = 0;

    for (char *one = strtok_r(copy, ", ", &save); one && r == 0;
         one = strtok_r(NULL, ", ", &save)) {
        uint64_t id;

        if (count == max || str_parse_u64(one, &id) < 0 || id == 0 || id > UINT32_MAX)
            r = -EINVAL;
        else
            out[count++] = (uint32_t)id;
    }
    free(copy);
    *ret_count = count;
    return r;
}

static int restore(const struct program *p)
{
    uint32_t without[WITHOUT_MAX];
    char err[1024] = "";
    size_t count;
    int r;

    if (parse_targets(p->without, without, ARRAY_COUNT(without), &count) < 0) {
        (void)fprintf(stderr, "dfs-namenode: --without: '%s' is not a list of target numbers\n",
                      p->without);
        return EXIT_FAILURE;
    }
    r = restore_run(&p->conf, p->restore, without, count, err, sizeof(err));
    if (r < 0)
        (void)fprintf(stderr, "dfs-namenode: not restored: %s\n", err[0] ? err : dfs_strerror(r));
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct program p = {.conf_path = DFS_SYSCONFDIR "/dfs.conf"};
    int code = parse_args(&p, argc, argv);
    int r;

    if (code >= 0)
        return code;
    r = read_conf(&p);
    if (r < 0 || p.check_only) {
        node_conf_done(&p.conf);
        if (r == 0)
            (void)printf("%s: no mistakes\n", p.conf_path);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    }
    log_init("dfs-namenode", p.conf.log_level);
    if (p.restore) {
        code = restore(&p);
        node_conf_done(&p.conf);
        return code;
    }
    if (p.background) {
        r = daemon_background(&p.daemon, p.log_file);
        if (r < 0) {
            (void)fprintf(stderr, "dfs-namenode: cannot go to the background: %s\n",
                          dfs_strerror(r));
            return EXIT_FAILURE;
        }
    }
    code = run(&p);
    node_conf_done(&p.conf);
    return code;
}
