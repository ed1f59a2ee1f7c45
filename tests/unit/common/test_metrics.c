/* Metrics as Prometheus reads them, and the server that shows them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/http.h"
#include "common/metrics.h"

static void metrics_render_grouped_with_help_and_type(void **state)
{
    struct metrics *m = metrics_new();
    struct metric *meta = metrics_counter(m, "rpc_total{type=\"META\"}", "requests");
    struct metric *open = metrics_gauge(m, "open_files", "files open");
    struct metric *read_ = metrics_counter(m, "rpc_total{type=\"READ\"}", "requests");
    struct buf out = {0};
    char *text;

    (void)state;
    metric_inc(meta);
    metric_add(read_, 41);
    metric_inc(read_);
    metric_set(open, -3);
    assert_ptr_equal(metrics_counter(m, "rpc_total{type=\"META\"}", "requests"), meta);
    metrics_render(m, &out);
    text = buf_take(&out);
    assert_string_equal(text, "# HELP rpc_total requests\n# TYPE rpc_total counter\n"
                              "rpc_total{type=\"META\"} 1\nrpc_total{type=\"READ\"} 42\n"
                              "# HELP open_files files open\n# TYPE open_files gauge\n"
                              "open_files -3\n");
    free(text);
    assert_int_equal(metrics_read(m, "rpc_total{type=\"READ\"}"), 42);
    assert_int_equal(metrics_read(m, "nothing"), 0);
    metrics_free(m);
}

static void histograms_are_cumulative_in_seconds(void **state)
{
    struct metrics *m = metrics_new();
    struct metric *h = metrics_histogram(m, "sync_seconds{disk=\"0\"}", "log syncs");
    struct buf out = {0};
    char *text;

    (void)state;
    metric_observe_ns(h, 0);
    metric_observe_ns(h, 1 << 14);
    metric_observe_ns(h, (1 << 14) + 1);
    metric_observe_ns(h, UINT64_C(1) << 35);
    metric_observe_ns(h, (UINT64_C(1) << 35) + 1);
    metrics_render(m, &out);
    text = buf_take(&out);
    assert_non_null(strstr(text, "sync_seconds_bucket{disk=\"0\",le=\"1.6384e-05\"} 2\n"));
    assert_non_null(strstr(text, "sync_seconds_bucket{disk=\"0\",le=\"3.2768e-05\"} 3\n"));
    assert_non_null(strstr(text, "sync_seconds_bucket{disk=\"0\",le=\"34.3597384\"} 4\n"));
    assert_non_null(strstr(text, "sync_seconds_bucket{disk=\"0\",le=\"+Inf\"} 5\n"));
    assert_non_null(strstr(text, "sync_seconds_sum{disk=\"0\"} 68.719"));
    assert_non_null(strstr(text, "sync_seconds_count{disk=\"0\"} 5\n"));
    free(text);
    assert_int_equal(metrics_read(m, "sync_seconds{disk=\"0\"}"), 5);
    metrics_free(m);
}

/* Modules are used in tests without anybody who counts. */
static void nobody_needs_to_count(void **state)
{
    struct metric *c = metrics_counter(NULL, "x", "y");

    (void)state;
    assert_null(c);
    metric_inc(c);
    metric_set(c, 1);
    metric_observe_ns(c, 1);
    assert_int_equal(metrics_read(NULL, "x"), 0);
}

static void *count_much(void *arg)
{
    for (int i = 0; i < 10000; i++)
        metric_inc(arg);
    return NULL;
}

static void threads_count_without_losing_any(void **state)
{
    struct metrics *m = metrics_new();
    struct metric *c = metrics_counter(m, "n_total", "n");
    pthread_t t[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, count_much, c), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    assert_int_equal(metrics_read(m, "n_total"), 40000);
    metrics_free(m);
}

static void page(void *ctx, const char *path, const char *query, struct http_reply *reply)
{
    int n;

    if (strcmp(path, "/hello") == 0) {
        n = asprintf(&reply->body, "hello %s from %s", query, (const char *)ctx);
        reply->body_len = (size_t)n;
    } else if (strcmp(path, "/busy") == 0) {
        reply->status = 503;
        reply->body = strdup("later");
        reply->body_len = 5;
    }
}

static void ask(const char *addr, const char *request, char *answer, size_t size)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(strrchr(addr, ':') + 1)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    size_t len = 0;
    ssize_t n;

    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(write(fd, request, strlen(request)), (ssize_t)strlen(request));
    while (len < size - 1 && (n = read(fd, answer + len, size - 1 - len)) > 0)
        len += (size_t)n;
    answer[len] = '\0';
    (void)close(fd);
}

static void the_server_answers_get_and_nothing_else(void **state)
{
    struct http *h = NULL, *second = NULL;
    char name[] = "ctx";
    char a[2048];

    (void)state;
    assert_int_equal(http_new("127.0.0.1:0", page, name, &h), 0);
    assert_int_equal(strncmp(http_addr(h), "127.0.0.1:", 10), 0);
    assert_int_equal(http_new(http_addr(h), page, name, &second), -EADDRINUSE);
    assert_null(second);
    ask(http_addr(h), "GET /hello?a=b&c=d HTTP/1.0\r\n\r\n", a, sizeof a);
    assert_non_null(strstr(a, " 200 OK"));
    assert_non_null(strstr(a, "text/plain"));
    assert_non_null(strstr(a, "\r\n\r\nhello a=b&c=d from ctx"));
    ask(http_addr(h), "GET /busy HTTP/1.0\r\n\r\n", a, sizeof a);
    assert_non_null(strstr(a, " 503 "));
    ask(http_addr(h), "GET /nothing HTTP/1.0\r\n\r\n", a, sizeof a);
    assert_non_null(strstr(a, " 404 "));
    ask(http_addr(h), "POST /hello HTTP/1.0\r\nContent-Length: 0\r\n\r\n", a, sizeof a);
    assert_non_null(strstr(a, " 405 "));
    http_free(h);
}

static void a_bad_address_is_refused(void **state)
{
    struct http *h = NULL;

    (void)state;
    assert_int_equal(http_new("8671", page, NULL, &h), -EINVAL);
    assert_int_equal(http_new("host.invalid:1", page, NULL, &h), -EINVAL);
    assert_null(h);
    http_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_render_grouped_with_help_and_type),
        cmocka_unit_test(histograms_are_cumulative_in_seconds),
        cmocka_unit_test(nobody_needs_to_count),
        cmocka_unit_test(threads_count_without_losing_any),
        cmocka_unit_test(the_server_answers_get_and_nothing_else),
        cmocka_unit_test(a_bad_address_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
