/*
 * The namenode's log under simulated nodes: raft_log.c, its writer (run in place of the log thread)
 * and its recovery, on a disk that tears, forgets, fails and rots (common/vfs_fake.h).
 *
 * What must have survived is known: all that was told durable, then some prefix of what was under
 * way. What recovery gives is compared with that, and is what the node starts with.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/rng.h"
#include "common/vfs_fake.h"
#include "namenode/log_format.h"
#include "namenode/raft_log.h"
#include "tests/sim/sim_nn.h"

#define DIR "/log"

struct nn_log {
    struct vfs_fake *disk;
    struct raft_log *log;
    struct rng rng;
    uint64_t durable;   /* the last write_id that was told */
    bool ring_is_whole; /* The header ring says, durably, what is there. */
    uint64_t faulty_to; /* What it says is lost, until it says durably that nothing is. */
    bool failed, is_damaged, is_recovered;
};

static void on_durable(void *ctx, uint64_t write_id)
{
    struct nn_log *l = ctx;

    l->durable = write_id;
}

static void on_fatal(void *ctx, const char *what, int error)
{
    struct nn_log *l = ctx;

    (void)what;
    (void)error;
    l->failed = true;
}

/* ---- what may be there ---- */

/* A write, or its truncation and so many of its entries. */
static void expect_write(struct sim_log *log, const struct sim_write *wr, size_t entries)
{
    if (wr->reset)
        sim_log_reset(log, wr->reset_base);
    if (wr->truncate_from > 0)
        sim_log_truncate(log, wr->truncate_from);
    for (size_t i = 0; i < wr->entry_count && i < entries; i++)
        sim_log_append(log, &wr->entries[i]);
}

static void expect_durable(struct sim_log *log, const struct sim_node *n)
{
    for (uint64_t i = n->durable.first; i <= sim_log_last(&n->durable); i++)
        sim_log_append(log, sim_log_find(&n->durable, i));
}

static bool is_same_entry(const struct raft_entry *a, const struct raft_entry *b)
{
    return a->term == b->term && a->type == b->type && a->buf->len == b->buf->len &&
           memcmp(a->buf->data, b->buf->data, a->buf->len) == 0;
}

/*
 * got begins where the log does on disk, perhaps before what was asked to be cut. Damage: it may end
 * earlier, but says how far it went.
 */
static bool fits(const struct sim_log *got, const struct sim_log *want, uint64_t faulty_to)
{
    uint64_t last = sim_log_last(want);

    if (got->first > want->first || (sim_log_last(got) != last && faulty_to < last))
        return false;
    if (sim_log_last(got) > last)
        return false;
    for (uint64_t i = want->first; i <= sim_log_last(got); i++) {
        if (!is_same_entry(sim_log_find(got, i), sim_log_find(want, i)))
            return false;
    }
    return true;
}

static bool is_expected(const struct sim_node *n, const struct sim_log *got, uint64_t faulty_to)
{
    struct sim_log before = {.first = n->durable.first};
    bool same;

    expect_durable(&before, n);
    same = fits(got, &before, faulty_to);
    for (size_t i = 0; i < n->write_count && !same; i++) {
        for (size_t k = 0; k <= n->writes[i].entry_count && !same; k++) {
            struct sim_log want = {.first = n->durable.first};

            expect_durable(&want, n);
            for (size_t done = 0; done < i; done++)
                expect_write(&want, &n->writes[done], SIZE_MAX);
            expect_write(&want, &n->writes[i], k);
            same = fits(got, &want, faulty_to);
            sim_log_done(&want);
        }
    }
    sim_log_done(&before);
    return same;
}

static bool is_expected_state(const struct sim_node *n, const struct raft_hard_state *got)
{
    bool same = got->term == n->hard_state.term && got->vote.v == n->hard_state.vote.v;

    for (size_t i = 0; i < n->write_count; i++) {
        const struct raft_hard_state *h = &n->writes[i].hard_state;

        same = same || (n->writes[i].hard_state_changed && got->term == h->term &&
                        got->vote.v == h->vote.v);
    }
    return same;
}

static void check_found(struct sim_world *w, const struct sim_node *n, const struct nn_log *l,
                        const struct raft_log_boot *boot, const struct sim_log *got)
{
    unsigned id = n->number + 1;

    if (!is_expected_state(n, &boot->hard_state))
        sim_fail(w, "I5: node %u had term %lu, vote %lu durable; it finds term %lu, vote %lu", id,
                 UL(n->hard_state.term), UL(n->hard_state.vote.v), UL(boot->hard_state.term),
                 UL(boot->hard_state.vote.v));
    if (!is_expected(n, got, boot->faulty_to))
        sim_fail(w, "I5: node %u had %lu..%lu durable; it finds %lu..%lu, faulty up to %lu", id,
                 UL(n->durable.first), UL(sim_log_last(&n->durable)), UL(got->first),
                 UL(sim_log_last(got)), UL(boot->faulty_to));
    if (boot->faulty_to > l->faulty_to && !l->is_damaged)
        sim_fail(w, "I11: node %u takes a torn write, after %lu, for damage up to %lu", id,
                 UL(sim_log_last(got)), UL(boot->faulty_to));
    if (boot->faulty_to > 0 && boot->faulty_to == n->faulty_to && boot->faulty_term < n->lost_term)
        sim_fail(w, "I11: node %u lost entries of term %lu and tells %lu", id, UL(n->lost_term),
                 UL(boot->faulty_term));
}

/* ---- start and end ---- */

static int take_entry(void *ctx, const struct raft_entry *e)
{
    sim_log_append(ctx, e);
    return 0;
}

static struct nn_log *log_of(struct sim_world *w, struct sim_node *n)
{
    struct nn_log *l = n->storage;

    if (l != NULL)
        return l;
    l = MEM_NEW(struct nn_log);
    l->disk = vfs_fake_new();
    rng_seed(&l->rng, sim_random(w));
    n->storage = l;
    return l;
}

/*
 * Some call of the start may fail: with EIO, or for lack of room. A start that failed is followed by
 * another, perhaps after a power cut. A read that failed is damage, if it was one of entries.
 */
static int open_on_bad_disk(struct sim_world *w, struct nn_log *l,
                            const struct raft_log_config *config, struct raft_log_boot *boot)
{
    static const enum vfs_fake_op ops[] = {VFS_FAKE_OPEN, VFS_FAKE_WRITE, VFS_FAKE_SYNC,
                                           VFS_FAKE_READ};
    bool may_damage = l->ring_is_whole && sim_may_damage(w);
    uint64_t which = may_damage && sim_percent(w, 60) ? 3 : sim_below(w, 3);
    int r;

    if (w->quiet || !(w->faults & SIM_FAULT_SLOW_DISK) || !sim_percent(w, 20))
        return raft_log_open(config, boot, &l->log);
    vfs_fake_fail(l->disk, ops[which], sim_below(w, 20), sim_percent(w, 50) ? EIO : ENOSPC, false);
    r = raft_log_open(config, boot, &l->log);
    vfs_fake_fail_none(l->disk);
    l->is_damaged = l->is_damaged || which == 3;
    w->stats->real_unread += which == 3;
    if (r >= 0)
        return r;
    w->stats->real_failed_starts++;
    if (w->faults & SIM_FAULT_POWER && sim_percent(w, 50))
        vfs_fake_crash(l->disk, &l->rng);
    return raft_log_open(config, boot, &l->log);
}

static void open_log(struct sim_world *w, struct sim_node *n)
{
    struct nn_log *l = log_of(w, n);
    struct raft_log_config config;
    struct raft_log_boot boot;
    struct sim_log got = {0};
    int r;

    raft_log_config_init(&config);
    config.vfs = vfs_fake_vfs(l->disk);
    config.dir = DIR;
    config.segment_bytes = nn_world_of(w)->segment_bytes;
    config.segments_min = 1;
    config.direct = sim_percent(w, 50);
    config.seeds = &l->rng;
    config.durable = on_durable;
    config.fatal = on_fatal;
    config.ctx = l;
    l->failed = false;
    r = open_on_bad_disk(w, l, &config, &boot);
    sim_note(w, vfs_fake_hash(l->disk));
    if (r < 0) {
        sim_fail(w, "node %u cannot open its log, %d", n->number + 1, r);
        return;
    }
    sim_log_reset(&got, boot.first_index - 1);
    if (raft_log_replay(l->log, take_entry, &got) != 0)
        sim_fail(w, "node %u cannot read its log", n->number + 1);
    w->stats->real_recoveries++;
    w->stats->real_damages += l->is_damaged && boot.faulty_to > 0;
    if (!boot.is_new)
        check_found(w, n, l, &boot, &got);
    l->is_damaged = l->is_recovered = false;
    l->faulty_to = boot.faulty_to;
    sim_log_done(&n->durable);
    n->durable = got;
    n->hard_state = boot.hard_state;
    n->faulty_to = boot.faulty_to;
    n->faulty_term = boot.faulty_term;
    sim_disk_forget(n);
}

static void close_log(struct nn_log *l)
{
    raft_log_close(STEAL(l->log));
}

static void done(struct sim_world *w, struct sim_node *n)
{
    struct nn_log *l = n->storage;

    (void)w;
    if (l == NULL)
        return;
    close_log(l);
    vfs_fake_free(l->disk);
    free(l);
}

static void pump(struct sim_world *w, struct nn_log *l, bool idle)
{
    raft_log_pump(l->log, idle);
    sim_note(w, vfs_fake_hash(l->disk));
    l->ring_is_whole = idle && !l->failed;
    if (l->is_recovered && !l->failed)
        l->faulty_to = 0;
}

/* Within a write, more often than not: some of its calls reach the disk, the next does not. */
static void crash(struct sim_world *w, struct sim_node *n, bool power)
{
    struct nn_log *l = n->storage;

    if (l->log == NULL)
        return;
    if (n->write_count > 0 && sim_percent(w, 70)) {
        vfs_fake_stop_after(l->disk, sim_below(w, 6));
        pump(w, l, sim_percent(w, 30));
        w->stats->real_tears += power && vfs_fake_is_stopped(l->disk);
    } else if (n->write_count == 0 && sim_percent(w, 50)) {
        pump(w, l, true);
    }
    if (power)
        vfs_fake_crash(l->disk, &l->rng);
    else
        vfs_fake_kill(l->disk);
    close_log(l);
}

/* ---- in life ---- */

static void write_log(struct sim_world *w, struct sim_node *n, const struct raft_update *up)
{
    struct nn_log *l = n->storage;

    (void)w;
    l->ring_is_whole = false;
    raft_log_append_async(l->log, up);
}

static bool sync_log(struct sim_world *w, struct sim_node *n)
{
    struct nn_log *l = n->storage;
    uint64_t want = n->writes[n->write_count - 1].id;

    if (!w->quiet && w->faults & SIM_FAULT_SLOW_DISK && sim_below(w, 150) == 0)
        vfs_fake_fail(l->disk, sim_percent(w, 70) ? VFS_FAKE_SYNC : VFS_FAKE_WRITE, sim_below(w, 4),
                      EIO, false);
    pump(w, l, sim_percent(w, 30));
    vfs_fake_fail_none(l->disk);
    if (l->failed) {
        w->stats->real_disk_errors++;
        return false;
    }
    if (l->durable != want)
        sim_fail(w, "node %u: write %lu is durable, not %lu", n->number + 1, UL(l->durable),
                 UL(want));
    return true;
}

static uint64_t compact(struct sim_world *w, struct sim_node *n, uint64_t index)
{
    struct nn_log *l = n->storage;
    uint64_t before = raft_log_first_index(l->log);
    uint64_t first = raft_log_compact(l->log, index);

    if (first > index + 1 && first > before)
        sim_fail(w, "I9: node %u cuts its log to %lu, asked for %lu", n->number + 1, UL(first),
                 UL(index + 1));
    w->stats->real_segments_cut += first > before;
    return first;
}

static int read_log(void *ctx, uint64_t first, size_t entry_max, size_t bytes_max,
                    struct raft_entry *entries)
{
    struct sim_node *n = ctx;
    struct sim_world *w = n->world;
    struct nn_log *l = n->storage;
    bool fails = !w->quiet && w->faults & SIM_FAULT_SLOW_DISK && sim_percent(w, 2);
    int count;

    if (fails)
        vfs_fake_fail(l->disk, VFS_FAKE_READ, 0, EIO, false);
    count = raft_log_read(l->log, first, entry_max, bytes_max, entries);
    vfs_fake_fail_none(l->disk);
    if (fails && count == -EIO) {
        w->stats->read_errors++;
        n->read_failed = true;
        return count;
    }

    for (int i = 0; i < count; i++) {
        const struct raft_entry *want = sim_log_find(&n->durable, first + (uint64_t)i);

        if (want == NULL) /* Of an earlier life, damaged since: the same entry is on its way. */
            want = sim_log_find(&n->log, first + (uint64_t)i);
        if (want == NULL || !is_same_entry(&entries[i], want))
            sim_fail(n->world, "node %u reads another entry at %lu", n->number + 1,
                     UL(first + (uint64_t)i));
    }
    if (count < 0)
        sim_fail(n->world, "node %u cannot read entry %lu, %d", n->number + 1, UL(first), count);
    return count;
}

static void recovered(struct sim_world *w, struct sim_node *n)
{
    struct nn_log *l = n->storage;

    (void)w;
    raft_log_set_recovered(l->log);
    l->is_recovered = true;
}

static void lose(struct sim_world *w, struct sim_node *n)
{
    struct nn_log *l = n->storage;
    struct raft_log_boot boot = {.first_index = n->durable.first,
                                 .last_index = sim_log_last(&n->durable),
                                 .last_term = n->hard_state.term,
                                 .faulty_to = n->faulty_to,
                                 .faulty_term = n->faulty_term};

    if (n->durable.count > 0)
        boot.last_term = n->durable.entries[n->durable.count - 1].term;

    raft_log_lose(l->log, &boot);
    pump(w, l, true);
    n->faulty_to = l->faulty_to = boot.faulty_to;
    n->faulty_term = boot.faulty_term;
    sim_log_reset(&n->durable, boot.first_index - 1);
}

static bool is_whole(const struct sim_node *n)
{
    const struct nn_log *l = n->storage;

    return l == NULL || l->faulty_to == 0;
}

/* ---- rot ---- */

struct last_segment {
    uint64_t seq;
};

static int find_last(void *ctx, const char *name, bool is_dir)
{
    struct last_segment *last = ctx;
    uint64_t seq;

    (void)is_dir;
    if (sscanf(name, "seg-%16lx", (unsigned long *)&seq) == 1 && seq > last->seq)
        last->seq = seq;
    return 0;
}

static uint64_t any_sector(struct sim_world *w)
{
    uint64_t count = (nn_world_of(w)->segment_bytes - LOG_SEGMENT_DATA) / LOG_SECTOR;

    return LOG_SEGMENT_DATA + sim_below(w, count) * LOG_SECTOR;
}

static void flip_bits(struct sim_world *w, struct nn_log *l, const char *path)
{
    for (unsigned i = 0; i < 3; i++)
        (void)vfs_fake_flip_bit(l->disk, path, any_sector(w) + sim_below(w, 80),
                                (unsigned)sim_below(w, 8));
}

/* What was meant for one place went to another, and that one kept what there was: nothing. */
static void misdirect(struct sim_world *w, struct nn_log *l, const char *path)
{
    CLEANUP(vfs_file) struct vfs_file *f = NULL;
    static const uint8_t zeros[LOG_SECTOR];
    uint64_t from = any_sector(w), to = any_sector(w);
    uint8_t bytes[LOG_SECTOR];

    if (vfs_open(vfs_fake_vfs(l->disk), path, O_RDWR, 0, &f) < 0 ||
        vfs_pread_all(f, bytes, sizeof(bytes), from) < 0 ||
        vfs_pwrite(f, zeros, sizeof(zeros), from) < 0 ||
        vfs_pwrite(f, bytes, sizeof(bytes), to) < 0 || vfs_sync(f) < 0)
        sim_fail(w, "a write cannot be misdirected");
    w->stats->real_misdirected++;
}

/*
 * Rot, or a write at the wrong place, among the newest records. The node is down, and
 * what it had durable was so for more than the 5 ms in which damage cannot be told from a torn write:
 * its ring says so.
 */
static bool damage(struct sim_world *w, struct sim_node *n)
{
    struct nn_log *l = n->storage;
    struct last_segment last = {0};
    char path[64];
    uint64_t how = sim_below(w, 3);

    if (!l->ring_is_whole || vfs_list(vfs_fake_vfs(l->disk), DIR, find_last, &last) < 0)
        return false;
    (void)snprintf(path, sizeof(path), DIR "/seg-%016lx", (unsigned long)last.seq);
    if (how == 0)
        misdirect(w, l, path);
    else
        flip_bits(w, l, path);
    l->is_damaged = true;
    sim_trace(w, "node %u: its log is damaged, in way %lu", n->number + 1, UL(how));
    return true;
}

const struct sim_storage nn_log_storage = {
    .open = open_log,
    .write = write_log,
    .sync = sync_log,
    .crash = crash,
    .compact = compact,
    .read = read_log,
    .lose = lose,
    .recovered = recovered,
    .is_whole = is_whole,
    .damage = damage,
    .done = done,
};
