/*
 * The rim of a simulated node: what the namenode's node.c does with real disks and sockets.
 * Durable before volatile: a crash forgets all but hard_state, durable and flushed.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "namenode/log_keep.h"
#include "tests/sim/sim_raft.h"

#define UL(v) ((unsigned long)(v))

int64_t sim_clock(const struct sim_world *w, const struct sim_node *n)
{
    return n->clock_offset_ns + w->now_ns + w->now_ns / 1000000 * n->clock_ppm;
}

int64_t sim_wall_clock(const struct sim_world *w, const struct sim_node *n)
{
    return sim_clock(w, n) + n->wall_offset_ns;
}

unsigned sim_number_of(struct raft_id id)
{
    return (unsigned)((id.v - 1) % SIM_NODES_MAX);
}

struct sim_node *sim_node_of(struct sim_world *w, struct raft_id id)
{
    return &w->nodes[sim_number_of(id)];
}

bool sim_is_alive(const struct sim_world *w, struct raft_id id)
{
    return w->nodes[sim_number_of(id)].id == id.v;
}

/* Reads of what is not yet durable would be a mistake of the core. */
static int read_entries(void *ctx, uint64_t first, size_t entry_max, size_t bytes_max,
                        struct raft_entry *entries)
{
    struct sim_node *n = ctx;
    struct sim_world *w = n->world;
    size_t count = 0, bytes = 0;

    if (w->faults & SIM_FAULT_SMALL && sim_percent(w, 20))
        return -EAGAIN;
    if (w->now_ns < n->hidden_until_ns)
        return -EAGAIN;
    if (first < n->durable.first)
        return -ENOENT;
    if (w->faults & SIM_FAULT_SLOW_DISK && !w->quiet && w->storage == NULL &&
        sim_below(w, 100) == 0) {
        w->stats->read_errors++;
        n->read_failed = true;
        return -EIO;
    }
    if (w->storage != NULL && sim_log_find(&n->durable, first) != NULL) {
        w->stats->disk_reads++;
        return w->storage->read(n, first, entry_max, bytes_max, entries);
    }
    for (; count < entry_max; count++) {
        const struct raft_entry *e = sim_log_find(&n->durable, first + count);

        if (e == NULL || (count > 0 && bytes + e->buf->len > bytes_max))
            break;
        bytes += e->buf->len;
        entries[count] = *e;
        raft_buf_ref(e->buf);
    }
    if (count == 0) {
        sim_fail(w, "node %u reads entry %lu, which is not durable", n->number + 1, UL(first));
        return -EIO;
    }
    w->stats->disk_reads++;
    return (int)count;
}

static struct raft_config make_config(struct sim_world *w, struct sim_node *n)
{
    struct raft_config c;

    raft_config_init(&c);
    c.id = (struct raft_id){n->id};
    c.uuid.b[0] = (uint8_t)n->id;
    c.cluster.b[0] = 7;
    c.heartbeat_ns = 80 * SIM_MS;
    c.election_min_ns = SIM_ELECTION_MIN_NS;
    c.read_lease = w->read_lease;
    c.seed = sim_random(w);
    c.entries_read = read_entries;
    c.entries_ctx = n;
    if (w->faults & SIM_FAULT_SMALL) {
        c.cache_bytes = sim_below(w, 200);
        c.append_bytes_max = 1 + sim_below(w, 100);
        c.inflight_messages_max = 1 + (unsigned)sim_below(w, 4);
        c.inflight_bytes_max = 1 + sim_below(w, 200);
        c.uncommitted_bytes_max = 50 + sim_below(w, 300);
    }
    if (w->faults & SIM_FAULT_ODD && sim_percent(w, 20)) {
        c.inflight_messages_max = 1;
        w->stats->narrow_windows++;
    }
#ifdef RAFT_MUTANTS
    c.mutant = w->mutant;
#endif
    return c;
}

static void schedule_tick(struct sim_world *w, struct sim_node *n)
{
    struct sim_event e = {.type = SIM_TICK, .node = n->number, .life = n->life};

    sim_at(w, sim_between(w, 18 * SIM_MS, 22 * SIM_MS), &e);
}

static void note_role(struct sim_world *w, struct sim_node *n, const struct raft_update *up)
{
    if (up->role == n->role && up->term == n->term)
        return;
    sim_trace(w, "node %u is %s in term %lu", n->number + 1, raft_role_name(up->role),
              UL(up->term));
    if (n->role == RAFT_LEADER)
        w->stats->stepdowns++;
    if (up->role == RAFT_LEADER) {
        w->stats->elections++;
        if (n->transfer_campaign)
            w->stats->transfers++;
        assert(up->entry_count > 0);
        n->own_first = up->entries[0].index;
        check_leader(w, n, up->term);
    }
    if (n->role == RAFT_RECOVERING && up->role != RAFT_RECOVERING) {
        if (w->storage != NULL)
            w->storage->recovered(w, n);
        check_repaired(w, n);
        n->faulty_to = 0;
        n->is_set_aside = false;
        w->stats->repairs++;
    }
    n->role = up->role;
    n->term = up->term;
}

static void take_writes(struct sim_world *w, struct sim_node *n, const struct raft_update *up)
{
    if (up->truncate_from > 0) {
        w->stats->truncations++;
        w->stats->truncated_confs += up->conf_changed;
        sim_trace(w, "node %u truncates from %lu", n->number + 1, UL(up->truncate_from));
    }
    if (up->log_reset) {
        w->stats->log_resets++;
        sim_trace(w, "node %u drops its log for one after %lu", n->number + 1,
                  UL(up->log_base.index));
    }
    sim_disk_write(w, n, up);
    for (size_t i = 0; i < up->entry_count; i++)
        check_appended(w, n, &up->entries[i]);
}

static void schedule_apply(struct sim_world *w, struct sim_node *n)
{
    struct sim_event e = {.type = SIM_APPLY, .node = n->number, .life = n->life};

    if (n->apply_scheduled || n->commit_index <= n->state.at.index)
        return;
    n->apply_scheduled = true;
    sim_at(w, !w->quiet && sim_percent(w, 2) ? 200 * SIM_MS : SIM_MS / 5, &e);
}

static void send_all(struct sim_world *w, struct sim_node *n, const struct raft_update *up)
{
    for (size_t i = 0; i < up->message_count; i++) {
        const struct raft_msg *msg = &up->messages[i];

        check_message(w, n, msg);
        if (msg->type == RAFT_MSG_VOTE)
            n->transfer_campaign = msg->vote.transfer;
        if (msg->type == RAFT_MSG_HIGHER_TERM)
            w->stats->higher_terms++;
        if (w->now_ns >= n->mute_until_ns)
            sim_send(w, msg);
    }
}

static void want_snapshots(struct sim_world *w, struct sim_node *n, const struct raft_update *up)
{
    for (size_t i = 0; i < up->snapshot_wanted_count; i++) {
        struct sim_event e = {.type = SIM_SNAPSHOT_MADE,
                              .node = n->number,
                              .life = n->life,
                              .peer = up->snapshot_wanted[i]};

        sim_at(w, sim_between(w, SIM_MS, 40 * SIM_MS), &e);
    }
    if (up->snapshot_offered != NULL) {
        struct sim_event e = {.type = SIM_SNAPSHOT_FETCHED,
                              .node = n->number,
                              .life = n->life,
                              .peer = up->snapshot_from,
                              .point = *up->snapshot_offered};

        sim_trace(w, "node %u is offered a snapshot at %lu", n->number + 1,
                  UL(up->snapshot_offered->index));
        sim_at(w, sim_between(w, 5 * SIM_MS, 200 * SIM_MS), &e);
    }
}

/* Messages are noted when they are sent, states when they are applied. */
static void note_update(struct sim_world *w, const struct raft_update *up)
{
    sim_note(w, up->term ^ (uint64_t)up->role << 56);
    sim_note(w, up->commit_index ^ (uint64_t)up->message_count << 56);
    sim_note(w, up->leader.v << 32 ^ (uint64_t)up->leader_ready ^ (uint64_t)up->transferring << 1);
    for (size_t i = 0; i < up->read_count; i++) {
        sim_note(w, up->reads[i].id ^ (uint64_t)up->reads[i].result << 32);
        sim_note(w, up->reads[i].index);
    }
    if (up->write_id == 0)
        return;
    sim_note(w, up->write_id);
    sim_note(w, up->hard_state_changed ? up->hard_state.term : 0);
    sim_note(w, up->hard_state_changed ? up->hard_state.vote.v : 0);
    sim_note(w, up->log_reset ? up->log_base.index : 0);
    sim_note(w, up->truncate_from);
    for (size_t i = 0; i < up->entry_count; i++) {
        sim_note(w, up->entries[i].index ^ up->entries[i].term << 32);
        sim_note_bytes(w, up->entries[i].buf->data, up->entries[i].buf->len);
    }
}

static void handle(struct sim_world *w, struct sim_node *n, const struct raft_update *up)
{
    if (up->fault != RAFT_FAULT_NONE)
        sim_fail(w, "node %u drops a message from %lu, fault %d", n->number + 1,
                 UL(up->fault_from.v), up->fault);
    if (up->write_id > 0)
        take_writes(w, n, up);
    note_role(w, n, up);
    send_all(w, n, up);
    if (up->commit_index < n->commit_index)
        sim_fail(w, "R10: node %u commits %lu after %lu", n->number + 1, UL(up->commit_index),
                 UL(n->commit_index));
    check_committed(w, n, up->term, n->commit_index + 1, up->commit_index);
    if (up->role == RAFT_LEADER && up->commit_index > n->commit_index)
        check_leader_commit(w, n, up->term);
    n->commit_index = up->commit_index;
    n->leader_ready = up->leader_ready;
    if (w->machine->update != NULL)
        w->machine->update(w, n, up);
    for (size_t i = 0; i < up->read_count; i++) {
        check_read(w, n, &up->reads[i]);
        if (w->machine->read != NULL)
            w->machine->read(w, n, &up->reads[i]);
    }
    want_snapshots(w, n, up);
    schedule_apply(w, n);
    note_update(w, up);
}

int sim_node_step(struct sim_world *w, struct sim_node *n, struct raft_event *ev,
                  struct raft_update *up)
{
    struct sim_before before = {.conf = *raft_conf(n->raft)};
    struct raft_status status;
    int r;

    raft_status(n->raft, &status);
    before.commit_index = status.commit_index;
    ev->now_ns = sim_clock(w, n);
    r = raft_step(n->raft, ev, up);
    check_step(w, n, ev, &before);
    handle(w, n, up);
    return r;
}

/* As data_dir.c and node_open.c do, at each start until all is there again. */
static void begin_anew(struct sim_world *w, struct sim_node *n)
{
    uint64_t last = sim_log_last(&n->durable);
    uint64_t term =
        n->durable.count > 0 ? n->durable.entries[n->durable.count - 1].term : n->hard_state.term;

    n->lost_term = n->faulty_to > 0 ? n->lost_term : term;
    n->flushed = (struct sim_state){.at.conf = n->flushed.at.conf};
    w->machine->wipe(w, n);
    if (w->storage != NULL) {
        w->storage->lose(w, n);
        return;
    }
    n->faulty_term = n->faulty_to > 0 ? n->faulty_term : term;
    n->faulty_to = last > n->faulty_to ? last : n->faulty_to;
    sim_log_reset(&n->durable, 0);
}

void sim_node_start(struct sim_world *w, struct sim_node *n)
{
    struct raft_config config = make_config(w, n);
    struct raft_boot boot = {0};
    struct raft_update up;

    if (w->storage != NULL)
        w->storage->open(w, n);
    if (n->is_set_aside)
        begin_anew(w, n);
    boot.applied = n->flushed.at;
    boot.hard_state = n->hard_state;
    if (n->durable.count > 0)
        boot.log_first = n->durable.first;
    if (n->faulty_to > sim_log_last(&n->durable)) {
        boot.faulty_from = sim_log_last(&n->durable) + 1;
        boot.faulty_to = n->faulty_to;
        boot.faulty_term = n->faulty_term;
    } else {
        n->faulty_to = 0;
    }
    n->life++;
    n->up = true;
    n->broken = n->read_failed = n->is_diverged = false;
    n->mute_until_ns = n->slow_apply_until_ns = n->hidden_until_ns = 0;
    n->started_ns = sim_clock(w, n);
    n->state = n->flushed;
    n->checkpoint = (struct sim_state){0};
    n->apply_scheduled = false;
    n->commit_index = n->flushed.at.index;
    n->transfer_campaign = false;
    n->proof_ns = 0;
    n->durable_write = 0;
    n->leader_ready = false;
    if (w->machine->start != NULL)
        w->machine->start(w, n);
    check_state(w, n);
    if (raft_new(&config, &boot, &n->raft) < 0) {
        sim_fail(w, "I9: node %u cannot start", n->number + 1);
        n->raft = NULL;
        return;
    }
    sim_log_reset(&n->log, n->durable.first - 1);
    for (size_t i = 0; i < n->durable.count; i++) {
        if (raft_restore(n->raft, &n->durable.entries[i]) < 0)
            sim_fail(w, "node %u cannot restore its log", n->number + 1);
        sim_log_append(&n->log, &n->durable.entries[i]);
    }
    check_joins(w, n);
    raft_start(n->raft, n->started_ns, &up);
    w->stats->boot_resets += up.log_reset;
    n->role = n->faulty_to > 0 ? RAFT_RECOVERING : up.role; /* Until the update says another. */
    n->term = up.term;
    n->is_set_aside = n->is_set_aside && n->faulty_to > 0;
    sim_trace(w, "node %u starts: term %lu, log %lu..%lu, applied %lu%s", n->number + 1,
              UL(up.term), UL(n->durable.first), UL(sim_log_last(&n->durable)),
              UL(n->flushed.at.index), n->faulty_to > 0 ? ", damaged" : "");
    handle(w, n, &up);
    schedule_tick(w, n);
}

void sim_node_crash(struct sim_world *w, struct sim_node *n, bool power)
{
    if (!n->up)
        return;
    sim_trace(w, "node %u %s", n->number + 1, power ? "loses power" : "is killed");
    n->up = false;
    n->paused_until_ns = 0;
    raft_free(n->raft);
    n->raft = NULL;
    if (w->machine->stop != NULL)
        w->machine->stop(w, n);
    sim_disk_crash(w, n, power);
    w->stats->crashes++;
}

void sim_node_wipe(struct sim_world *w, struct sim_node *n)
{
    sim_trace(w, "node %u loses its disk, and was %lu", n->number + 1, UL(n->id));
    sim_disk_forget(n);
    sim_log_reset(&n->durable, 0);
    n->hard_state = (struct raft_hard_state){0};
    n->flushed = (struct sim_state){0};
    n->faulty_to = 0;
    n->is_set_aside = false;
    n->id += SIM_NODES_MAX;
    if (w->storage != NULL)
        w->storage->done(w, n);
    n->storage = NULL;
    if (w->machine->wipe != NULL)
        w->machine->wipe(w, n);
    for (size_t term = 0; term < w->term_cap; term++)
        w->votes[term][n->number] = RAFT_NOBODY;
}

/* I16: who was removed never comes back, but as somebody else. */
static void note_members(struct sim_world *w, uint64_t index, const struct raft_conf *conf)
{
    if (index <= w->members_index)
        return;
    for (unsigned i = 0; i < w->members.count; i++) {
        struct raft_id id = w->members.members[i].id;

        w->gone[id.v] = w->gone[id.v] || raft_conf_find(conf, id) == NULL;
    }
    for (unsigned i = 0; i < conf->count; i++) {
        if (w->gone[conf->members[i].id.v])
            sim_fail(w, "I16: the id %lu is given again", UL(conf->members[i].id.v));
    }
    w->members = *conf;
    w->members_index = index;
}

static void apply_one(struct sim_world *w, struct sim_node *n, const struct raft_entry *e)
{
    n->state.at.index = e->index;
    n->state.at.term = e->term;
    if (e->type == RAFT_ENTRY_CONF) {
        (void)raft_conf_decode(e->buf->data, e->buf->len, &n->state.at.conf);
        w->stats->confs_committed++;
        note_members(w, e->index, &n->state.at.conf);
        if (n->role != RAFT_LEADER && w->leaders[e->term].v == n->id &&
            raft_conf_find(&n->state.at.conf, (struct raft_id){n->id}) == NULL)
            w->stats->leaders_removed++;
    }
    n->state.hash = w->machine->apply(w, n, e); /* It may flush, the members of this point too. */
    if (!n->broken && !n->is_diverged)
        check_applied(w, n, e);
    sim_note(w, e->index ^ (uint64_t)n->number << 56);
    sim_note(w, n->state.hash);
}

/* The process ends, or its machine, and is started again. */
static void die(struct sim_world *w, struct sim_node *n)
{
    struct sim_event e = {.type = SIM_RESTART, .node = n->number};

    sim_node_crash(w, n, sim_percent(w, 50));
    sim_at(w, sim_between(w, SIM_MS, 500 * SIM_MS), &e);
}

static void on_apply(struct sim_world *w, struct sim_node *n)
{
    struct raft_event ev = {.type = RAFT_EV_APPLIED};
    const struct raft_entry *e;
    struct raft_update up;
    int r = 0;

    n->apply_scheduled = n->read_failed = false;
    while (n->state.at.index < n->commit_index && !w->failed && !n->broken) {
        r = raft_entry_get(n->raft, n->state.at.index + 1, &e);
        if (r < 0)
            break;
        apply_one(w, n, e);
        if (w->now_ns < n->slow_apply_until_ns)
            break;
    }
    if (r == -EIO && n->read_failed) { /* As node_propose.c: it cannot do without. */
        die(w, n);
        return;
    }
    if (r < 0 && r != -EAGAIN)
        sim_fail(w, "node %u cannot read entry %lu to apply", n->number + 1,
                 UL(n->state.at.index + 1));
    if (n->broken) {
        die(w, n);
        return;
    }
    ev.index = n->state.at.index;
    schedule_apply(w, n);
    if (sim_node_step(w, n, &ev, &up) < 0)
        sim_fail(w, "node %u: applied beyond the commit", n->number + 1);
}

static void on_deliver(struct sim_world *w, struct sim_node *n, const struct sim_event *e)
{
    struct raft_event ev = {.type = RAFT_EV_MESSAGE};
    struct raft_update up;
    struct raft_msg msg;
    bool young;

    if (raft_msg_decode(e->bytes, e->len, &msg) < 0) {
        sim_fail(w, "a message of node %lu cannot be decoded", UL(e->peer.v));
        return;
    }
    if (msg.to.v != n->id) { /* For who had the disk before. */
        raft_msg_done(&msg);
        return;
    }
    ev.msg = &msg;
    young = sim_clock(w, n) - n->started_ns < 1000 * SIM_MS;
    (void)sim_node_step(w, n, &ev, &up);
    for (size_t i = 0; i < up.message_count; i++) {
        const struct raft_msg *reply = &up.messages[i];

        if ((reply->type == RAFT_MSG_VOTE_REPLY || reply->type == RAFT_MSG_PREVOTE_REPLY) &&
            !reply->vote_reply.granted) {
            w->stats->quarantine_refusals += young;
            w->stats->stale_transfers += msg.type == RAFT_MSG_VOTE && msg.vote.transfer;
        }
    }
    raft_msg_done(&msg);
}

static void on_synced(struct sim_world *w, struct sim_node *n)
{
    struct raft_event ev = {.type = RAFT_EV_DURABLE};
    struct raft_update up;

    if (w->now_ns < n->disk_stalled_until_ns && !w->quiet) {
        struct sim_event again = {.type = SIM_SYNCED, .node = n->number, .life = n->life};

        sim_at(w, sim_between(w, 50 * SIM_MS, 200 * SIM_MS), &again);
        return;
    }
    if (w->storage != NULL) {
        n->syncing = n->write_count;   /* All that waits goes with it. */
        if (!w->storage->sync(w, n)) { /* A write or sync failed. */
            die(w, n);
            return;
        }
    }
    ev.write_id = n->durable_write = sim_disk_synced(n);
    (void)sim_node_step(w, n, &ev, &up);
    sim_disk_sync(w, n);
}

static void on_snapshot_made(struct sim_world *w, struct sim_node *n, struct raft_id peer)
{
    struct raft_event ev = {.type = RAFT_EV_SNAPSHOT_READY};
    struct raft_update up;

    if (n->is_diverged || (!w->quiet && sim_percent(w, 10))) {
        ev.type = RAFT_EV_SNAPSHOT_FAILED;
        ev.peer = peer;
    } else {
        n->checkpoint = n->state;
        if (w->machine->checkpoint != NULL)
            w->machine->checkpoint(w, n);
        ev.snapshot.peer = peer;
        ev.snapshot.point = n->state.at;
    }
    (void)sim_node_step(w, n, &ev, &up);
}

/* Another one was made since: who still asks for this one must be offered that. */
static void tell_snapshot_gone(struct sim_world *w, struct sim_node *source,
                               const struct sim_node *n)
{
    struct raft_event ev = {.type = RAFT_EV_SNAPSHOT_FAILED, .peer = {n->id}};
    struct raft_update up;

    (void)sim_node_step(w, source, &ev, &up);
}

static bool dies_in_install(struct sim_world *w, struct sim_node *n)
{
    if (w->quiet || !(w->faults & SIM_FAULT_CRASH) || !sim_percent(w, 15))
        return false;
    w->stats->install_crashes++;
    die(w, n);
    return true;
}

/*
 * The state is swapped and durable at once; the log follows as a write of its own. Who dies before
 * has the old state and the old log, who dies between has the new state and the old log.
 */
static void on_snapshot_fetched(struct sim_world *w, struct sim_node *n, const struct sim_event *e)
{
    struct raft_event ev = {.type = RAFT_EV_SNAPSHOT_INSTALLED};
    struct sim_node *source = sim_node_of(w, e->peer);
    struct raft_update up;
    bool there = source->up && source->id == e->peer.v &&
                 source->checkpoint.at.index == e->point.index &&
                 source->checkpoint.at.term == e->point.term;

    if (source->up && source->id == e->peer.v && !there)
        tell_snapshot_gone(w, source, n);
    if (!there || w->cut[source->number][n->number] || e->point.index <= n->state.at.index ||
        (!w->quiet && sim_percent(w, 10)) || n->role == RAFT_LEADER) {
        ev.type = RAFT_EV_INSTALL_FAILED;
        (void)sim_node_step(w, n, &ev, &up);
        return;
    }
    if (dies_in_install(w, n))
        return;
    sim_trace(w, "node %u installs a snapshot at %lu", n->number + 1, UL(e->point.index));
    n->state = source->checkpoint;
    n->flushed = n->state;
    n->is_diverged = false;
    if (w->machine->install != NULL)
        w->machine->install(w, n, source);
    check_state(w, n);
    if (dies_in_install(w, n))
        return;
    ev.installed = n->state.at;
    w->stats->installs++;
    if (n->commit_index < n->state.at.index)
        n->commit_index = n->state.at.index;
    if (sim_node_step(w, n, &ev, &up) < 0)
        sim_fail(w, "node %u refuses what it installed", n->number + 1);
    if (!up.log_reset) {
        const struct raft_entry *last = sim_log_find(&n->log, ev.installed.index);

        w->stats->installs_on_log++;
        if (last == NULL || last->term != ev.installed.term)
            sim_fail(w, "R8: node %u keeps a log that contradicts its snapshot at %lu",
                     n->number + 1, UL(ev.installed.index));
    }
}

static void flush(struct sim_world *w, struct sim_node *n)
{
    if (n->is_diverged) /* What differs is in memory alone when it is found. */
        return;
    n->flushed = n->state;
    if (w->machine->flush != NULL)
        w->machine->flush(w, n);
}

/* As node_care.c: the state machine is flushed now and then, and the log cut behind it. */
void sim_node_compact(struct sim_world *w, struct sim_node *n, bool forced)
{
    struct log_keep keep = {
        .log_bytes_max =
            !forced && sim_percent(w, 50) ? UINT64_MAX : 0, /* Room for followers, or none. */
        .log_bytes = 1,
        .now_ns = sim_clock(w, n),
        .live_ns = 1000 * SIM_MS,
    };
    struct raft_event ev = {.type = RAFT_EV_COMPACTED};
    struct raft_status status;
    struct raft_update up;

    if (forced || sim_percent(w, 70))
        flush(w, n);
    raft_status(n->raft, &status);
    keep.flushed_index = n->flushed.at.index;
    ev.index = log_keep_from(&keep, &status);
    if (w->storage != NULL)
        ev.index = w->storage->compact(w, n, ev.index - 1);
    if (ev.index <= n->log.first)
        return;
    sim_log_cut(&n->durable, ev.index);
    sim_log_cut(&n->log, ev.index);
    if (sim_node_step(w, n, &ev, &up) < 0)
        sim_fail(w, "node %u: compaction refused", n->number + 1);
}

void sim_node_event(struct sim_world *w, const struct sim_event *e)
{
    struct sim_node *n = &w->nodes[e->node];
    struct raft_event tick = {.type = RAFT_EV_TICK};
    struct raft_update up;

    if (e->type == SIM_RESTART) {
        if (!n->up)
            sim_node_start(w, n);
        return;
    }
    if (!n->up || (e->life != 0 && e->life != n->life))
        return;
    switch (e->type) {
    case SIM_TICK:
        (void)sim_node_step(w, n, &tick, &up);
        schedule_tick(w, n);
        break;
    case SIM_DELIVER:
        on_deliver(w, n, e);
        break;
    case SIM_SYNCED:
        on_synced(w, n);
        break;
    case SIM_APPLY:
        on_apply(w, n);
        break;
    case SIM_SNAPSHOT_MADE:
        on_snapshot_made(w, n, e->peer);
        break;
    case SIM_SNAPSHOT_FETCHED:
        on_snapshot_fetched(w, n, e);
        break;
    case SIM_REQUEST:
        w->machine->event(w, e);
        break;
    case SIM_RESTART:
    case SIM_TROUBLE:
    case SIM_READ:
    case SIM_CLIENT:
        break;
    }
    if (w->machine->turn != NULL && n->up && !w->failed)
        w->machine->turn(w, n);
}
