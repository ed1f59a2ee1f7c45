/* Certificates of our own making: good for TLS at once, private, never overwritten. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "rpc/pki.h"
#include "rpc/tls.h"
#include "tests/unit/rpc/scratch.h"

static int make_dir(void **state)
{
    *state = scratch_new();
    return *state == NULL;
}

static int drop_dir(void **state)
{
    scratch_free(*state);
    return 0;
}

static int load(const char *dir, const char *ca, const char *crt, const char *key, char err[512])
{
    char a[256], b[256], c[256];
    struct tls *t = NULL;
    int r;

    snprintf(a, sizeof(a), "%s/%s", dir, ca);
    snprintf(b, sizeof(b), "%s/%s", dir, crt);
    snprintf(c, sizeof(c), "%s/%s", dir, key);
    err[0] = '\0';
    r = tls_new(a, b, c, &t, err, 512);
    tls_free(t);
    return r;
}

static mode_t mode_of(const char *dir, const char *name)
{
    char path[256];
    struct stat st;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void issued_certificate_loads_for_tls(void **state)
{
    static const char *const sans[] = {"node-1.example.org", "10.0.0.1", "::1"};
    const char *dir = *state;
    char err[512];

    assert_int_equal(pki_ca_create(dir, "test", err, sizeof(err)), 0);
    assert_int_equal(pki_issue(dir, "nn1", "namenode", sans, 3, dir, err, sizeof(err)), 0);
    assert_int_equal(load(dir, "ca.crt", "nn1.crt", "nn1.key", err), 0);
}

static void keys_are_private_even_under_an_open_umask(void **state)
{
    const char *dir = *state;
    mode_t old = umask(0);

    assert_int_equal(pki_ca_create(dir, "test", NULL, 0), 0);
    assert_int_equal(pki_issue(dir, "nn1", "namenode", NULL, 0, dir, NULL, 0), 0);
    umask(old);
    assert_int_equal(mode_of(dir, "ca.key"), 0600);
    assert_int_equal(mode_of(dir, "nn1.key"), 0600);
    assert_int_equal(mode_of(dir, "ca.crt"), 0644);
}

/* A second CA would shut all nodes out of the cluster. */
static void nothing_is_overwritten(void **state)
{
    const char *dir = *state;
    char err[512] = "";

    assert_int_equal(pki_ca_create(dir, "test", NULL, 0), 0);
    assert_int_equal(pki_ca_create(dir, "test", err, sizeof(err)), -EEXIST);
    assert_non_null(strstr(err, "ca.crt"));
    assert_int_equal(pki_issue(dir, "nn1", "namenode", NULL, 0, dir, NULL, 0), 0);
    assert_int_equal(pki_issue(dir, "nn1", "namenode", NULL, 0, dir, err, sizeof(err)), -EEXIST);
    assert_int_equal(load(dir, "ca.crt", "nn1.crt", "nn1.key", err), 0);
}

static void bad_names_roles_and_hosts_are_refused(void **state)
{
    static const char *const bad_san[] = {"a,IP:1.2.3.4"};
    const char *dir = *state;

    assert_int_equal(pki_ca_create(dir, "no/slash", NULL, 0), -EINVAL);
    assert_int_equal(pki_ca_create(dir, "test", NULL, 0), 0);
    assert_int_equal(pki_issue(dir, "../x", "client", NULL, 0, dir, NULL, 0), -EINVAL);
    assert_int_equal(pki_issue(dir, "", "client", NULL, 0, dir, NULL, 0), -EINVAL);
    assert_int_equal(pki_issue(dir, "ca", "client", NULL, 0, dir, NULL, 0), -EINVAL);
    assert_int_equal(pki_issue(dir, "x", "root", NULL, 0, dir, NULL, 0), -EINVAL);
    assert_int_equal(pki_issue(dir, "x", "client", bad_san, 1, dir, NULL, 0), -EINVAL);
}

static void missing_ca_and_directory_are_told(void **state)
{
    const char *dir = *state;
    char err[512] = "", absent[256];

    assert_int_equal(pki_issue(dir, "x", "client", NULL, 0, dir, err, sizeof(err)), -ENOENT);
    assert_non_null(strstr(err, "ca.crt"));
    snprintf(absent, sizeof(absent), "%s/absent/dir", dir);
    assert_int_equal(pki_ca_create(absent, "test", err, sizeof(err)), -ENOENT);
    assert_non_null(strstr(err, absent));
}

static void foreign_ca_key_is_refused(void **state)
{
    const char *dir = *state;
    char *other = scratch_new();
    char cmd_from[256], cmd_to[256];

    assert_int_equal(pki_ca_create(dir, "one", NULL, 0), 0);
    assert_int_equal(pki_ca_create(other, "two", NULL, 0), 0);
    snprintf(cmd_from, sizeof(cmd_from), "%s/ca.key", other);
    snprintf(cmd_to, sizeof(cmd_to), "%s/ca.key", dir);
    assert_int_equal(rename(cmd_from, cmd_to), 0);
    assert_int_equal(pki_issue(dir, "x", "client", NULL, 0, dir, NULL, 0), -EKEYREJECTED);
    scratch_free(other);
}

/* Every wrong set of files has its own message: this is what an operator meets first. */
static void wrong_files_are_told_apart_when_loaded(void **state)
{
    const char *dir = *state;
    char *other = scratch_new();
    char err[512], path[256];
    FILE *f;

    assert_int_equal(pki_ca_create(dir, "one", NULL, 0), 0);
    assert_int_equal(pki_issue(dir, "a", "client", NULL, 0, dir, NULL, 0), 0);
    assert_int_equal(pki_issue(dir, "b", "client", NULL, 0, dir, NULL, 0), 0);
    assert_int_equal(pki_ca_create(other, "two", NULL, 0), 0);
    assert_int_equal(pki_issue(other, "c", "client", NULL, 0, dir, NULL, 0), 0);

    assert_int_equal(load(dir, "ca.crt", "nope.crt", "a.key", err), -ENOENT);
    assert_non_null(strstr(err, "nope.crt"));
    assert_int_equal(load(dir, "ca.crt", "a.crt", "b.key", err), -EKEYREJECTED);
    assert_non_null(strstr(err, "b.key"));
    assert_int_equal(load(dir, "ca.crt", "c.crt", "c.key", err), -EKEYREJECTED);
    assert_non_null(strstr(err, "c.crt"));

    snprintf(path, sizeof(path), "%s/junk.crt", dir);
    f = fopen(path, "w");
    fputs("not a certificate\n", f);
    fclose(f);
    assert_int_equal(load(dir, "ca.crt", "junk.crt", "a.key", err), -EBADMSG);
    assert_int_equal(load(dir, "junk.crt", "a.crt", "a.key", err), -EBADMSG);
    assert_int_equal(load(dir, "ca.crt", "a.crt", "junk.crt", err), -EBADMSG);
    assert_non_null(strstr(err, "junk.crt"));
    scratch_free(other);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, drop_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(issued_certificate_loads_for_tls),
        TEST(keys_are_private_even_under_an_open_umask),
        TEST(nothing_is_overwritten),
        TEST(bad_names_roles_and_hosts_are_refused),
        TEST(missing_ca_and_directory_are_told),
        TEST(foreign_ca_key_is_refused),
        TEST(wrong_files_are_told_apart_when_loaded),
    };

    return cmocka_run_group_tests_name("pki", tests, NULL, NULL);
}
