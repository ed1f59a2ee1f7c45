/*
 * Strangers, liars and the merely broken: each is shut out with a word why, and nobody else
 * notices.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/crc32c.h"
#include "common/limits.h"
#include "common/loop.h"
#include "rpc/frame.h"
#include "tests/unit/rpc/pair.h"
#include "tests/unit/rpc/scratch.h"

static char *certs;

static int make_certs(void **state)
{
    (void)state;
    certs = pair_certs_new();
    return certs == NULL;
}

static int drop_certs(void **state)
{
    (void)state;
    scratch_free(certs);
    return 0;
}

static int setup_plain(void **state)
{
    *state = pair_new(certs, false, false);
    return 0;
}

static int setup_tls(void **state)
{
    *state = pair_new(certs, true, false);
    return 0;
}

/* TLS, and plain ones with a token beside it: data_tls = off. */
static int setup_both(void **state)
{
    *state = pair_new(certs, true, true);
    return 0;
}

static int teardown(void **state)
{
    pair_free(*state);
    return 0;
}

/* A socket without our code. */
static int raw_connect(struct pair *p)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.sin_port = htons((uint16_t)atoi(strrchr(server_addr(p->server), ':') + 1));
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static void raw_send(int fd, const void *bytes, size_t len)
{
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void expect_refusal(struct pair *p, const void *bytes, size_t len, int reason,
                           const char *word)
{
    unsigned before = p->closed;
    int fd = raw_connect(p);

    raw_send(fd, bytes, len);
    pair_wait(p, &p->closed, before + 1);
    assert_int_equal(p->guest_reason, reason);
    assert_non_null(strstr(p->guest_text, word));
    close(fd);
}

static void garbage_is_shut_out(void **state)
{
    struct pair *p = *state;

    expect_refusal(p, "\x00\x01\x02\x03", 4, -EPROTO, "something else");
    expect_refusal(p, "SSH-2.0-OpenSSH\r\n", 17, -EPROTO, "something else");
    assert_int_equal(p->opened, 0);
}

static void http_request_is_told_where_http_is(void **state)
{
    expect_refusal(*state, "GET / HTTP/1.1\r\n\r\n", 18, -EPROTO, "HTTP");
    expect_refusal(*state, "POST /x HTTP/1.1\r\n\r\n", 20, -EPROTO, "HTTP");
}

static size_t make_frame(uint8_t *out, uint16_t type, uint16_t flags, uint64_t id, const char *body,
                         uint32_t data_len)
{
    struct frame_header h = {.type = type,
                             .flags = flags,
                             .rpc_id = id,
                             .body_len = (uint32_t)strlen(body),
                             .data_len = data_len,
                             .body_crc = crc32c(body, strlen(body))};

    frame_encode(&h, out);
    memcpy(out + FRAME_HEADER_SIZE, body, h.body_len);
    return FRAME_HEADER_SIZE + h.body_len;
}

static void plain_frame_on_a_tls_port_is_refused(void **state)
{
    uint8_t bytes[64];
    size_t len = make_frame(bytes, MSG_PING, 0, 1, "", 0);

    expect_refusal(*state, bytes, len, -EPROTO, "wants TLS");
}

static void tls_hello_that_is_garbage_is_refused(void **state)
{
    struct pair *p = *state;
    int fd = raw_connect(p);

    raw_send(fd, "\x16\x03\x01\xff\xff\x01\x02\x03", 8);
    shutdown(fd, SHUT_WR);
    pair_wait(p, &p->closed, 1);
    assert_int_equal(p->guest_reason, -EPROTO);
    close(fd);
}

static void tls_client_on_a_plain_port_is_refused(void **state)
{
    struct pair *p = *state;
    struct tls *tls = pair_tls(certs, "ca", "c1");

    pair_connect(p, tls);
    pair_wait(p, &p->client_closed, 1);
    pair_wait(p, &p->closed, 1);
    assert_non_null(strstr(p->guest_text, "speaks TLS"));
    tls_free(tls);
}

static void plain_client_on_a_tls_port_is_told_by_a_reset(void **state)
{
    struct pair *p = *state;
    struct answer a = {0};

    pair_connect(p, NULL);
    conn_call(p->client, ASK_NOTHING, NULL, NULL, 1000, answer_done, &a);
    pair_wait(p, &a.done, 1);
    assert_int_equal(a.status, -ECONNRESET);
}

static void bad_frames_close_a_plain_connection(void **state)
{
    struct pair *p = *state;
    struct frame_header big = {.type = MSG_PING, .body_len = FRAME_BODY_MAX + 1};
    uint8_t bytes[64];
    size_t len;

    frame_encode(&big, bytes);
    expect_refusal(p, bytes, FRAME_HEADER_SIZE, -EPROTO, "length");
    big.body_len = 0;
    big.data_len = FRAME_DATA_MAX + 1;
    frame_encode(&big, bytes);
    expect_refusal(p, bytes, FRAME_HEADER_SIZE, -EPROTO, "length");
    len = make_frame(bytes, MSG_PING, 0, 1, "body", 0);
    bytes[len - 1] ^= 1;
    expect_refusal(p, bytes, len, -EPROTO, "checksum");
    len = make_frame(bytes, MSG_PING, 0, 1, "body", 0);
    bytes[9] ^= 1;
    expect_refusal(p, bytes, len, -EPROTO, "not a frame");
    assert_int_equal(p->requests, 0);
}

static void frame_in_single_bytes_is_understood(void **state)
{
    struct pair *p = *state;
    uint8_t bytes[64];
    size_t len = make_frame(bytes, MSG_RAFT, FRAME_ONEWAY, 0, "hello", 0);
    int fd = raw_connect(p);

    for (size_t i = 0; i < len; i++) {
        raw_send(fd, bytes + i, 1);
        pair_pass(p, 1);
    }
    pair_wait(p, &p->oneways, 1);
    assert_int_equal(p->oneway_bytes, 5);
    close(fd);
}

static void data_in_pieces_is_put_together(void **state)
{
    struct pair *p = *state;
    uint8_t head[64], data[5000] = {0};
    size_t len = make_frame(head, MSG_CHAIN_OP, FRAME_ONEWAY, 0, "b", 5000);
    int fd = raw_connect(p);

    raw_send(fd, head, len);
    pair_pass(p, 2);
    raw_send(fd, data, 1);
    pair_pass(p, 2);
    raw_send(fd, data, 4998);
    pair_pass(p, 2);
    assert_int_equal(p->oneways, 0);
    raw_send(fd, data, 1);
    raw_send(fd, head, len);
    raw_send(fd, data, 5000);
    pair_wait(p, &p->oneways, 2);
    close(fd);
}

static void peer_that_dies_in_the_middle_of_a_frame_is_noticed(void **state)
{
    struct pair *p = *state;
    uint8_t bytes[64];
    size_t len = make_frame(bytes, MSG_CHAIN_OP, FRAME_ONEWAY, 0, "b", 100000);

    for (size_t cut = 1; cut <= len; cut += len - 1) {
        int fd = raw_connect(p);
        unsigned before = p->closed;

        raw_send(fd, bytes, cut);
        pair_pass(p, 2);
        close(fd);
        pair_wait(p, &p->closed, before + 1);
        assert_int_equal(p->guest_reason, -ECONNRESET);
    }
    assert_int_equal(p->oneways, 0);
    assert_int_equal(server_conn_count(p->server), 0);
}

static void reply_to_nothing_is_ignored(void **state)
{
    struct pair *p = *state;
    uint8_t bytes[64];
    int fd = raw_connect(p);

    raw_send(fd, bytes, make_frame(bytes, MSG_PING, FRAME_REPLY, 0, "", 0));
    raw_send(fd, bytes, make_frame(bytes, MSG_PING, FRAME_REPLY, UINT64_MAX, "", 0));
    raw_send(fd, bytes, make_frame(bytes, MSG_RAFT, FRAME_ONEWAY, 0, "", 0));
    pair_wait(p, &p->oneways, 1);
    assert_int_equal(p->closed, 0);
    close(fd);
}

static void connections_over_the_limit_are_closed(void **state)
{
    struct pair *p = *state;
    int fds[9];
    char byte;

    for (unsigned i = 0; i < 9; i++)
        fds[i] = raw_connect(p);
    pair_pass(p, 10);
    assert_int_equal(server_conn_count(p->server), 8);
    assert_int_equal(recv(fds[8], &byte, 1, MSG_DONTWAIT), 0);
    for (unsigned i = 0; i < 9; i++)
        close(fds[i]);
    pair_wait(p, &p->closed, 8);
    assert_int_equal(server_conn_count(p->server), 0);
}

/* The waiting peer would else wake the loop for ever, and nobody would know why. */
static void peer_is_turned_away_when_descriptors_run_out(void **state)
{
    struct pair *p = *state;
    struct rlimit old, low;
    int fd = raw_connect(p), free_fd = dup(fd), again;
    char byte;

    close(free_fd);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = (rlim_t)free_fd;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    pair_pass(p, 5);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
    close(fd);

    again = raw_connect(p);
    pair_pass(p, 5);
    assert_int_equal(server_conn_count(p->server), 1);
    close(again);
}

/* The server's CA is unknown to the client: the client must not talk to it. */
static void server_of_another_ca_is_refused_by_the_client(void **state)
{
    struct pair *p = *state;
    struct tls *tls = pair_tls(certs, "other-ca", "stranger");
    struct answer a = {0};

    pair_connect(p, tls);
    conn_call(p->client, ASK_NOTHING, NULL, NULL, 2000, answer_done, &a);
    pair_wait(p, &p->client_closed, 1);
    assert_int_equal(p->client_reason, -EACCES);
    assert_int_equal(a.status, -EACCES);
    assert_non_null(strstr(conn_close_text(p->client), "dfs pki"));
    pair_wait(p, &p->closed, 1);
    assert_int_equal(p->guest_reason, -EACCES);
    assert_int_equal(p->requests, 0);
    tls_free(tls);
}

static void concat(const char *to, const char *a, const char *b)
{
    const char *from[] = {a, b};
    char path[300], bytes[4096];
    FILE *out;

    snprintf(path, sizeof(path), "%s/%s", certs, to);
    out = fopen(path, "w");
    for (int i = 0; i < 2; i++) {
        FILE *in;

        snprintf(path, sizeof(path), "%s/%s", certs, from[i]);
        in = fopen(path, "r");
        fwrite(bytes, 1, fread(bytes, 1, sizeof(bytes), in), out);
        fclose(in);
    }
    fclose(out);
}

/*
 * The client likes the server, the server not the client. In TLS 1.3 the client hears of it only
 * after its own handshake is done, in a race with the reset of the connection: so the server
 * lingers, and the client must always learn the true reason.
 */
static void client_of_another_ca_is_refused_by_the_server(void **state)
{
    struct pair *p = *state;
    struct tls *tls;

    concat("both.crt", "ca.crt", "other-ca.crt");
    tls = pair_tls(certs, "both", "stranger");
    for (unsigned i = 1; i <= 20; i++) {
        struct answer a = {0};

        pair_connect(p, tls);
        conn_call(p->client, ASK_NOTHING, NULL, NULL, 2000, answer_done, &a);
        pair_wait(p, &p->client_closed, i);
        assert_int_equal(p->client_reason, -EACCES);
        assert_int_equal(a.status, -EACCES);
        conn_free(p->client);
        p->client = NULL;
        pair_wait(p, &p->closed, i);
        assert_int_equal(p->guest_reason, -EACCES);
        assert_non_null(strstr(p->guest_text, "stranger"));
    }
    assert_int_equal(p->requests, 0);
    assert_int_equal(p->opened, 0);
    tls_free(tls);
}

static void plain_connection_beside_tls_must_say_hello_first(void **state)
{
    struct pair *p = *state;
    struct answer a = {0};

    pair_connect(p, NULL);
    conn_call(p->client, ASK_NOTHING, NULL, NULL, 1000, answer_done, &a);
    conn_send_oneway_raw(p->client, MSG_RAFT, "x", 1);
    pair_wait(p, &a.done, 1);
    assert_int_equal(a.status, -EACCES);
    pair_wait(p, &p->client_closed, 1);
    assert_int_equal(p->requests + p->oneways, 0);
}

static void plain_connection_beside_tls_serves_after_its_hello(void **state)
{
    struct pair *p = *state;
    struct answer hello = {0}, a = {0};

    pair_connect(p, NULL);
    conn_call(p->client, MSG_DATA_HELLO, NULL, NULL, 1000, answer_done, &hello);
    pair_wait(p, &hello.done, 1);
    assert_int_equal(hello.status, 0);
    assert_false(conn_is_authenticated(p->guest));
    conn_set_authenticated(p->guest);
    conn_call(p->client, ASK_NOTHING, NULL, NULL, 1000, answer_done, &a);
    pair_wait(p, &a.done, 1);
    assert_int_equal(a.status, 0);
}

/* Memory for data is only for those we know. */
static void hello_with_data_is_refused(void **state)
{
    struct pair *p = *state;
    uint8_t bytes[64];
    size_t len = make_frame(bytes, MSG_DATA_HELLO, 0, 1, "", FRAME_DATA_MAX);
    int fd = raw_connect(p);

    raw_send(fd, bytes, len);
    pair_wait(p, &p->closed, 1);
    assert_int_equal(p->guest_reason, -EACCES);
    close(fd);
}

static void tls_goes_on_beside_plain(void **state)
{
    struct pair *p = *state;
    struct answer a = {0};

    pair_connect(p, p->client_tls);
    conn_call(p->client, ASK_NOTHING, NULL, NULL, 1000, answer_done, &a);
    pair_wait(p, &a.done, 1);
    assert_int_equal(a.status, 0);
    assert_true(conn_is_authenticated(p->guest));
}

static void dead_port_and_bad_addresses_are_told(void **state)
{
    struct pair *p = *state;
    struct conn_handlers h = {0};
    struct answer a = {0};
    char addr[64];

    snprintf(addr, sizeof(addr), "%s", server_addr(p->server));
    server_stop_accepting(p->server);
    assert_int_equal(conn_connect(p->loop, p->slabs, addr, NULL, &h, &p->client), 0);
    conn_call(p->client, ASK_NOTHING, NULL, NULL, 1000, answer_done, &a);
    pair_wait(p, &a.done, 1);
    assert_int_equal(a.status, -ECONNREFUSED);
    conn_free(p->client);
    p->client = NULL;
    assert_int_equal(conn_connect(p->loop, p->slabs, "nonsense", NULL, &h, &p->client), -EINVAL);
    assert_null(p->client);
}

static void host_names_are_looked_up(void **state)
{
    struct pair *p = *state;
    struct conn_handlers h = {0};
    struct answer a = {0};
    char addr[64];

    snprintf(addr, sizeof(addr), "localhost%s", strrchr(server_addr(p->server), ':'));
    assert_int_equal(conn_connect(p->loop, p->slabs, addr, NULL, &h, &p->client), 0);
    conn_call(p->client, ASK_NOTHING, NULL, NULL, 0, answer_done, &a);
    pair_wait(p, &a.done, 1);
    assert_int_equal(a.status, 0);
}

static void lookup_may_be_given_up(void **state)
{
    struct pair *p = *state;
    struct conn_handlers h = {0};
    struct answer a = {0};

    assert_int_equal(conn_connect(p->loop, p->slabs, "localhost:1", NULL, &h, &p->client), 0);
    conn_call(p->client, ASK_NOTHING, NULL, NULL, 0, answer_done, &a);
    conn_free(p->client);
    p->client = NULL;
    pair_wait(p, &a.done, 1);
    assert_int_equal(a.status, -ECANCELED);
}

static void address_in_use_is_told(void **state)
{
    struct pair *p = *state;
    struct server_options o = {.conn_count_max = 1};
    struct conn_handlers h = {0};
    struct server *s = NULL;

    o.listen_addr = server_addr(p->server);
    assert_int_equal(server_new(p->loop, p->slabs, &o, &h, &s), -EADDRINUSE);
    o.listen_addr = "192.0.2.1:0";
    assert_int_equal(server_new(p->loop, p->slabs, &o, &h, &s), -EADDRNOTAVAIL);
    assert_null(s);
}

static void server_that_goes_tells_its_user_and_its_peers(void **state)
{
    struct pair *p = *state;
    struct answer a = {0};

    pair_connect(p, NULL);
    conn_call(p->client, ASK_SILENCE, NULL, NULL, 0, answer_done, &a);
    pair_wait(p, &p->requests, 1);
    server_free(p->server);
    p->server = NULL;
    assert_int_equal(p->closed, 1);
    pair_wait(p, &a.done, 1);
    assert_int_equal(a.status, -ECONNRESET);
}

#define PLAIN(f) cmocka_unit_test_setup_teardown(f, setup_plain, teardown)
#define TLS(f) cmocka_unit_test_setup_teardown(f, setup_tls, teardown)
#define WITH_BOTH(f) cmocka_unit_test_setup_teardown(f, setup_both, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAIN(garbage_is_shut_out),
        TLS(http_request_is_told_where_http_is),
        TLS(plain_frame_on_a_tls_port_is_refused),
        TLS(tls_hello_that_is_garbage_is_refused),
        PLAIN(tls_client_on_a_plain_port_is_refused),
        TLS(plain_client_on_a_tls_port_is_told_by_a_reset),
        PLAIN(bad_frames_close_a_plain_connection),
        PLAIN(frame_in_single_bytes_is_understood),
        PLAIN(data_in_pieces_is_put_together),
        PLAIN(peer_that_dies_in_the_middle_of_a_frame_is_noticed),
        PLAIN(reply_to_nothing_is_ignored),
        PLAIN(connections_over_the_limit_are_closed),
        PLAIN(peer_is_turned_away_when_descriptors_run_out),
        TLS(server_of_another_ca_is_refused_by_the_client),
        TLS(client_of_another_ca_is_refused_by_the_server),
        WITH_BOTH(plain_connection_beside_tls_must_say_hello_first),
        WITH_BOTH(plain_connection_beside_tls_serves_after_its_hello),
        WITH_BOTH(hello_with_data_is_refused),
        WITH_BOTH(tls_goes_on_beside_plain),
        PLAIN(dead_port_and_bad_addresses_are_told),
        PLAIN(host_names_are_looked_up),
        PLAIN(lookup_may_be_given_up),
        PLAIN(address_in_use_is_told),
        PLAIN(server_that_goes_tells_its_user_and_its_peers),
    };

    return cmocka_run_group_tests_name("server", tests, make_certs, drop_certs);
}
