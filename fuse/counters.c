/* See counters.h. The counters are the loop's; once a second they are copied for the server's
 * thread. */
#include "fuse/counters.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/compiler.h"
#include "common/http.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/metrics.h"

enum { COPY_MS = 1000 };

struct mount_http {
    struct mount *m;
    struct metrics *metrics;
    struct http *http;
    struct loop_timer *timer;
    struct {
        struct metric *metric;
        uint64_t told;
    } counters[COUNTERS_MAX];
};

unsigned counters_get(const struct mount *m, struct ll_counter *out)
{
    const struct ll_counter own[] = {
        {"fuse_requests", m->requests},
        {"fuse_reads", m->reads},
        {"fuse_writes", m->writes},
        {"fuse_interrupts", m->interrupts},
    };

    memcpy(out, own, sizeof(own));
    return (unsigned)ARRAY_COUNT(own) +
           ll_counters(m->ll, out + ARRAY_COUNT(own), COUNTERS_MAX - (unsigned)ARRAY_COUNT(own));
}

static void copy(void *ctx)
{
    struct mount_http *h = ctx;
    struct ll_counter now[COUNTERS_MAX];
    unsigned n = counters_get(h->m, now);

    for (unsigned i = 0; i < n; i++) {
        if (h->counters[i].metric == NULL) {
            char *name = mem_printf("dfs_mount_%s_total", now[i].name);

            h->counters[i].metric = metrics_counter(h->metrics, name, "");
            free(name);
        }
        metric_add(h->counters[i].metric, now[i].value - h->counters[i].told);
        h->counters[i].told = now[i].value;
    }
}

static void answer(void *ctx, const char *path, const char *query, struct http_reply *reply)
{
    const struct mount_http *h = ctx;
    struct buf b = {0};

    (void)query;
    if (strcmp(path, "/metrics") == 0)
        metrics_render(h->metrics, &b);
    else if (strcmp(path, "/health") == 0)
        buf_append_str(&b, "mounted\n");
    else
        return; /* 404 */
    reply->body_len = b.len;
    reply->body = buf_take(&b);
}

int mount_http_new(struct mount *m, struct mount_http **ret_http)
{
    struct mount_http *h = MEM_NEW(struct mount_http);
    int r;

    h->m = m;
    h->metrics = metrics_new();
    copy(h); /* Registered before the server's thread may look. */
    r = http_new(m->conf->http_addr, answer, h, &h->http);
    if (r < 0) {
        mount_http_free(h);
        return r;
    }
    h->timer = loop_timer_new(m->loop, copy, h);
    loop_timer_start(h->timer, COPY_MS, COPY_MS);
    *ret_http = h;
    return 0;
}

void mount_http_free(struct mount_http *h)
{
    if (h == NULL)
        return;
    http_free(h->http);
    loop_timer_free(h->timer);
    metrics_free(h->metrics);
    free(h);
}
