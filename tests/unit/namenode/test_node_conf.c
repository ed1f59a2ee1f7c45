/* The configuration: what is taken, and that each mistake is told. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/conf.h"
#include "namenode/node_conf.h"

#define TLS "[tls]\nca = ca.crt\ncert = n.crt\nkey = /abs/n.key\n"
#define GOOD                                                                                       \
    "[namenode]\nid = 2\ndata_dir = data\nnamenodes = 3@c:1, 1@a:1, 2@b:1\n" TLS                   \
    "[datanode]\nlisten = x\n"

static int read_text(const char *text, struct node_conf *c, char *problems, size_t size)
{
    struct conf *conf;
    int r;

    assert_int_equal(conf_load_text("t", text, strlen(text), &conf), 0);
    r = node_conf_read(conf, "/etc/dfs/dfs.conf", c);
    if (problems)
        (void)snprintf(problems, size, "%s", r < 0 ? conf_problems(conf) : "");
    conf_free(conf);
    return r;
}

static void a_short_configuration_is_enough(void **state)
{
    struct node_conf c;

    (void)state;
    assert_int_equal(read_text(GOOD, &c, NULL, 0), 0);
    assert_int_equal(c.id.v, 2);
    assert_string_equal(c.data_dir, "/etc/dfs/data");
    assert_string_equal(c.tls_ca, "/etc/dfs/ca.crt");
    assert_string_equal(c.tls_key, "/abs/n.key");
    assert_int_equal(c.founders.count, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(c.founders.members[i].id.v, i + 1); /* in order, whatever the file says */
        assert_true(c.founders.members[i].voter);
    }
    assert_string_equal(c.founders.members[0].addr, "a:1");
    assert_true(c.data_tls && c.read_lease);
    node_conf_done(&c);
}

static void the_scrub_can_be_switched_off(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } all[] = {{"", 86400000}, {"scrub = off\n", 0}, {"scrub = 0\n", 0}, {"scrub = 2h\n", 7200000}};
    struct node_conf c;
    char text[200];

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        (void)snprintf(text, sizeof(text), "[namenode]\nid = 1\nnamenodes = 1@a:1\n%s" TLS,
                       all[i].text);
        assert_int_equal(read_text(text, &c, NULL, 0), 0);
        assert_int_equal(c.scrub_ms, all[i].ms);
        node_conf_done(&c);
    }
}

static void each_mistake_is_told(void **state)
{
    static const struct {
        const char *text, *told;
    } bad[] = {
        {"[namenode]\nnamenodes = 1@a:1\n" TLS, "id"},
        {"[namenode]\nid = 1\n" TLS, "namenodes"},
        {"[namenode]\nid = 1\nnamenodes = a:1\n" TLS, "id@host:port"},
        {"[namenode]\nid = 1\nnamenodes = 1@a:1, 1@b:1\n" TLS, "twice"},
        {"[namenode]\nid = 1\nnamenodes = 1@a:x\n" TLS, "id@host:port"},
        {"[namenode]\nid = 1\nnamenodes = 1@a:1\n", "ca"},
        {"[namenode]\nid = 1\nnamenodes = 1@a:1\nelection_ms = 60\n" TLS, "heartbeat"},
        {"[namenode]\nid = 1\nnamenodes = 1@a:1\nsession_timeout = 19s\n" TLS, "session_timeout"},
        {"[namenode]\nid = 1\nnamenodes = 1@a:1\nscrub = 0.5\n" TLS, "scrub"},
        {"[namenode]\nid = 1\nnamenodes = 1@a:1\nlistn = 1\n" TLS, "listn"},
        {"[namenode]\nid = 1\nnamenodes = 1@a:1\n" TLS "[log]\nlevel = loud\n", "loud"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct node_conf c;
        char problems[1000];

        assert_int_equal(read_text(bad[i].text, &c, problems, sizeof(problems)), -EINVAL);
        if (!strstr(problems, bad[i].told))
            fail_msg("\"%s\" is not told in: %s", bad[i].told, problems);
        node_conf_done(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_configuration_is_enough),
        cmocka_unit_test(the_scrub_can_be_switched_off),
        cmocka_unit_test(each_mistake_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
