/*
 * Power failures under the real RocksDB. A replica's parts, data directory, log and state machine,
 * live through a story of entries, flushes, compactions, checkpoints and swaps to snapshots, in a
 * process whose calls are recorded (tests/shim/powerlog.h). For many points of that record a disk is
 * made as a power failure there would have left it: what was not synced is there, gone or torn,
 * names too, in order or in any outside of the stores. On each the replica starts again:
 *
 *  - everything opens, and nothing is called damaged;
 *  - store and applied index belong together: the store has the very bytes it had at that index (D1);
 *  - fsm_flushed() had not said more than what is there (the persisted tier), and so the log, which
 *    was cut behind it, joins on (I9);
 *  - a store that was swapped in is there, with all that its checkpoint was of;
 *  - what the log had told durable is in it, and replayed gives the same state again.
 */
#include "tests/unit/namenode/power_story.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/rng.h"
#include "common/vfs.h"
#include "common/vfs_fake.h"
#include "namenode/data_dir.h"
#include "namenode/kv_rocks.h"
#include "namenode/raft_log.h"
#include "namenode/snap_files.h"
#include "tests/shim/powerlog.h"
#include "tests/unit/namenode/fsm_fixture.h"

/* Between two flushes: some of the checkpoint was in memory alone. */
static const unsigned swap_at[] = {113, 192};

enum { ENTRIES = POWER_ENTRIES, SWAPS = sizeof(swap_at) / sizeof(swap_at[0]) };

static const struct kv_rocks_options small_store = {.cache_bytes = 1 << 20,
                                                    .memtable_bytes = 1 << 20};

struct replica {
    const char *path;
    struct data_dir *dir;
    struct kv *kv;
    struct fsm *fsm;
    struct raft_log *log;
    struct raft_log_boot boot;
    powerlog_mark_fn mark;
    uint64_t flushed;
};

static void say(struct replica *p, char what, uint64_t index, uint64_t hash)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "%c %" PRIu64 " %" PRIx64, what, index, hash);
    if (p->mark)
        p->mark(text);
}

static void on_durable(void *ctx, uint64_t write_id)
{
    say(ctx, 'D', write_id, 0);
}

static int open_store(struct replica *p)
{
    int r = kv_rocks_open(data_dir_store(p->dir), &small_store, &p->kv);

    return r < 0 ? r : fsm_open(p->kv, &p->fsm);
}

static int open_replica(struct replica *p)
{
    struct raft_conf founders = {.count = 1, .members[0] = {.id = {1}, .addr = "h:1"}};
    struct raft_id other = RAFT_NOBODY;
    struct raft_log_config c;
    int r;

    founders.members[0].voter = true;
    r = data_dir_open(vfs_posix(), p->path, (struct raft_id){1}, &founders, &p->dir, &other);
    if (r == 0)
        r = open_store(p);
    if (r < 0)
        return r;
    raft_log_config_init(&c);
    c.vfs = vfs_posix();
    c.dir = data_dir_path(p->dir, "log");
    c.segment_bytes = 64 << 10;
    c.segments_min = 1;
    c.direct = false;
    c.durable = on_durable;
    c.ctx = p;
    return raft_log_open(&c, &p->boot, &p->log);
}

static void close_replica(struct replica *p)
{
    raft_log_close(STEAL(p->log));
    fsm_close(STEAL(p->fsm));
    kv_close(STEAL(p->kv));
    data_dir_close(STEAL(p->dir));
}

/* ---- the story ---- */

static ProtobufCBinaryData name_of(uint64_t number, char out[400])
{
    int len = snprintf(out, 400, "d%03" PRIu64 "-%0220d", number, 0);

    return (ProtobufCBinaryData){.data = (uint8_t *)out, .len = (size_t)len};
}

/* Makes directories, and removes every third again. */
static uint8_t *batch_of(uint64_t index, size_t *ret_len)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT, *reqs[] = {&req};
    Dfs__ClusterInitOp init = DFS__CLUSTER_INIT_OP__INIT;
    Dfs__CreateOp make = DFS__CREATE_OP__INIT;
    Dfs__RmdirOp remove = DFS__RMDIR_OP__INIT;
    Dfs__Cred cred = DFS__CRED__INIT;
    uint8_t uuid[16] = "cluster-uuid-16";
    char name[400];

    req.cred = &cred;
    if (index == 1) {
        init.cluster_uuid = init.data_key = (ProtobufCBinaryData){.data = uuid, .len = 16};
        init.copies = 3;
        init.min_write = 2;
        init.pgs_per_target = 8;
        req.op_case = DFS__META_REQUEST__OP_CLUSTER_INIT;
        req.cluster_init = &init;
    } else if (index % 3 == 0) {
        remove.parent = ROOT;
        remove.name = name_of(index - 1, name);
        req.op_case = DFS__META_REQUEST__OP_RMDIR;
        req.rmdir = &remove;
    } else {
        make.parent = ROOT;
        make.name = name_of(index, name);
        make.mode = S_IFDIR | 0755;
        req.op_case = DFS__META_REQUEST__OP_CREATE;
        req.create = &make;
    }
    return fx_batch((int64_t)(index * 1000), reqs, 1, ret_len);
}

static int add_entry(struct replica *p, uint64_t index)
{
    size_t len;
    uint8_t *bytes = batch_of(index, &len);
    struct raft_buf *buf = raft_buf_copy(bytes, (uint32_t)len);
    struct raft_entry e = {.index = index, .term = 1, .type = RAFT_ENTRY_NORMAL, .buf = buf};
    struct raft_update up = {.write_id = index, .entries = &e, .entry_count = 1};
    int r;

    raft_log_append_async(p->log, &up);
    raft_log_pump(p->log, index % 2 == 0);
    r = fsm_apply(p->fsm, index, 1, bytes, len, NULL, NULL);
    raft_buf_unref(buf);
    free(bytes);
    say(p, 'H', index, fx_store_hash(p->kv));
    return r;
}

/* As node_care.c does it. */
static int care(struct replica *p, uint64_t index)
{
    struct fsm_pos pos;
    int r = index % 5 == 0 ? fsm_flush(p->fsm, index % 20 == 0) : 0;

    if (r == 0)
        r = fsm_flushed(p->fsm, &pos);
    if (r < 0)
        return r;
    if (pos.index > p->flushed) {
        p->flushed = pos.index;
        say(p, 'F', pos.index, 0);
        (void)raft_log_compact(p->log, pos.index);
        raft_log_pump(p->log, false);
    }
    return 0;
}

/* As snap_sender.c, snap_receiver.c and node.c do it, in one directory. */
static int swap(struct replica *p, uint64_t index)
{
    struct raft_point point = {.index = index, .term = 1};
    struct snap_files files = {0};
    char in[600];
    int r;

    data_dir_members_at(p->dir, index, &point.conf);
    (void)snprintf(in, sizeof(in), "%s", data_dir_path(p->dir, "snap-in"));
    r = fsm_checkpoint(p->fsm, in);
    if (r == 0)
        r = snap_files_scan(vfs_posix(), in, &files);
    for (size_t i = 0; i < files.count && r == 0; i++)
        r = snap_file_verify(vfs_posix(), in, &files.list[i]);
    snap_files_done(&files);
    if (r == 0)
        r = vfs_sync_dir(vfs_posix(), in);
    fsm_close(STEAL(p->fsm));
    kv_close(STEAL(p->kv));
    if (r == 0)
        r = data_dir_install(p->dir, &point);
    if (r == 0)
        r = open_store(p);
    if (r < 0)
        return r;
    say(p, 'S', index, fx_store_hash(p->kv));
    r = data_dir_remove_old(p->dir);
    raft_log_reset(p->log, index);
    raft_log_pump(p->log, false);
    return r;
}

int power_live(const char *path)
{
    struct replica p = {.path = path};
    int r = open_replica(&p);

    p.mark = (powerlog_mark_fn)dlsym(RTLD_DEFAULT, "powerlog_mark");
    if (!p.mark)
        return 2;
    for (uint64_t i = 1; i <= ENTRIES && r == 0; i++) {
        r = add_entry(&p, i);
        if (r == 0)
            r = care(&p, i);
        for (unsigned s = 0; s < SWAPS && r == 0; s++) {
            if (i == swap_at[s])
                r = swap(&p, i);
        }
    }
    close_replica(&p);
    return r == 0 ? 0 : 1;
}

/* ---- what is left of it ---- */

void power_on_mark(void *ctx, const char *text)
{
    struct power_marks *m = ctx;
    uint64_t index, hash;
    char what;

    assert_int_equal(sscanf(text, "%c %" SCNu64 " %" SCNx64, &what, &index, &hash), 3);
    if (what == 'D')
        m->durable = index;
    else if (what == 'F')
        m->flushed = index;
    else if (what == 'S')
        m->swapped = index;
    else
        m->hashes[index] = hash;
}

struct refill {
    struct replica *p;
    unsigned count;
};

static int replay_entry(void *ctx, const struct raft_entry *e)
{
    struct refill *f = ctx;

    if (e->index <= fsm_applied(f->p->fsm).index)
        return 0;
    assert_int_equal(e->index, fsm_applied(f->p->fsm).index + 1);
    f->count++;
    return fsm_apply(f->p->fsm, e->index, e->term, e->buf->data, e->buf->len, NULL, NULL);
}

static void check_replica(const char *path, const struct power_marks *seen,
                          const struct power_marks *all)
{
    struct replica p = {.path = path};
    struct refill refill = {&p, 0};
    uint64_t at;

    assert_int_equal(open_replica(&p), 0);
    assert_int_equal(p.boot.faulty_from, 0);
    at = fsm_applied(p.fsm).index;
    assert_true(at >= seen->flushed && at >= seen->swapped);
    if (at > 0)
        assert_int_equal(fx_store_hash(p.kv), all->hashes[at]);
    assert_true(p.boot.first_index <= at + 1);
    assert_true(p.boot.last_index >= seen->durable || at >= seen->durable);
    assert_int_equal(raft_log_replay(p.log, replay_entry, &refill), 0);
    at = fsm_applied(p.fsm).index;
    assert_true(at >= seen->durable);
    if (at > 0)
        assert_int_equal(fx_store_hash(p.kv), all->hashes[at]);
    close_replica(&p);
}

int power_record(const char *dir, const char *life, const char *variant)
{
    char shim[512], file[600];
    int status;
    pid_t child;

    (void)snprintf(shim, sizeof(shim), "%s/tests/shim/.libs/libpowerlog.so",
                   getenv("DFS_BUILDDIR") ? getenv("DFS_BUILDDIR") : ".");
    (void)snprintf(file, sizeof(file), "%s/calls", dir);
    child = fork();
    if (child < 0)
        return -errno;
    if (child == 0) {
        (void)setenv("LD_PRELOAD", shim, 1);
        (void)setenv("POWERLOG_DIR", life, 1);
        (void)setenv("POWERLOG_FILE", file, 1);
        (void)execl("/proc/self/exe", "test_power", life, variant, (char *)NULL);
        _exit(4);
    }
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return -EIO;
    return 0;
}

/* Recovery of the image is itself on the real disk: its paths are those of the story. */
void power_cut_at(const struct powerlog *log, size_t count, struct rng *rng, bool names_any,
                  const char *life, const struct power_marks *all)
{
    struct vfs_fake *disk = vfs_fake_new();
    struct power_marks seen = {0};

    powerlog_replay(log, count, life, disk, power_on_mark, &seen);
    if (names_any)
        assert_int_equal(powerlog_let_names_be_any(disk, life), 0);
    vfs_fake_crash(disk, rng);
    assert_int_equal(vfs_remove_all(vfs_posix(), life), 0);
    assert_int_equal(powerlog_dump(disk, life, life), 0);
    check_replica(life, &seen, all);
    vfs_fake_free(disk);
}
