/* What nobody reads is looked at all the same, healed, compared, and not begun anew by a restart. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/crc32c.h"
#include "common/loop.h"
#include "common/slab.h"
#include "datanode/scrub.h"
#include "tests/unit/datanode/service_cluster.h"

enum { PERIOD_MS = 1000 };

/* The same cluster, with a pass each second. */
static int setup_scrub(void **state)
{
    struct cluster *c;

    if (setup(state) != 0)
        return -1;
    c = *state;
    for (int i = 0; i < NODES; i++) {
        kill_node(c, i);
        c->nodes[i].conf.scrub_period_ms = PERIOD_MS;
        start(c, i);
    }
    assert_true(wait_for(c, all_registered, NULL));
    configure(c, "0S 1S 2S");
    assert_true(wait_for(c, all_know_epoch, NULL));
    return 0;
}

static struct scrub_status status_of(const struct cluster *c, int node)
{
    struct scrub_status s;

    scrub_status(c->nodes[node].dn->scrub, 0, &s);
    return s;
}

static void flip_byte(struct cluster *c, int node, int offset)
{
    char command[512];

    (void)snprintf(command, sizeof(command),
                   "f=$(find %s/c -type f) && printf X | "
                   "dd of=$f bs=1 seek=%d conv=notrunc status=none",
                   c->nodes[node].dir, (128 << 10) + offset);
    assert_int_equal(system(command), 0);
}

static bool three_were_healed(struct cluster *c, void *ctx)
{
    return c->healed_reports >= *(unsigned *)ctx + NODES;
}

static void damage_that_nobody_reads_is_healed(void **state)
{
    struct cluster *c = *state;
    static uint8_t bytes[100000];
    unsigned before = c->healed_reports;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 31 + i / 89);
    assert_int_equal(write_at(c, 0, 0, bytes, sizeof(bytes)), 0);
    for (int i = 0; i < NODES; i++)
        flip_byte(c, i, 10000 + i * 20000);
    assert_true(wait_for(c, three_were_healed, &before));
    for (int i = 0; i < NODES; i++)
        assert_content(c, i, 0, bytes, sizeof(bytes));
    assert_int_equal(write_at(c, 0, 3, "and on", 6), 0);
}

/* Passes that ended after *ctx. */
static bool pass_ended(struct cluster *c, void *ctx)
{
    for (int i = 0; i < NODES; i++)
        if (status_of(c, i).ended_ns <= *(int64_t *)ctx)
            return false;
    return true;
}

static void progress_is_told(void **state)
{
    struct cluster *c = *state;
    int64_t before = clock_wall_ns(clock_system());
    struct scrub_status s;

    assert_int_equal(write_at(c, 0, 0, "abcd", 4), 0);
    assert_true(wait_for(c, pass_ended, &before));
    before = clock_wall_ns(clock_system()); /* The next one begins after the write. */
    assert_true(wait_for(c, pass_ended, &before));
    s = status_of(c, 1);
    assert_true(s.began_ns > 0 && s.bytes_total > 0);
    assert_int_equal(s.bytes_done, s.bytes_total);
    assert_int_equal(s.bad, 0);
    assert_int_equal(s.differing, 0);
}

static bool no_unsynced_left(struct cluster *c, void *ctx)
{
    (void)ctx;
    for (int i = 0; i < NODES; i++) {
        struct chunk_state st;

        if (store_chunk_state(store_target_at(c->nodes[i].dn->store, 0), (struct chunk_id){CHUNK},
                              &st) < 0 ||
            st.flags != 0)
            return false;
    }
    return true;
}

static void nothing(void *ctx, int status, uint32_t crc)
{
    (void)crc;
    *(int *)ctx = status;
}

static bool was_written(struct cluster *c, void *ctx)
{
    (void)c;
    return *(int *)ctx <= 0;
}

static bool was_told(struct cluster *c, void *ctx)
{
    return strstr(c->bad_what, ctx) != NULL;
}

/* With its CRC and its version, but other bytes: only the comparison with the others can tell. */
static void a_copy_that_differs_is_told(void **state)
{
    struct cluster *c = *state;
    struct slab *slab = slab_alloc(c->slabs, 4096);
    struct store_write w = {.chunk = {CHUNK}, .pg = {PG}, .len = 4096, .flags = STORE_COPY};
    uint32_t crc;
    int status = 1;

    memset(slab->data, 'x', 4096);
    crc = crc32c(slab->data, 4096);
    w.crcs = &crc;
    w.crc_count = 1;
    w.bytes = slab->data;
    w.slab = slab;
    assert_int_equal(write_at(c, 0, 0, "abcd", 4), 0);
    store_write(store_target_at(c->nodes[2].dn->store, 0), &w, nothing, &status);
    slab_unref(slab);
    assert_true(wait_for(c, was_written, &status));
    assert_int_equal(status, 0);
    /* Until they are at rest nobody may say so. */
    assert_false(wait_for(c, was_told, (void *)(uintptr_t) "differs"));
    assert_true(wait_for(c, no_unsynced_left, NULL));
    assert_true(
        wait_for(c, was_told, (void *)(uintptr_t) "the copy differs from that of target 3"));
    assert_true(status_of(c, 0).differing > 0);
}

static void the_place_is_kept_and_checked(void **state)
{
    const struct scrub_place in = {.began_ns = INT64_MAX,
                                   .ended_ns = -1,
                                   .pg = UINT32_MAX,
                                   .chunk = UINT64_MAX,
                                   .bytes_done = UINT64_MAX,
                                   .bad = UINT64_MAX,
                                   .differing = UINT64_MAX};
    struct scrub_place out;
    char text[SCRUB_TEXT_MAX], again[SCRUB_TEXT_MAX];
    size_t len = scrub_place_format(&in, text);

    (void)state;
    assert_true(len < SCRUB_TEXT_MAX - 1);
    assert_int_equal(scrub_place_parse(text, len, &out), 0);
    assert_int_equal(scrub_place_format(&out, again), len); /* Each field is in the text. */
    assert_string_equal(again, text);
    for (size_t i = 0; i < len; i++) {
        text[i] ^= 4;
        assert_int_equal(scrub_place_parse(text, len, &out), -EBADMSG);
        text[i] ^= 4;
        assert_int_equal(scrub_place_parse(text, i, &out), -EBADMSG);
    }
}

/* A pass that began before a restart goes on after it. */
static void a_restart_does_not_begin_anew(void **state)
{
    struct cluster *c = *state;
    const struct scrub_place place = {
        .began_ns = clock_wall_ns(clock_system()), .pg = PG, .chunk = 5, .bytes_done = 77};
    char path[160], text[SCRUB_TEXT_MAX];
    FILE *f;

    assert_int_equal(write_at(c, 0, 0, "abcd", 4), 0);
    kill_node(c, 1);
    (void)snprintf(path, sizeof(path), "%s/scrub", c->nodes[1].dir);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fwrite(text, 1, scrub_place_format(&place, text), f) > 0);
    assert_int_equal(fclose(f), 0);
    c->nodes[1].conf.scrub_period_ms = 3600 * 1000;
    start(c, 1);
    assert_true(wait_for(c, all_registered, NULL));
    assert_true(status_of(c, 1).began_ns == place.began_ns);
    assert_true(status_of(c, 1).bytes_done == 0 || status_of(c, 1).bytes_done >= 77);
    for (int64_t before = 0; status_of(c, 1).ended_ns <= before;)
        loop_run_once(c->loop, true);
    assert_true(status_of(c, 1).began_ns == place.began_ns);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup_scrub, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(damage_that_nobody_reads_is_healed), TEST(progress_is_told),
        TEST(a_copy_that_differs_is_told),        cmocka_unit_test(the_place_is_kept_and_checked),
        TEST(a_restart_does_not_begin_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
