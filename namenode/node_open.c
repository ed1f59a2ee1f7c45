/* How a replica comes up: directory, store, log, raft; and the way out for one that has diverged.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/daemon.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/rng.h"
#include "common/vfs.h"
#include "namenode/kv_rocks.h"
#include "namenode/node_impl.h"

int node_open_dir(struct node *n)
{
    const char *path = n->conf->data_dir;
    struct raft_id other = RAFT_NOBODY;
    char err[1024] = "";
    int r = daemon_make_dir(path, err, sizeof(err));

    if (r == 0)
        r = daemon_lock_dir(path, &n->lock_fd, err, sizeof(err));
    if (r < 0) {
        log_error("the data directory cannot be used", "data_dir=%s %s", path, err);
        return r;
    }
    n->locked_ns = (int64_t)clock_monotonic_ns(clock_system());
    r = data_dir_open(vfs_posix(), path, n->conf->id, &n->conf->founders, &n->dir, &other);
    if (r == -EXDEV)
        log_error("the data directory belongs to another namenode",
                  "dir=%s its_id=%" PRIu64 " configured_id=%" PRIu64, path, other.v, n->conf->id.v);
    else if (r == -EBADMSG)
        log_error("identity, members or CURRENT in the data directory is damaged or gone: bring "
                  "it back from a copy",
                  "dir=%s", path);
    else if (r == -EPROTONOSUPPORT)
        log_error(
            "the data directory was written by another version of dfs: start that one, or let "
            "this namenode join under a new id with an empty directory",
            "dir=%s", path);
    else if (r == -EINPROGRESS)
        log_error("a restore into the data directory was broken off: empty it, and restore again",
                  "dir=%s", path);
    else if (r < 0)
        log_error("the data directory cannot be opened", "dir=%s %s", path, dfs_strerror(r));
    return r < 0 ? r : disk_space_open(vfs_posix(), path, &n->space);
}

void node_unlock_dir(struct node *n)
{
    if (n->lock_fd >= 0)
        (void)close(n->lock_fd);
    n->lock_fd = -1;
}

static void on_fsm_event(void *ctx, const struct fsm_event *event)
{
    struct node *n = ctx;

    if (event->kind == FSM_EVENT_NAMENODE)
        node_forget_peers(n);
    for (unsigned i = 0; i < n->watch_count; i++) {
        if (n->watches[i].event)
            n->watches[i].event(n->watches[i].ctx, event);
    }
}

int node_open_store(struct node *n)
{
    const char *path = data_dir_store(n->dir);
    struct kv_rocks_options o = {.cache_bytes = n->conf->cache_bytes,
                                 .memtable_bytes = n->conf->memtable_bytes};
    int r = kv_rocks_open(path, &o, &n->kv);

    if (r < 0) {
        log_error("the metadata store cannot be opened", "dir=%s %s", path, dfs_strerror(r));
        n->is_damaged = r == -EBADMSG;
        return r;
    }
    r = fsm_open(n->kv, &n->fsm);
    if (r < 0) {
        n->is_damaged = kv_is_damaged(n->kv);
        if (r == -EPROTONOSUPPORT)
            log_error("the metadata store was written by a newer release: this one cannot read it",
                      "dir=%s newest_format=%u", path, (unsigned)FSM_FORMAT);
        else
            log_error("the metadata store cannot be read", "dir=%s %s", path, dfs_strerror(r));
        return r;
    }
    fsm_set_cache(n->fsm, n->conf->record_cache_bytes);
    fsm_set_events(n->fsm, on_fsm_event, n);
    node_forget_peers(n);
    return 0;
}

void node_close_store(struct node *n)
{
    fsm_close(STEAL(n->fsm));
    kv_close(STEAL(n->kv));
}

/* ---- log and raft ---- */

static int restore(void *ctx, const struct raft_entry *e)
{
    return raft_restore(ctx, e);
}

static void on_fetched(void *ctx)
{
    struct node *n = ctx;
    struct raft_event ev = {.type = RAFT_EV_TICK};

    n->waits_for_fetch = false;
    (void)node_step(n, &ev); /* Whoever wanted the entries asks again. */
}

static void make_config(struct node *n, struct raft_config *c)
{
    raft_config_init(c);
    c->id = n->conf->id;
    c->uuid = data_dir_uuid(n->dir);
    c->cluster = data_dir_cluster(n->dir);
    c->heartbeat_ns = (int64_t)n->conf->heartbeat_ms * 1000000;
    c->election_min_ns = (int64_t)n->conf->election_ms * 1000000;
    c->election_max_ns = 2 * c->election_min_ns;
    c->quarantine_ns = c->election_max_ns;
    c->read_lease = n->conf->read_lease;
    c->seed = rng_system_u64();
    c->cache_bytes = n->conf->log_cache_bytes;
    c->append_bytes_max = PROPOSALS_BYTES_MAX;
    c->entries_read = raft_log_read;
    c->entries_ctx = n->log;
}

static int start_raft(struct node *n, const struct raft_log_boot *on_disk)
{
    struct fsm_pos pos = fsm_applied(n->fsm);
    struct raft_boot boot = {.hard_state = on_disk->hard_state,
                             .applied = {.index = pos.index, .term = pos.term},
                             .faulty_from = on_disk->faulty_from,
                             .faulty_to = on_disk->faulty_to,
                             .faulty_term = on_disk->faulty_term,
                             .alone_since_ns = n->locked_ns};
    struct raft_config config;
    int r;

    data_dir_members_at(n->dir, pos.index, &boot.applied.conf);
    if (on_disk->first_index > pos.index + 1) {
        log_error("the metadata store lacks what was cut from the log: it was lost",
                  "dir=%s applied=%" PRIu64 " log=%" PRIu64 "..%" PRIu64, data_dir_store(n->dir),
                  pos.index, on_disk->first_index, on_disk->last_index);
        n->is_damaged = true;
        return -EBADMSG;
    }
    if (on_disk->last_index >= on_disk->first_index)
        boot.log_first = on_disk->first_index;
    else if (on_disk->first_index != pos.index + 1)
        raft_log_reset(n->log, pos.index); /* A snapshot was installed, and then the end came. */
    make_config(n, &config);
    r = raft_new(&config, &boot, &n->raft);
    if (r < 0) {
        log_error("the log does not join on to the metadata store",
                  "applied=%" PRIu64 " log=%" PRIu64 "..%" PRIu64, pos.index, on_disk->first_index,
                  on_disk->last_index);
        return r;
    }
    r = raft_log_replay(n->log, restore, n->raft);
    if (r < 0)
        log_error("the Raft log cannot be read", "%s", dfs_strerror(r));
    return r;
}

int node_open_raft(struct node *n, void (*durable)(void *ctx, uint64_t write_id))
{
    struct raft_log_config c;
    struct raft_log_boot boot;
    int r;

    raft_log_config_init(&c);
    c.vfs = vfs_posix();
    c.dir = data_dir_path(n->dir, "log");
    c.loop = n->loop;
    c.segment_bytes = n->conf->segment_bytes;
    c.segments_min = n->conf->segments_min;
    c.direct = n->conf->direct_io;
    c.durable = durable;
    c.fetched = on_fetched;
    c.ctx = n;
    r = raft_log_open(&c, &boot, &n->log);
    if (r == -EPROTONOSUPPORT)
        log_error("the Raft log was written by another version of dfs: start that one, or let this "
                  "namenode join under a new id with an empty directory",
                  "dir=%s", data_dir_path(n->dir, "log"));
    else if (r < 0)
        log_error("the Raft log cannot be opened", "dir=%s %s%s", data_dir_path(n->dir, "log"),
                  dfs_strerror(r),
                  r == -EBADMSG ? "; its hard state is damaged: this replica has to join anew"
                                : "");
    if (r < 0)
        return r;
    if (boot.faulty_from != 0)
        log_warn("log entries are damaged and will be fetched from the leader",
                 "from=%" PRIu64 " to=%" PRIu64, boot.faulty_from, boot.faulty_to);
    if (data_dir_is_diverged(n->dir)) {
        log_warn("the metadata of this replica had diverged: it begins anew, by a snapshot",
                 "id=%" PRIu64, n->conf->id.v);
        raft_log_lose(n->log, &boot);
    }
    if (boot.faulty_to > 0)
        n->role = RAFT_RECOVERING; /* What the start says of it is a change, if it is another. */
    log_info("opened", "dir=%s applied=%" PRIu64 " log=%" PRIu64 "..%" PRIu64 " direct_io=%s",
             n->conf->data_dir, fsm_applied(n->fsm).index, boot.first_index, boot.last_index,
             raft_log_is_direct(n->log) ? "yes" : "no");
    return start_raft(n, &boot);
}

bool node_has_others(const struct node *n)
{
    struct raft_conf conf;

    data_dir_members_at(n->dir, UINT64_MAX, &conf);
    return conf.count > 1;
}

void node_note_damage(struct node *n)
{
    if (!node_has_others(n))
        log_error("the metadata store is damaged, and there is no other namenode: bring back the "
                  "data directory from a copy",
                  "dir=%s", n->conf->data_dir);
    else if (data_dir_set_diverged(n->dir) < 0)
        log_error("that the metadata store is damaged could not be noted", "dir=%s",
                  n->conf->data_dir);
    else
        log_error("the metadata store is damaged: it is set aside, and a snapshot of the leader's "
                  "takes its place",
                  "dir=%s", data_dir_store(n->dir));
}

int node_begin_anew(struct node *n)
{
    struct raft_id other;

    n->is_damaged = false;
    node_note_damage(n);
    if (!node_has_others(n))
        return -EBADMSG;
    raft_log_close(STEAL(n->log));
    node_close_store(n);
    data_dir_close(STEAL(n->dir));
    return data_dir_open(vfs_posix(), n->conf->data_dir, n->conf->id, &n->conf->founders, &n->dir,
                         &other);
}

void node_diverged(struct node *n, uint64_t index)
{
    log_error("the metadata of this replica differs from the leader's: a fault in memory, disk or "
              "program; the next start fetches a snapshot",
              "id=%" PRIu64 " index=%" PRIu64, n->conf->id.v, index);
    if (data_dir_set_diverged(n->dir) < 0)
        log_error("that could not be noted in the data directory", "dir=%s", n->conf->data_dir);
    node_die(n, "agree with the leader", -EUCLEAN);
}
