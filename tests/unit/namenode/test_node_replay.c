/* A replica that starts with much to replay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/compiler.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "tests/unit/namenode/node_group.h"

static int setup_alone(void **state)
{
    return group_make(state, 1, ELECTION_MS);
}

/* As kill -9 leaves it: what was not flushed is in the log only. */
static void replica_killed(struct group *g, unsigned i)
{
    const char *dir = g->r[i].conf.data_dir;
    char *copy = mem_printf("cp -a %s %s.killed", dir, dir);
    char *swap = mem_printf("rm -r %s && mv %s.killed %s", dir, dir, dir);

    assert_int_equal(system(copy), 0);
    replica_down(g, i);
    assert_int_equal(system(swap), 0);
    free(copy);
    free(swap);
}

/*
 * Who has a long log to replay has its connections and timers looked after meanwhile. It did not:
 * clients that asked it after another had died stood still until it had done, and it believed that
 * nobody led.
 */
static void a_long_replay_lets_others_have_their_turn(void **state)
{
    struct group *g = *state;
    uint64_t index, most = 0, turns = 0;

    for (unsigned i = 0; i < 1500; i++)
        propose_many(g, 1);
    index = node_applied_index(g->r[0].node);
    replica_killed(g, 0);
    replica_up(g, 0);
    while (node_applied_index(g->r[0].node) < index) {
        uint64_t before = node_applied_index(g->r[0].node);

        loop_run_once(g->loop, true);
        most = MAX(most, node_applied_index(g->r[0].node) - before);
        turns += node_applied_index(g->r[0].node) > before;
    }
    assert_in_range(most, 1, 1024); /* Two slices, by a timer in between. */
    assert_in_range(turns, 2, 1500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_long_replay_lets_others_have_their_turn, setup_alone,
                                        group_teardown),
    };

    if (!getenv("DFS_TEST_LOG"))
        log_init("test_node_replay", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
