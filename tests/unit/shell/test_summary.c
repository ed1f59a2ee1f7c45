/* What the report of a cluster means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "shell/report.h"
#include "shell/summary.h"

enum { REPORT_MAX = 4096 };

/* One group; states of its members; more fields of the report, each ending in a comma. */
static struct summary summary_of(const char *more, const char *a, const char *b, const char *c)
{
    char text[REPORT_MAX];
    struct summary s;
    json_t *j;

    snprintf(text, sizeof(text),
             "{%s\"serving\": true, \"pgs\": [{\"pg\": 1, \"copies\": 3, \"min_write\": 2, "
             "\"members\": [{\"target\": 1, \"state\": \"%s\"}, {\"target\": 2, \"state\": \"%s\"},"
             " {\"target\": 3, \"state\": \"%s\"}]}],"
             " \"targets\": [{\"target\": 1, \"state\": \"active\"}]}",
             more, a, b, c);
    j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(j);
    assert_int_equal(summary_make(j, &s), 0);
    json_decref(j);
    return s;
}

static void all_copies_serving_is_well(void **state)
{
    struct summary s = summary_of("", "serving", "serving", "serving");

    (void)state;
    assert_int_equal(s.full, 1);
    assert_int_equal(s.problem_count, 0);
    assert_string_equal(s.verdict, "All data is fully replicated.");
}

static void a_missing_copy_endangers(void **state)
{
    struct summary s = summary_of("", "serving", "serving", "syncing");

    (void)state;
    assert_int_equal(s.degraded, 1);
    assert_int_equal(s.member_syncing, 1);
    assert_int_equal(s.problem_count, 1);
    assert_string_equal(
        s.verdict, "Data in 1 placement group is endangered: one more failure may stop writes.");
}

/* What is nearest to loss is told first. */
static void the_last_copy_is_told_first(void **state)
{
    struct summary s = summary_of("", "serving", "offline", "offline");

    (void)state;
    assert_int_equal(s.unwritable, 1);
    assert_int_equal(s.last_copy, 1);
    assert_non_null(strstr(s.problems[0], "LAST COPY"));
    assert_string_equal(s.verdict,
                        "Data in 1 placement group is endangered: one more failure may lose it.");
}

/* So that one knows which datanode to bring back first. */
static void endangered_groups_are_named_with_their_targets(void **state)
{
    struct summary s = summary_of("", "offline", "serving", "offline");

    (void)state;
    assert_string_equal(
        s.problems[0], "1 of 1 placement groups are served by their LAST COPY: group 1 (target 2)");
    s = summary_of("", "offline", "offline", "syncing");
    assert_string_equal(s.problems[0],
                        "1 of 1 placement groups are DOWN: no copy serves, their data cannot be "
                        "read now: group 1 (targets 1, 2, 3)");
}

static struct summary summary_of_many(unsigned count, const char *target_state)
{
    json_t *pgs = json_array(), *report;
    struct summary s;

    for (unsigned i = 0; i < count; i++)
        json_array_append_new(pgs, json_pack("{s:i, s:i, s:i, s:[{s:i, s:s}, {s:i, s:s}]}", "pg",
                                             (int)i + 4000000, "copies", 3, "min_write", 2,
                                             "members", "target", 1, "state", "serving", "target",
                                             (int)i + 4000000, "state", "serving"));
    report = json_pack("{s:b, s:o, s:[{s:i, s:s, s:s, s:s}]}", "serving", 1, "pgs", pgs, "targets",
                       "target", 1, "state", target_state, "node", "dn1", "addr", "a:1");
    assert_int_equal(summary_make(report, &s), 0);
    json_decref(report);
    return s;
}

static void of_many_endangered_groups_a_few_are_named(void **state)
{
    struct summary s = summary_of_many(8, "silent");

    (void)state;
    assert_int_equal(s.last_copy, 8);
    assert_non_null(strstr(s.problems[0], ", group 4000007 (target 4000007)"));
    assert_null(strstr(s.problems[0], "more"));
    s = summary_of_many(20, "silent");
    assert_null(strstr(s.problems[0], "group 4000008"));
    assert_non_null(strstr(s.problems[0], "(target 4000007), and 12 more"));
}

/* A group keeps the last that served, though it is dead: it was called served by its last copy. */
static void a_silent_target_serves_nothing(void **state)
{
    static const char text[] =
        "{\"serving\": true, \"pgs\": [{\"pg\": 1, \"copies\": 2, \"min_write\": 1, \"members\": "
        "[{\"target\": 1, \"state\": \"serving\"}, {\"target\": 2, \"state\": \"offline\"}]}], "
        "\"targets\": [{\"target\": 1, \"state\": \"silent\"}, {\"target\": 2, \"state\": "
        "\"active\"}]}";
    json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    struct summary s;

    (void)state;
    assert_int_equal(summary_make(j, &s), 0);
    assert_int_equal(s.down, 1);
    assert_int_equal(s.last_copy, 0);
    assert_non_null(strstr(s.problems[0], "DOWN"));
    assert_non_null(strstr(s.problems[0], ": group 1 (target 1)"));
    json_decref(j);
}

static void an_older_namenode_is_named(void **state)
{
    const char *const group = "\"format\": %d, \"namenodes\": ["
                              "{\"id\": 1, \"addr\": \"h:1\", \"alive\": true, \"format\": 2}, "
                              "{\"id\": 2, \"addr\": \"h:2\", \"alive\": true, \"format\": 0}],";
    char more[512];
    struct summary s;

    (void)state;
    (void)snprintf(more, sizeof(more), group, 1);
    s = summary_of(more, "serving", "serving", "serving");
    assert_int_equal(s.problem_count, 1);
    assert_string_equal(s.problems[0], "namenode 2 (h:2) runs an older release: quotas and what "
                                       "else is new wait for it");
    /* The log is past that already: it is merely not connected at the moment. */
    (void)snprintf(more, sizeof(more), group, 2);
    s = summary_of(more, "serving", "serving", "serving");
    assert_int_equal(s.problem_count, 0);
}

static void no_copy_is_down(void **state)
{
    struct summary s = summary_of("", "offline", "offline", "syncing");

    (void)state;
    assert_int_equal(s.down, 1);
    assert_non_null(strstr(s.problems[0], "DOWN"));
    assert_non_null(strstr(s.verdict, "cannot be read"));
}

static void servers_that_are_away_are_problems_but_no_loss(void **state)
{
    struct summary s = summary_of("\"namenodes\": [{\"id\": 2, \"addr\": \"h:1\", \"role\": "
                                  "\"follower\", \"alive\": false}],",
                                  "serving", "serving", "serving");

    (void)state;
    assert_int_equal(s.namenodes_down, 1);
    assert_string_equal(s.problems[0], "namenode 2 (h:1) is down");
    assert_string_equal(s.verdict,
                        "All data is fully replicated, but 1 part of the cluster needs attention.");
}

static void damage_counts_until_it_is_healed(void **state)
{
    struct summary s = summary_of(
        "\"bad_blocks\": [{\"target\": 1, \"chunk\": 5, \"block\": 2, \"what\": \"crc\", "
        "\"healed\": false}, {\"target\": 1, \"chunk\": 6, \"block\": 2, \"healed\": true}],",
        "serving", "serving", "serving");

    (void)state;
    assert_int_equal(s.bad_blocks, 2);
    assert_int_equal(s.bad_healed, 1);
    assert_int_equal(s.problem_count, 1);
    assert_string_equal(s.verdict, "All data is there, but 1 damaged block is not healed yet.");
}

static void what_keeps_a_namenode_back_is_told(void **state)
{
    struct summary s = summary_of("\"namenodes\": [{\"id\": 4, \"addr\": \"h:1\", \"role\": "
                                  "\"learner\", \"alive\": true, \"problem\": \"no room\"}],",
                                  "serving", "serving", "serving");

    (void)state;
    assert_int_equal(s.problem_count, 1);
    assert_string_equal(s.problems[0], "namenode 4 (h:1): no room");
    assert_int_equal(s.namenodes_down, 0);
}

static void progress_is_summed(void **state)
{
    struct summary s = summary_of("\"syncing\": [{\"pg\": 1, \"bytes_done\": 3, \"bytes_total\": "
                                  "10, \"bytes_per_s\": 2}, {\"pg\": 2, "
                                  "\"bytes_done\": 4, \"bytes_total\": 5}],",
                                  "serving", "serving", "syncing");

    (void)state;
    assert_int_equal(s.sync_done, 7);
    assert_int_equal(s.sync_total, 15);
    assert_int_equal(s.sync_rate, 2);
}

static void what_is_no_report_is_refused(void **state)
{
    json_t *j = json_loads("{\"pgs\": 3}", 0, NULL);
    struct summary s;

    (void)state;
    assert_int_equal(summary_make(j, &s), -EINVAL);
    json_decref(j);
}

static void a_cluster_without_groups_is_not_well(void **state)
{
    json_t *j = json_loads("{\"serving\": true, \"pgs\": [], \"targets\": []}", 0, NULL);
    struct summary s;

    (void)state;
    assert_int_equal(summary_make(j, &s), 0);
    assert_int_equal(s.problem_count, 1);
    assert_string_equal(s.verdict, "No data can be stored yet.");
    json_decref(j);
}

/* Seen: df showed room, writes failed, and the report had nothing to say. */
static void a_nearly_full_disk_is_a_problem(void **state)
{
    static const char format[] =
        "{\"serving\": true, \"pgs\": [{\"pg\": 1, \"copies\": 1, \"min_write\": 1, \"members\": "
        "[{\"target\": 1, \"state\": \"serving\"}]}], \"targets\": [{\"target\": 1, \"state\": "
        "\"active\", \"node\": \"dn1\", \"addr\": \"a:1\", \"bytes_total\": 1000, \"bytes_free\": "
        "%d}]}";

    (void)state;
    for (int left = 99; left <= 100; left++) {
        char text[REPORT_MAX];
        struct summary s;
        json_t *j;

        snprintf(text, sizeof(text), format, left);
        j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
        assert_int_equal(summary_make(j, &s), 0);
        assert_int_equal(s.problem_count, left < 100);
        if (left < 100)
            assert_non_null(strstr(s.problems[0], "(datanode dn1, a:1) is nearly full"));
        json_decref(j);
    }
}

/* fsck goes on with the next copy instead of waiting for a datanode that is away. */
static void only_a_target_that_is_heard_has_an_address(void **state)
{
    json_t *j = json_loads("{\"targets\": ["
                           "{\"target\": 1, \"state\": \"silent\", \"addr\": \"a:1\"},"
                           "{\"target\": 2, \"state\": \"draining\", \"addr\": \"b:2\"}]}",
                           JSON_REJECT_DUPLICATES, NULL);

    (void)state;
    assert_non_null(j);
    assert_null(report_target_addr(j, 1));
    assert_string_equal(report_target_addr(j, 2), "b:2");
    assert_null(report_target_addr(j, 3));
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_nearly_full_disk_is_a_problem),
        cmocka_unit_test(all_copies_serving_is_well),
        cmocka_unit_test(a_missing_copy_endangers),
        cmocka_unit_test(the_last_copy_is_told_first),
        cmocka_unit_test(endangered_groups_are_named_with_their_targets),
        cmocka_unit_test(of_many_endangered_groups_a_few_are_named),
        cmocka_unit_test(a_silent_target_serves_nothing),
        cmocka_unit_test(an_older_namenode_is_named),
        cmocka_unit_test(no_copy_is_down),
        cmocka_unit_test(servers_that_are_away_are_problems_but_no_loss),
        cmocka_unit_test(damage_counts_until_it_is_healed),
        cmocka_unit_test(what_keeps_a_namenode_back_is_told),
        cmocka_unit_test(progress_is_summed),
        cmocka_unit_test(what_is_no_report_is_refused),
        cmocka_unit_test(a_cluster_without_groups_is_not_well),
        cmocka_unit_test(only_a_target_that_is_heard_has_an_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
