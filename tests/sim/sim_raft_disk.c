/*
 * The disk of a simulated node. Writes reach it in order, many with one sync. A power cut keeps
 * what was synced, and of the rest some prefix, the last write perhaps in part; the hard state
 * lies in another file and may be ahead of the log.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raft/mem.h"
#include "tests/sim/sim_raft.h"

uint64_t sim_log_last(const struct sim_log *log)
{
    return log->first + log->count - 1;
}

const struct raft_entry *sim_log_find(const struct sim_log *log, uint64_t index)
{
    if (index < log->first || index >= log->first + log->count)
        return NULL;
    return &log->entries[index - log->first];
}

void sim_log_append(struct sim_log *log, const struct raft_entry *entry)
{
    if (entry->index < log->first)
        return; /* Cut away before it got here. */
    assert(entry->index == log->first + log->count);
    log->entries = raft_grow(log->entries, log->count, &log->cap, sizeof(*log->entries));
    log->entries[log->count++] = *entry;
    raft_buf_ref(entry->buf);
}

void sim_log_truncate(struct sim_log *log, uint64_t from)
{
    while (log->count > 0 && sim_log_last(log) >= from)
        raft_buf_unref(log->entries[--log->count].buf);
}

void sim_log_cut(struct sim_log *log, uint64_t first)
{
    size_t drop;

    if (first <= log->first)
        return;
    drop = first - log->first < log->count ? (size_t)(first - log->first) : log->count;
    for (size_t i = 0; i < drop; i++)
        raft_buf_unref(log->entries[i].buf);
    log->count -= drop;
    if (log->count > 0)
        memmove(log->entries, log->entries + drop, log->count * sizeof(*log->entries));
    log->first = first;
}

void sim_log_reset(struct sim_log *log, uint64_t base)
{
    sim_log_truncate(log, 0);
    log->first = base + 1;
}

void sim_log_done(struct sim_log *log)
{
    sim_log_truncate(log, 0);
    free(log->entries);
}

static void write_done(struct sim_write *wr)
{
    for (size_t i = 0; i < wr->entry_count; i++)
        raft_buf_unref(wr->entries[i].buf);
    free(wr->entries);
}

/* To the log, and at most entry_max entries. */
static void write_to(struct sim_log *log, const struct sim_write *wr, size_t entry_max)
{
    if (wr->reset)
        sim_log_reset(log, wr->reset_base);
    if (wr->truncate_from > 0)
        sim_log_truncate(log, wr->truncate_from);
    for (size_t i = 0; i < wr->entry_count && i < entry_max; i++)
        sim_log_append(log, &wr->entries[i]);
}

void sim_disk_write(struct sim_world *w, struct sim_node *n, const struct raft_update *up)
{
    struct sim_write wr = {
        .id = up->write_id,
        .hard_state_changed = up->hard_state_changed,
        .hard_state = up->hard_state,
        .reset = up->log_reset,
        .reset_base = up->log_base.index,
        .truncate_from = up->truncate_from,
        .entry_count = up->entry_count,
    };

    wr.entries = raft_alloc(up->entry_count, sizeof(*wr.entries));
    for (size_t i = 0; i < up->entry_count; i++) {
        wr.entries[i] = up->entries[i];
        raft_buf_ref(wr.entries[i].buf);
    }
    write_to(&n->log, &wr, SIZE_MAX);
    if (w->storage != NULL)
        w->storage->write(w, n, up);
    n->writes = raft_grow(n->writes, n->write_count, &n->write_cap, sizeof(*n->writes));
    n->writes[n->write_count++] = wr;
    sim_disk_sync(w, n);
}

void sim_disk_sync(struct sim_world *w, struct sim_node *n)
{
    struct sim_event e = {.type = SIM_SYNCED, .node = n->number, .life = n->life};
    int64_t delay = sim_between(w, SIM_MS / 10, w->quiet ? 2 * SIM_MS : w->sync_max_ns);

    if (n->syncing > 0 || n->write_count == 0)
        return;
    if (!w->quiet && w->now_ns < n->disk_slow_until_ns)
        delay = sim_between(w, 20 * SIM_MS, 800 * SIM_MS);
    n->syncing = n->write_count;
    sim_at(w, delay, &e);
}

static void drop_writes(struct sim_node *n, size_t count)
{
    for (size_t i = 0; i < count; i++)
        write_done(&n->writes[i]);
    n->write_count -= count;
    if (n->write_count > 0)
        memmove(n->writes, n->writes + count, n->write_count * sizeof(*n->writes));
}

uint64_t sim_disk_synced(struct sim_node *n)
{
    uint64_t id = n->writes[n->syncing - 1].id;

    for (size_t i = 0; i < n->syncing; i++) {
        write_to(&n->durable, &n->writes[i], SIZE_MAX);
        if (n->writes[i].hard_state_changed)
            n->hard_state = n->writes[i].hard_state;
    }
    drop_writes(n, n->syncing);
    n->syncing = 0;
    return id;
}

void sim_disk_crash(struct sim_world *w, struct sim_node *n, bool power)
{
    size_t kept = power ? sim_below(w, n->write_count + 1) : n->write_count;
    size_t kept_states = power && sim_percent(w, 50) ? n->write_count : kept;

    n->syncing = 0;
    if (w->storage != NULL) { /* The next start will see. */
        w->storage->crash(w, n, power);
        return;
    }
    if (kept < n->write_count)
        w->stats->lost_writes++;
    for (size_t i = 0; i < kept; i++)
        write_to(&n->durable, &n->writes[i], SIZE_MAX);
    if (kept < n->write_count && n->writes[kept].entry_count > 1 && sim_percent(w, 50)) {
        write_to(&n->durable, &n->writes[kept], sim_below(w, n->writes[kept].entry_count));
        w->stats->torn_writes++;
    }
    for (size_t i = 0; i < kept_states; i++) {
        if (n->writes[i].hard_state_changed)
            n->hard_state = n->writes[i].hard_state;
    }
    drop_writes(n, n->write_count);
}

void sim_disk_forget(struct sim_node *n)
{
    drop_writes(n, n->write_count);
    n->syncing = 0;
}

void sim_disk_done(struct sim_node *n)
{
    drop_writes(n, n->write_count);
    free(n->writes);
    sim_log_done(&n->durable);
    sim_log_done(&n->log);
}
