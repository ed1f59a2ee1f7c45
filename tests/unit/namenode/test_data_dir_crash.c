/*
 * The data directory with its log at every crash point of a replica's life: made, told its cluster
 * and its members, given a snapshot, found damaged and given another, found damaged and filled again
 * from the log. The story stops at its first, second, ... call that changes the disk, and the power
 * fails, or the process alone is killed; half of the starts that follow are cut off as well.
 *
 * Then everything opens. Each fact is the last one that was acknowledged or the one that was on its
 * way; the log joins on to the store (I9), which is the old or the new one (I10); a second start,
 * after a power failure, finds the same.
 *
 * DFS_SEEDS=n: so many seeds for each point; for every second one names survive in any order. The
 * number of points is printed.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/rng.h"
#include "common/vfs_fake.h"
#include "namenode/data_dir.h"
#include "namenode/raft_log.h"

enum { SEEDS = 8, STEPS = 9 };

/* What a start finds. */
struct facts {
    struct raft_uuid uuid, cluster;
    unsigned members; /* how many there are: each change has another number */
    char store;       /* its content; '-' none */
    bool is_diverged;
};

struct replica {
    struct vfs_fake *disk;
    struct vfs *vfs;
    struct data_dir *dir;
    struct raft_log *log;
    struct raft_log_boot boot;
    bool is_dead;
    struct facts acked, want;
};

/* The index that a store's content is of. */
static uint64_t index_of(char store)
{
    return store == '1' ? 20 : store == '2' ? 100 : store == '3' || store == '4' ? 200 : 0;
}

static struct raft_conf conf_of(unsigned count)
{
    struct raft_conf c = {.count = count};

    for (unsigned i = 0; i < count; i++) {
        c.members[i] = (struct raft_member){.id = {i + 1}, .voter = true};
        (void)snprintf(c.members[i].addr, sizeof(c.members[i].addr), "h%u:1", i);
    }
    return c;
}

static void ignore_durable(void *ctx, uint64_t write_id)
{
    (void)ctx;
    (void)write_id;
}

static void on_fatal(void *ctx, const char *what, int error)
{
    struct replica *p = ctx;

    (void)what;
    (void)error;
    p->is_dead = true;
}

static int open_dir(struct replica *p)
{
    struct raft_conf founders = conf_of(3);
    struct raft_id other = RAFT_NOBODY;

    return data_dir_open(p->vfs, "/nn", (struct raft_id){1}, &founders, &p->dir, &other);
}

static int open_log(struct replica *p)
{
    struct raft_log_config c;

    raft_log_config_init(&c);
    c.vfs = p->vfs;
    c.dir = "/nn/log";
    c.segment_bytes = 16 << 10;
    c.segments_min = 1;
    c.direct = false;
    c.durable = ignore_durable;
    c.fatal = on_fatal;
    c.ctx = p;
    return raft_log_open(&c, &p->boot, &p->log);
}

static void append(struct replica *p, unsigned count)
{
    struct raft_buf *b = raft_buf_new(300);
    struct raft_update up = {.write_id = 1, .entry_count = count};
    struct raft_entry entries[32];

    memset(b->data, 'e', b->len);
    for (unsigned i = 0; i < count; i++)
        entries[i] = (struct raft_entry){.index = raft_log_last_index(p->log) + 1 + i,
                                         .term = 1,
                                         .type = RAFT_ENTRY_NORMAL,
                                         .buf = b};
    up.entries = entries;
    raft_log_append_async(p->log, &up);
    raft_log_pump(p->log, true);
    raft_buf_unref(b);
}

static int put_state(struct replica *p, const char *dir, char content)
{
    char path[600];
    int r = vfs_mkdir_all(p->vfs, dir, 0700);

    (void)snprintf(path, sizeof(path), "%s/state", dir);
    return r < 0 ? r : vfs_replace_file(p->vfs, path, &content, 1, 0600);
}

/* As node.c does it: the swap, then R8 on the log, then the old store. */
static int swap(struct replica *p, char content, unsigned members)
{
    struct raft_point point = {.index = index_of(content), .term = 1, .conf = conf_of(members)};
    int r = put_state(p, "/nn/snap-in", content);

    if (r == 0)
        r = vfs_sync_dir(p->vfs, "/nn/snap-in");
    p->want.store = content;
    p->want.members = members;
    p->want.is_diverged = false;
    if (r == 0)
        r = data_dir_install(p->dir, &point);
    if (r < 0)
        return r;
    raft_log_reset(p->log, point.index);
    raft_log_pump(p->log, true);
    return p->is_dead ? -EIO : data_dir_remove_old(p->dir);
}

/* Found damaged: the next start has an empty store, and nothing of the log counts. */
static int set_aside(struct replica *p)
{
    uint64_t last = raft_log_last_index(p->log);
    int r;

    p->want.is_diverged = true;
    p->want.store = '-';
    r = data_dir_set_diverged(p->dir);
    if (r < 0)
        return r;
    data_dir_close(STEAL(p->dir));
    r = open_dir(p);
    if (r < 0)
        return r;
    raft_log_lose(p->log, &(struct raft_log_boot){.first_index = 1,
                                                  .last_index = last,
                                                  .last_term = p->boot.last_term});
    raft_log_pump(p->log, true);
    return p->is_dead ? -EIO : 0;
}

static int step(struct replica *p, unsigned number)
{
    struct raft_conf five = conf_of(5);
    int r = 0;

    switch (number) {
    case 0:
        r = open_dir(p);
        if (r == 0) {
            p->want.uuid = data_dir_uuid(p->dir);
            p->want.members = 3;
        }
        return r;
    case 1:
        r = open_log(p);
        if (r == 0)
            append(p, 20);
        return r;
    case 2:
        p->want.store = '1';
        return put_state(p, data_dir_store(p->dir), '1');
    case 3:
        p->want.cluster = (struct raft_uuid){{7}};
        return data_dir_set_cluster(p->dir, p->want.cluster);
    case 4:
        p->want.members = 5;
        return data_dir_add_members(p->dir, 10, &five);
    case 5:
        return swap(p, '2', 4);
    case 6:
        append(p, 5);
        return p->is_dead ? -EIO : set_aside(p);
    case 7:
        return swap(p, '3', 3);
    default:
        r = set_aside(p);
        if (r == 0) { /* In between, all of the log comes again. */
            raft_log_set_recovered(p->log);
            raft_log_pump(p->log, true);
            r = p->is_dead ? -EIO : put_state(p, data_dir_store(p->dir), '4');
        }
        p->want.store = '4';
        p->want.is_diverged = false;
        return r < 0 ? r : data_dir_set_sound(p->dir);
    }
}

/* As RocksDB does when it opens one. */
static void open_store(struct replica *p)
{
    int r = vfs_sync_dir(p->vfs, data_dir_store(p->dir));

    assert_true(r == 0 || r == -ENOENT);
}

static int note_store(void *ctx, const char *name, bool is_dir)
{
    *(unsigned *)ctx += is_dir && strncmp(name, "db-", 3) == 0;
    return 0;
}

static struct facts find_facts(struct replica *p)
{
    CLEANUP_BUF struct buf b = {0};
    struct facts f = {.store = '-'};
    struct raft_conf conf;
    unsigned stores = 0;
    char path[600];

    f.uuid = data_dir_uuid(p->dir);
    f.cluster = data_dir_cluster(p->dir);
    f.is_diverged = data_dir_is_diverged(p->dir);
    data_dir_members_at(p->dir, UINT64_MAX, &conf);
    f.members = conf.count;
    (void)snprintf(path, sizeof(path), "%s/state", data_dir_store(p->dir));
    if (vfs_read_file(p->vfs, path, 1, &b) == 0)
        f.store = (char)b.data[0];
    assert_int_equal(vfs_list(p->vfs, "/nn", note_store, &stores), 0);
    assert_true(f.is_diverged || stores <= 1);
    return f;
}

static bool is_uuid(const struct raft_uuid *is, const struct raft_uuid *a)
{
    return memcmp(is, a, sizeof(*is)) == 0;
}

static void check_facts(const struct replica *p, const struct facts *got, bool was_made)
{
    const struct facts *a = &p->acked, *w = &p->want;

    assert_true(!was_made || is_uuid(&got->uuid, &a->uuid));
    assert_true(is_uuid(&got->cluster, &a->cluster) || is_uuid(&got->cluster, &w->cluster));
    assert_true(!was_made || got->members == a->members || got->members == w->members);
    assert_true(got->is_diverged == a->is_diverged || got->is_diverged == w->is_diverged ||
                got->store == '-');
    /* An empty store in the place of one that was there is always said to be that. */
    if (got->store == '-')
        assert_true(got->is_diverged || a->store == '-');
    else
        assert_true(got->store == a->store || got->store == w->store);
    if (p->boot.faulty_from != 0)
        assert_true(a->is_diverged || got->is_diverged || got->store == w->store);
    if (!got->is_diverged && p->boot.last_index >= p->boot.first_index)
        assert_true(p->boot.first_index <= index_of(got->store) + 1);
}

static void power_failure(struct replica *p, struct rng *rng)
{
    raft_log_close(STEAL(p->log));
    data_dir_close(STEAL(p->dir));
    vfs_fake_crash(p->disk, rng);
    vfs_fake_stop_after(p->disk, UINT64_MAX);
}

/* The process alone is killed, or the power fails. */
static void crash(struct replica *p, struct rng *rng)
{
    if (rng_percent(rng, 50)) {
        power_failure(p, rng);
        return;
    }
    vfs_fake_kill(p->disk);
    raft_log_close(STEAL(p->log));
    data_dir_close(STEAL(p->dir));
}

static bool crash_and_check(uint64_t cut, uint64_t seed, unsigned points[STEPS + 1])
{
    struct replica p = {.disk = vfs_fake_new(), .acked.store = '-', .want.store = '-'};
    struct facts first, second;
    struct rng rng;
    unsigned done = 0;
    bool more;

    rng_seed(&rng, seed * 1000003 + cut);
    p.vfs = vfs_fake_vfs(p.disk);
    vfs_fake_set_names_any(p.disk, seed % 2 == 1);
    vfs_fake_stop_after(p.disk, cut);
    while (done < STEPS && step(&p, done) == 0 && !p.is_dead) {
        p.acked = p.want;
        done++;
    }
    more = vfs_fake_is_stopped(p.disk);
    points[done] += seed == 0 && more;
    crash(&p, &rng);
    if (rng_percent(&rng, 50)) {
        vfs_fake_stop_after(p.disk, rng_below(&rng, 24));
        if (open_dir(&p) == 0)
            (void)open_log(&p);
        crash(&p, &rng);
    }
    assert_int_equal(open_dir(&p), 0);
    assert_int_equal(open_log(&p), 0);
    open_store(&p);
    first = find_facts(&p);
    check_facts(&p, &first, done > 0);
    power_failure(
        &p, rng_percent(&rng, 50) ? NULL : &rng); /* What a start has found and told is durable. */
    assert_int_equal(open_dir(&p), 0);
    assert_int_equal(open_log(&p), 0);
    second = find_facts(&p);
    assert_true(is_uuid(&first.uuid, &second.uuid));
    assert_int_equal(first.members, second.members);
    assert_int_equal(first.store, second.store);
    assert_int_equal(first.is_diverged, second.is_diverged);
    power_failure(&p, &rng);
    vfs_fake_free(p.disk);
    return more;
}

static void every_crash_point_recovers(void **state)
{
    static const char *const names[STEPS] = {
        "make it",         "begin the log",    "fill the store",
        "set the cluster", "note members",     "swap to a snapshot",
        "set it aside",    "swap, after that", "set aside, refill"};
    const char *wanted = getenv("DFS_SEEDS");
    uint64_t seeds = wanted ? strtoull(wanted, NULL, 10) : SEEDS;
    unsigned points[STEPS + 1] = {0};
    bool more = true;

    (void)state;
    for (uint64_t cut = 0; more; cut++) {
        more = false;
        for (uint64_t seed = 0; seed < seeds; seed++)
            more = crash_and_check(cut, seed, points) || more;
    }
    for (unsigned i = 0; i < STEPS; i++)
        print_message("# %-20s %4u points, %" PRIu64 " images each\n", names[i], points[i], seeds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_crash_point_recovers),
    };

    if (!getenv("DFS_TEST_LOG"))
        log_init("test_data_dir_crash", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
