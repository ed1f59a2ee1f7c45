/* A snapshot on its way, and what may happen to those at its two ends. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/limits.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/vfs.h"
#include "namenode/node.h"
#include "namenode/node_conf.h"
#include "tests/unit/namenode/node_group.h"

/* So slow that there is a middle: a piece of 512 KiB, and then nothing for a while. */
enum { RATE = 1 << 20 };

static int setup(void **state)
{
    group_snapshot_rate = RATE;
    return group_setup(state);
}

static int add_size(void *ctx, const char *name, bool is_dir)
{
    struct vfs_stat st;
    char path[200];
    const char **dir = ctx;

    (void)is_dir;
    (void)snprintf(path, sizeof(path), "%s/%s", dir[0], name);
    if (vfs_stat(vfs_posix(), path, &st) == 0)
        *(uint64_t *)(uintptr_t)dir[1] += st.size;
    return 0;
}

/* Bytes that have arrived at the one that lags. */
static uint64_t bytes_here(struct group *g)
{
    char dir[160];
    uint64_t bytes = 0;
    const char *ctx[2] = {dir, (const char *)&bytes};

    (void)snprintf(dir, sizeof(dir), "%s/snap-in", g->r[lagging].conf.data_dir);
    (void)vfs_list(vfs_posix(), dir, add_size, ctx);
    return bytes;
}

static bool some_is_here(struct group *g)
{
    return bytes_here(g) >= 256 << 10;
}

static void begin_to_fetch(struct group *g)
{
    WAIT_FOR(g, cluster_is_made);
    fall_behind(g);
    replica_up(g, lagging);
    WAIT_FOR(g, some_is_here);
    assert_int_equal(node_stats(g->r[lagging].node)->snapshots_installed, 0);
}

static int damage(void *ctx, const char *name, bool is_dir)
{
    char path[200];
    struct vfs_stat st;
    struct vfs_file *f;

    (void)is_dir;
    (void)snprintf(path, sizeof(path), "%s/%s", (const char *)ctx, name);
    if (vfs_stat(vfs_posix(), path, &st) < 0 || st.size < 8192)
        return 0;
    assert_int_equal(vfs_open(vfs_posix(), path, O_RDWR, 0, &f), 0);
    assert_int_equal(vfs_pwrite(f, "XXXXXXXX", 8, 4096), 0);
    vfs_close(f);
    return 1; /* One is enough. */
}

/* And what is wrong with it is noticed at the end, and fetched anew. */
static void what_was_fetched_before_a_restart_is_not_fetched_again(void **state)
{
    struct group *g = *state;
    char dir[160];
    uint64_t bytes;

    begin_to_fetch(g);
    replica_down(g, lagging);
    bytes = bytes_here(g);
    (void)snprintf(dir, sizeof(dir), "%s/snap-in", g->r[lagging].conf.data_dir);
    assert_int_equal(vfs_list(vfs_posix(), dir, damage, dir), 1);
    replica_up(g, lagging);
    WAIT_FOR(g, snapshot_is_installed);
    assert_true(node_stats(g->r[lagging].node)->snapshot_kept_bytes >= bytes);
    assert_same_state(g);
}

/* The next leader has another checkpoint, with files of the same names and other content. */
static void a_leader_that_dies_in_the_middle_is_no_harm(void **state)
{
    struct group *g = *state;
    unsigned leader;

    begin_to_fetch(g);
    leader = (unsigned)leader_of(g);
    replica_down(g, leader);
    WAIT_FOR(g, snapshot_is_installed);
    assert_int_not_equal(leader_of(g), lagging);
    assert_same_state(g);
    replica_up(g, leader);
    assert_same_state(g);
}

static bool is_refused(struct group *g)
{
    struct raft_id id = {lagging + 1};
    uint64_t need, available;
    int leader = leader_of(g);

    return leader >= 0 && node_snapshot_is_refused(g->r[leader].node, id, &need, &available) &&
           need > available;
}

static void without_room_the_leader_is_told_and_it_is_tried_again(void **state)
{
    struct group *g = *state;

    WAIT_FOR(g, cluster_is_made);
    fall_behind(g);
    g->r[lagging].conf.snapshot_spare_bytes = UINT64_MAX / 2;
    replica_up(g, lagging);
    WAIT_FOR(g, is_refused);
    assert_int_equal(bytes_here(g), 0);
    g->r[lagging].conf.snapshot_spare_bytes = 0;
    WAIT_FOR(g, snapshot_is_installed);
    assert_false(is_refused(g));
    assert_same_state(g);
}

/* ---- a leader whose store is damaged where nobody has read since ---- */

/* It ends in that; so this is a process of its own, whose directories the test looks at. */
static int lead_on_rot(const char *dir, bool in_the_middle)
{
    const struct rlimit no_core = {0, 0};
    struct group *g;
    void *state;

    (void)setrlimit(RLIMIT_CORE, &no_core);
    group_dir = dir;
    group_snapshot_rate = in_the_middle ? RATE : 0;
    (void)group_setup(&state);
    g = state;
    WAIT_FOR(g, cluster_is_made);
    fall_behind(g);
    if (!in_the_middle)
        flip_bit_of_a_table(g, (unsigned)leader_of(g));
    replica_up(g, lagging);
    if (in_the_middle) {
        WAIT_FOR(g, some_is_here);
        flip_bit_of_a_table(g, (unsigned)leader_of(g));
    }
    WAIT_FOR(g, snapshot_is_installed);
    return EXIT_SUCCESS; /* It is, and has the damage in it. */
}

static bool has_diverged(struct group *g, unsigned i)
{
    struct vfs_stat st;
    char path[200];

    (void)snprintf(path, sizeof(path), "%s/DIVERGED", g->r[i].conf.data_dir);
    return vfs_stat(vfs_posix(), path, &st) == 0;
}

static bool all_are_up_to_date(struct group *g)
{
    for (unsigned i = 0; i < NODES; i++) {
        if (has_diverged(g, i))
            return false;
    }
    return all_equal(g);
}

static void lead_on_rot_and_go_on(void **state, const char *when)
{
    char dir[] = "/tmp/dfs-test-snap-XXXXXX";
    struct group *g;
    int status;
    pid_t child;

    assert_non_null(mkdtemp(dir));
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)execl("/proc/self/exe", "test_snapshot", dir, when, (char *)NULL);
        _exit(4);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);

    group_dir = dir;
    group_snapshot_rate = 0;
    (void)group_setup(state);
    group_dir = NULL;
    g = *state;
    WAIT_FOR(g, all_are_up_to_date);
    assert_same_state(g);
    for (unsigned i = 0, installed = 0; i < NODES; i++) {
        installed += node_stats(g->r[i].node)->snapshots_installed > 0;
        assert_true(i < NODES - 1 || installed == 2); /* The one that led, the one that lagged. */
    }
    (void)group_teardown(state);
}

/* Its checkpoint has the same files, and their hashes are those of the damaged bytes: it is offered to
 * nobody. The leader ends; the others have it all. */
static void a_damaged_store_is_never_sent(void **state)
{
    lead_on_rot_and_go_on(state, "before");
}

/* What arrives has not the hash that was told: it would be fetched again for ever. */
static void what_rots_on_its_way_is_read_anew(void **state)
{
    lead_on_rot_and_go_on(state, "in the middle");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, group_teardown)
        T(what_was_fetched_before_a_restart_is_not_fetched_again),
        T(a_leader_that_dies_in_the_middle_is_no_harm),
        T(without_room_the_leader_is_told_and_it_is_tried_again),
        cmocka_unit_test(a_damaged_store_is_never_sent),
        cmocka_unit_test(what_rots_on_its_way_is_read_anew),
    };

    if (argc == 3)
        return lead_on_rot(argv[1], strcmp(argv[2], "before") != 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
