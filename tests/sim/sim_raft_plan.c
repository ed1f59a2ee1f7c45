/*
 * What happens in one schedule: clients, and trouble of the kinds that the
 * seed switched on; then quiet, in which the group must be whole again within bounded time.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "namenode/mutants.h"
#include "raft/mem.h"
#include "tests/sim/sim_raft.h"

static const int64_t quiet_max_ns = 30000 * SIM_MS;

#define UL(v) ((unsigned long)(v))

static struct sim_node *any_node(struct sim_world *w)
{
    return &w->nodes[sim_below(w, w->node_count)];
}

static struct sim_node *any_up(struct sim_world *w)
{
    struct sim_node *n = any_node(w);

    return n->up && n->paused_until_ns <= w->now_ns ? n : NULL;
}

struct sim_node *sim_some_leader(struct sim_world *w)
{
    size_t start = sim_below(w, w->node_count);

    for (size_t i = 0; i < w->node_count; i++) {
        struct sim_node *n = &w->nodes[(start + i) % w->node_count];

        if (n->up && n->role == RAFT_LEADER && n->paused_until_ns <= w->now_ns)
            return n;
    }
    return NULL;
}

void sim_again(struct sim_world *w, enum sim_event_type type, int64_t min, int64_t max)
{
    struct sim_event e = {.type = type};

    sim_at(w, sim_between(w, min, max), &e);
}

int sim_read_at(struct sim_world *w, struct sim_node *n, uint64_t *ret_id)
{
    struct raft_event ev = {.type = RAFT_EV_READ};
    struct raft_update up;
    struct sim_read read = {.node = n->number, .life = n->life, .commit_before = w->max_commit};
    int r;

    read.follower = n->role != RAFT_LEADER;
    read.lease = !read.follower; /* If it needs no message, so ends in this step. */
    w->reads = raft_grow(w->reads, w->read_count, &w->read_cap, sizeof(*w->reads));
    *ret_id = ev.read_id = w->read_count;
    w->reads[w->read_count++] = read;
    r = sim_node_step(w, n, &ev, &up);
    w->reads[ev.read_id].lease = false;
    if (r < 0)
        w->reads[ev.read_id].done = true;
    return r;
}

static void read_some(struct sim_world *w)
{
    struct sim_node *n = sim_percent(w, 70) ? sim_some_leader(w) : any_up(w);
    uint64_t id;

    sim_again(w, SIM_READ, 2 * SIM_MS, 50 * SIM_MS);
    if (n != NULL)
        (void)sim_read_at(w, n, &id);
}

static void heal_cuts(struct sim_world *w)
{
    memset(w->cut, 0, sizeof(w->cut));
    memset(w->request_cut, 0, sizeof(w->request_cut));
    memset(w->reply_cut, 0, sizeof(w->reply_cut));
    w->cut_until_ns = 0;
}

static void cut_one_way(struct sim_world *w, unsigned from, unsigned to)
{
    if (from != to)
        w->cut[from][to] = true;
}

/* Some clients, or all, from some namenodes or all: one way or both. */
static void cut_clients(struct sim_world *w)
{
    const struct sim_node *leader = sim_some_leader(w);
    uint64_t who = sim_percent(w, 40) ? UINT64_MAX : sim_random(w);
    uint64_t way = sim_below(w, 3), nodes = sim_random(w);

    if (leader != NULL && sim_percent(w, 60))
        nodes = UINT64_C(1) << leader->number;
    for (unsigned i = 0; i < w->node_count; i++) {
        if (!(nodes >> i & 1))
            continue;
        w->request_cut[i] = way != 1 ? who : 0;
        w->reply_cut[i] = way != 0 ? who : 0;
    }
    sim_trace(w, "partition of clients, way %lu", UL(way));
}

static void trouble_partition(struct sim_world *w)
{
    unsigned a = (unsigned)sim_below(w, w->node_count), b = (unsigned)sim_below(w, w->node_count);
    uint64_t side = sim_random(w);
    uint64_t kind = sim_below(w, 4);

    w->cut_until_ns = w->now_ns + sim_between(w, 100 * SIM_MS, 3000 * SIM_MS);
    if (sim_percent(w, 30))
        cut_clients(w);
    if (sim_percent(w, 20))
        return; /* That alone, or nothing. */
    if (sim_percent(w, 40) && sim_some_leader(w) != NULL)
        a = sim_some_leader(w)->number;
    for (unsigned i = 0; i < w->node_count; i++) {
        for (unsigned k = 0; k < w->node_count; k++) {
            if ((kind == 0 && (i == a || k == a)) ||                         /* Alone. */
                (kind == 1 && i == a) ||                                     /* Heard by nobody. */
                (kind == 2 && ((i == a && k == b) || (i == b && k == a))) || /* Two apart. */
                (kind == 3 && ((side >> i & 1) != (side >> k & 1))))         /* Two halves. */
                cut_one_way(w, i, k);
        }
    }
    sim_trace(w, "partition of kind %lu around node %u", UL(kind), a + 1);
}

static const struct sim_node *newest_leader(const struct sim_world *w)
{
    const struct sim_node *leader = NULL;

    for (unsigned i = 0; i < w->node_count; i++) {
        const struct sim_node *n = &w->nodes[i];

        if (n->up && n->role == RAFT_LEADER && (leader == NULL || n->term > leader->term))
            leader = n;
    }
    return leader;
}

static unsigned count_voters(const struct raft_conf *conf)
{
    unsigned voters = 0;

    for (unsigned i = 0; i < conf->count; i++)
        voters += conf->members[i].voter;
    return voters;
}

static bool same_members(const struct raft_conf *a, const struct raft_conf *b)
{
    for (unsigned i = 0; i < a->count && a->count == b->count; i++) {
        if (a->members[i].id.v != b->members[i].id.v || a->members[i].voter != b->members[i].voter)
            return false;
    }
    return a->count == b->count;
}

/*
 * One member for good, once in a schedule, when the others can go on: a leader that all follow knows of
 * no other membership than the one in force, nobody else is down or damaged, and no older change can
 * still come true.
 */
static bool may_lose_disk(const struct sim_world *w, const struct sim_node *n)
{
    const struct sim_node *leader = newest_leader(w);
    unsigned voters_min = w->faults & SIM_FAULT_DAMAGE ? 4 : 3;

    if (w->disk_is_lost || leader == NULL || leader->state.at.index < leader->own_first ||
        n->id + SIM_NODES_MAX >= SIM_IDS_MAX)
        return false;
    for (unsigned i = 0; i < w->node_count; i++) {
        if (!w->nodes[i].up || w->nodes[i].faulty_to > 0 || w->nodes[i].is_diverged ||
            w->nodes[i].is_set_aside || w->nodes[i].term > leader->term)
            return false;
    }
    return same_members(raft_conf(leader->raft), &leader->state.at.conf) &&
           raft_conf_find(raft_conf(leader->raft), (struct raft_id){n->id}) != NULL &&
           count_voters(raft_conf(leader->raft)) >= voters_min;
}

/* A member that will never answer: its disk is lost. */
static const struct raft_member *find_dead(const struct sim_world *w, const struct raft_conf *conf)
{
    for (unsigned i = 0; i < conf->count; i++) {
        if (!sim_is_alive(w, conf->members[i].id))
            return &conf->members[i];
    }
    return NULL;
}

/*
 * A leader that was cut off while it promoted a learner, which does not know of it, needs that one's vote. It
 * does not get it when the learner has entries of a newer leader, who is left alone with a majority that
 * another damaged voter takes away: nobody can lead (docs/VERIFICATION.md).
 */
static bool counts_on_a_learner(const struct sim_world *w, const struct sim_node *n)
{
    for (unsigned i = 0; i < w->node_count; i++) {
        const struct sim_node *o = &w->nodes[i];
        struct raft_id id = {o->id};
        const struct raft_member *there = raft_conf_find(raft_conf(n->raft), id), *here;

        if (!o->up || there == NULL || !there->voter)
            continue;
        here = raft_conf_find(raft_conf(o->raft), id);
        if (here == NULL || !here->voter)
            return true;
    }
    return false;
}

/* Only if enough whole replicas remain: two damaged ones may be one too many. */
bool sim_may_damage(const struct sim_world *w)
{
    unsigned down = 0;

    for (unsigned i = 0; i < w->node_count; i++) {
        const struct sim_node *n = &w->nodes[i];

        down += !n->up;
        if ((w->faults & SIM_FAULT_CONF) && (down > 1 || (n->up && counts_on_a_learner(w, n))))
            return false;
        if (n->faulty_to > 0 || n->is_diverged || n->is_set_aside ||
            (w->storage != NULL && !w->storage->is_whole(n)))
            return false;
    }
    return w->faults & SIM_FAULT_DAMAGE && !w->disk_is_lost;
}

static void damage(struct sim_world *w, struct sim_node *n)
{
    uint64_t last = sim_log_last(&n->durable), term, from;

    if (n->durable.count == 0 || !sim_may_damage(w))
        return;
    term = n->durable.entries[n->durable.count - 1].term;
    if (w->storage != NULL) {
        if (!w->storage->damage(w, n))
            return;
    } else {
        from = last - sim_below(w, n->durable.count < 6 ? n->durable.count : 6);
        sim_trace(w, "node %u: entries %lu..%lu are damaged", n->number + 1, UL(from), UL(last));
        sim_log_truncate(&n->durable, from);
    }
    n->faulty_to = last;
    n->faulty_term = n->lost_term = term;
    w->stats->damages++;
    w->stats->damages_with_confs += (w->faults & SIM_FAULT_CONF) != 0;
}

/* Crashes are most telling while something is on its way to the disk. */
static struct sim_node *any_writing(struct sim_world *w)
{
    struct sim_node *n = any_node(w);

    for (unsigned i = 0; i < w->node_count && n->write_count == 0; i++)
        n = &w->nodes[i];
    return n;
}

static struct sim_node *leader_or_any(struct sim_world *w, unsigned percent)
{
    struct sim_node *n = sim_percent(w, percent) ? sim_some_leader(w) : NULL;

    return n != NULL ? n : any_node(w);
}

static void trouble_crash(struct sim_world *w)
{
    struct sim_node *n = sim_percent(w, 40) ? any_writing(w) : leader_or_any(w, 60);
    struct sim_event e = {.type = SIM_RESTART, .node = n->number};
    bool power = (w->faults & SIM_FAULT_POWER) && sim_percent(w, 70), loses_disk;

    if (!n->up)
        return;
    loses_disk = w->faults & SIM_FAULT_CONF && sim_percent(w, 15) && may_lose_disk(w, n);
    sim_node_crash(w, n, power);
    if (loses_disk) {
        w->disk_is_lost = true;
        sim_node_wipe(w, n);
        w->stats->lost_disks++;
    } else if ((w->faults & SIM_FAULT_DAMAGE) && sim_percent(w, 40))
        damage(w, n);
    sim_at(w,
           sim_percent(w, 60) ? sim_between(w, SIM_MS, 100 * SIM_MS)
                              : sim_between(w, 100 * SIM_MS, 2500 * SIM_MS),
           &e);
}

static void trouble_pause(struct sim_world *w)
{
    struct sim_node *n = leader_or_any(w, 60);

    n->paused_until_ns = w->now_ns + sim_between(w, 20 * SIM_MS, 2500 * SIM_MS);
    w->stats->pauses++;
    sim_trace(w, "node %u pauses for %ld ms", n->number + 1,
              (long)((n->paused_until_ns - w->now_ns) / SIM_MS));
}

/* Of two voters, one damaged or dead, nobody could help them. */
static bool may_remove(const struct sim_world *w, const struct raft_conf *conf, struct raft_id id)
{
    bool is_alive = sim_is_alive(w, id);

    if (is_alive && find_dead(w, conf) != NULL)
        return false;
    return conf->count > 2 &&
           (!is_alive || !(w->faults & SIM_FAULT_DAMAGE) || count_voters(conf) > 3);
}

/* Whom to add, promote or remove: soon one who is dead. */
static struct raft_id any_member(struct sim_world *w, const struct raft_conf *conf)
{
    const struct raft_member *dead = find_dead(w, conf);

    return dead != NULL && sim_percent(w, 60) ? dead->id : (struct raft_id){any_node(w)->id};
}

/* It was removed, and that is for ever: it comes back with an empty disk. */
static bool begin_again(struct sim_world *w, const struct sim_node *leader, struct raft_id *id)
{
    struct sim_node *n = sim_node_of(w, *id);

    if (n == leader || n->id != id->v || n->id + SIM_NODES_MAX >= SIM_IDS_MAX)
        return false;
    sim_node_crash(w, n, false);
    sim_node_wipe(w, n);
    sim_node_start(w, n);
    id->v = n->id;
    return true;
}

static void trouble_conf(struct sim_world *w)
{
    struct sim_node *n = sim_some_leader(w);
    struct raft_event ev = {.type = RAFT_EV_CONF_CHANGE};
    const struct raft_member *member;
    struct raft_update up;
    struct raft_id id;
    int r;

    if (n == NULL)
        return;
    id = any_member(w, raft_conf(n->raft));
    if (w->gone[id.v] && !begin_again(w, n, &id))
        return;
    member = raft_conf_find(raft_conf(n->raft), id);
    if (member == NULL && raft_conf_find(&w->members, id) != NULL)
        return; /* Its removal is not over; or this leader knows nothing of its joining. */
    ev.conf_change.member.id = id;
    ev.conf_change.member.uuid.b[0] = (uint8_t)id.v;
    ev.conf_change.op = member == NULL                          ? RAFT_CONF_ADD_LEARNER
                        : !member->voter && sim_is_alive(w, id) ? RAFT_CONF_PROMOTE
                                                                : RAFT_CONF_REMOVE;
    if (ev.conf_change.op == RAFT_CONF_REMOVE && !may_remove(w, raft_conf(n->raft), id))
        return;
    r = sim_node_step(w, n, &ev, &up);
    if (r < 0)
        return;
    check_conf(w, n, &up.entries[0]);
    w->stats->promotions += ev.conf_change.op == RAFT_CONF_PROMOTE;
    w->stats->rejoins += ev.conf_change.op == RAFT_CONF_PROMOTE && id.v > SIM_NODES_MAX;
    sim_trace(w, "node %u changes the membership: %d of node %lu", n->number + 1, ev.conf_change.op,
              UL(id.v));
}

/* Somebody sets the time, by up to an hour. What raft measures with does not know of it. */
static void trouble_clock(struct sim_world *w)
{
    struct sim_node *n = leader_or_any(w, 60);

    n->wall_offset_ns = sim_between(w, -3600000 * SIM_MS, 3600000 * SIM_MS);
    w->stats->clock_jumps++;
    sim_trace(w, "node %u sets its clock by %ld ms", n->number + 1,
              (long)(n->wall_offset_ns / SIM_MS));
}

static void trouble_transfer(struct sim_world *w)
{
    struct sim_node *n = sim_some_leader(w);
    struct raft_event ev = {.type = RAFT_EV_TRANSFER};
    struct raft_update up;

    if (n == NULL)
        return;
    ev.peer = (struct raft_id){any_node(w)->id};
    if (sim_node_step(w, n, &ev, &up) == 0)
        sim_trace(w, "node %u hands over to node %lu", n->number + 1, UL(ev.peer.v));
}

static void trouble_compact(struct sim_world *w)
{
    struct sim_node *n = sim_percent(w, 50) ? sim_some_leader(w) : any_up(w);

    if (n != NULL)
        sim_node_compact(w, n, false);
}

static void trouble_slow_disk(struct sim_world *w)
{
    struct sim_node *n = any_node(w);

    n->disk_slow_until_ns = w->now_ns + sim_between(w, 0, 2000 * SIM_MS);
    if (!sim_percent(w, 5))
        return;
    n->disk_stalled_until_ns = w->now_ns + sim_between(w, 1000 * SIM_MS, 180000 * SIM_MS);
    w->stats->stalls++;
    sim_trace(w, "the disk of node %u stands still", n->number + 1);
}

static void trouble_space(struct sim_world *w)
{
    struct sim_node *n = leader_or_any(w, 40);

    if (!sim_percent(w, 20))
        return;
    n->disk_short_until_ns = w->now_ns + sim_between(w, 200 * SIM_MS, 3000 * SIM_MS);
    sim_trace(w, "the disk of node %u is nearly full", n->number + 1);
}

/* What a correct node may do, though it seldom does. */
static void trouble_odd(struct sim_world *w)
{
    struct sim_node *n = leader_or_any(w, 40);
    int64_t until_ns = w->now_ns + sim_between(w, 10 * SIM_MS, 1500 * SIM_MS);

    if (!n->up || n->paused_until_ns > w->now_ns)
        return;
    switch (sim_below(w, 4)) {
    case 0: /* Of a leader: another will be elected, and this one step down. */
        n->mute_until_ns = until_ns;
        w->stats->mutes++;
        break;
    case 1:
        n->slow_apply_until_ns = until_ns;
        w->stats->slow_applies++;
        break;
    case 2:
        n->hidden_until_ns = until_ns;
        w->stats->hidden_entries++;
        break;
    default: /* Who lags gets a snapshot instead of the log. */
        sim_node_compact(w, n, true);
        w->stats->forced_cuts++;
    }
}

static void trouble_unreachable(struct sim_world *w)
{
    struct sim_node *n = sim_some_leader(w);
    struct raft_event ev = {.type = RAFT_EV_PEER_UNREACHABLE};
    struct raft_update up;

    if (n == NULL)
        return;
    ev.peer = (struct raft_id){any_node(w)->id};
    (void)sim_node_step(w, n, &ev, &up);
}

static void make_trouble(struct sim_world *w)
{
    enum sim_fault fault = 1u << sim_below(w, SIM_FAULT_COUNT);

    if (w->quiet)
        return;
    for (unsigned tries = 0; tries < 8 && !(w->faults & fault); tries++)
        fault = 1u << sim_below(w, SIM_FAULT_COUNT);
    sim_again(w, SIM_TROUBLE, 5 * SIM_MS, w->trouble_max_ns);
    if (w->cut_until_ns > 0 && w->now_ns >= w->cut_until_ns)
        heal_cuts(w);
    if (!(w->faults & fault))
        return;
    if (fault == SIM_FAULT_PARTITION && w->cut_until_ns == 0)
        trouble_partition(w);
    else if (fault == SIM_FAULT_CRASH)
        trouble_crash(w);
    else if (fault == SIM_FAULT_PAUSE)
        trouble_pause(w);
    else if (fault == SIM_FAULT_SLOW_DISK)
        trouble_slow_disk(w);
    else if (fault == SIM_FAULT_SPACE)
        trouble_space(w);
    else if (fault == SIM_FAULT_ODD)
        trouble_odd(w);
    else if (fault == SIM_FAULT_COMPACT)
        trouble_compact(w);
    else if (fault == SIM_FAULT_CONF)
        trouble_conf(w);
    else if (fault == SIM_FAULT_CLOCKS)
        trouble_clock(w);
    else if (fault == SIM_FAULT_TRANSFER)
        trouble_transfer(w);
    else if (fault == SIM_FAULT_LOSS)
        trouble_unreachable(w);
}

static void begin_quiet(struct sim_world *w)
{
    w->quiet = true;
    heal_cuts(w);
    sim_trace(w, "quiet");
    for (unsigned i = 0; i < w->node_count; i++) {
        w->nodes[i].paused_until_ns = 0;
        w->nodes[i].disk_slow_until_ns = w->nodes[i].disk_stalled_until_ns = 0;
        w->nodes[i].disk_short_until_ns = 0;
        w->nodes[i].mute_until_ns = w->nodes[i].slow_apply_until_ns = 0;
        w->nodes[i].hidden_until_ns = 0;
        if (!w->nodes[i].up)
            sim_node_start(w, &w->nodes[i]);
    }
}

static bool reads_are_done(const struct sim_world *w)
{
    for (size_t i = 0; i < w->read_count; i++) {
        const struct sim_read *read = &w->reads[i];

        if (!read->done && w->nodes[read->node].life == read->life)
            return false;
    }
    return true;
}

static void tell_state(struct sim_world *w)
{
    struct raft_status s;

    for (unsigned i = 0; i < w->node_count; i++) {
        if (!w->nodes[i].up)
            continue;
        raft_status(w->nodes[i].raft, &s);
        sim_trace(w, "node %u: %s of term %lu, log %lu..%lu, durable %lu, commit %lu, applied %lu",
                  i + 1, raft_role_name(s.role), UL(s.term), UL(s.base_index), UL(s.last_index),
                  UL(s.durable_index), UL(s.commit_index), UL(s.applied_index));
        for (unsigned k = 0; s.role == RAFT_LEADER && k < s.peer_count; k++)
            sim_trace(w, "    peer %lu %s: %s, match %lu", UL(s.peers[k].id.v),
                      s.peers[k].voter ? "voter" : "learner", s.peers[k].state,
                      UL(s.peers[k].match_index));
    }
}

/* Is one leader followed by all its members, and has all that was ever committed reached them? */
static bool is_whole(const struct sim_world *w)
{
    const struct sim_node *leader = newest_leader(w);
    const struct raft_conf *conf;

    if (leader == NULL || leader->commit_index < leader->own_first)
        return false;
    conf = raft_conf(leader->raft);
    for (unsigned i = 0; i < conf->count; i++) {
        const struct sim_node *n = &w->nodes[sim_number_of(conf->members[i].id)];

        if (!sim_is_alive(w, conf->members[i].id))
            continue; /* Until somebody removes it. */
        if (n->term != leader->term || n->state.at.index < leader->own_first ||
            n->state.at.index + 20 < w->max_commit || n->faulty_to > 0)
            return false;
    }
    return true;
}

static void note_event(struct sim_world *w, const struct sim_event *e)
{
    sim_note(w, (uint64_t)e->at_ns);
    sim_note(w, (uint64_t)e->type << 32 ^ (uint64_t)e->node << 48 ^ e->life);
    sim_note(w, e->peer.v);
    sim_note(w, e->point.index);
    sim_note(w, e->point.term);
    sim_note(w, e->number);
    sim_note_bytes(w, e->bytes, e->len);
}

static void handle_event(struct sim_world *w, struct sim_event *e)
{
    struct sim_node *n = &w->nodes[e->node];

    note_event(w, e);
    w->stats->events++;
    switch (e->type) {
    case SIM_TROUBLE:
        make_trouble(w);
        break;
    case SIM_READ:
        read_some(w);
        break;
    case SIM_CLIENT:
        w->machine->event(w, e);
        break;
    case SIM_REQUEST:
    case SIM_TICK:
    case SIM_DELIVER:
    case SIM_SYNCED:
    case SIM_APPLY:
    case SIM_RESTART:
    case SIM_SNAPSHOT_MADE:
    case SIM_SNAPSHOT_FETCHED:
        if (n->up && n->paused_until_ns > w->now_ns) {
            sim_at(w, n->paused_until_ns - w->now_ns, e);
            return; /* It keeps its bytes. */
        }
        sim_node_event(w, e);
        break;
    }
    free(e->bytes);
}

static void run_until(struct sim_world *w, int64_t until_ns, bool (*done)(const struct sim_world *))
{
    struct sim_event e;

    while (!w->failed && w->now_ns < until_ns && (done == NULL || !done(w)) && sim_next(w, &e))
        handle_event(w, &e);
}

static bool is_whole_with_reads(const struct sim_world *w)
{
    return is_whole(w) && reads_are_done(w) &&
           (w->machine->is_whole == NULL || w->machine->is_whole(w));
}

static void check_liveness(struct sim_world *w)
{
    int64_t began_ns = w->now_ns;

    begin_quiet(w);
    run_until(w, w->now_ns + quiet_max_ns, is_whole);
    if (w->now_ns - began_ns > w->stats->recovery_max_ns)
        w->stats->recovery_max_ns = w->now_ns - began_ns;
    if (!is_whole(w))
        tell_state(w);
    if (!w->failed && !is_whole(w))
        sim_fail(w, "liveness: not whole again after %ld s of quiet",
                 (long)(quiet_max_ns / 1000 / SIM_MS));
    run_until(w, w->now_ns + quiet_max_ns, is_whole_with_reads);
    if (!is_whole_with_reads(w))
        tell_state(w);
    if (!w->failed && !is_whole_with_reads(w))
        sim_fail(w, "liveness: a read or a request has no end");
}

static void set_up_group(struct sim_world *w)
{
    unsigned founders;

    w->node_count = 3 + (unsigned)sim_below(w, 3);
    founders = sim_percent(w, 80) ? w->node_count : 1 + (unsigned)sim_below(w, w->node_count);
    if ((!(w->faults & SIM_FAULT_CONF) || w->faults & SIM_FAULT_DAMAGE) && founders < 3)
        founders = 3;
    for (unsigned i = 0; i < founders; i++) {
        struct raft_member *m = &w->founders.members[w->founders.count++];

        *m = (struct raft_member){.id = {i + 1}, .voter = true};
        m->uuid.b[0] = (uint8_t)(i + 1);
    }
    w->members = w->founders;
    for (unsigned i = 0; i < w->node_count; i++) {
        struct sim_node *n = &w->nodes[i];

        n->world = w;
        n->number = i;
        n->id = i + 1;
        n->clock_offset_ns = sim_between(w, SIM_MS, 100000 * SIM_MS);
        if (w->faults & SIM_FAULT_CLOCKS)
            n->clock_ppm = sim_between(w, -5000, 5000);
        n->durable.first = 1;
        n->log.first = 1;
        if (i < founders)
            n->flushed.at.conf = w->founders;
        sim_node_start(w, n);
    }
}

static void set_up(struct sim_world *w)
{
    w->faults = (unsigned)sim_random(w) & SIM_FAULT_ALL;
    if (sim_percent(w, 10))
        w->faults = SIM_FAULT_ALL;
    w->read_lease = sim_percent(w, 70);
    if (w->faults & SIM_FAULT_LOSS)
        w->loss_percent = 1 + (unsigned)sim_below(w, 20);
    if (w->faults & SIM_FAULT_DELAY)
        w->delay_percent = 1 + (unsigned)sim_below(w, 50);
    if (w->faults & SIM_FAULT_DUPLICATE)
        w->duplicate_percent = 1 + (unsigned)sim_below(w, 20);
    w->sync_max_ns = sim_percent(w, 50) ? 2 * SIM_MS : sim_between(w, 2 * SIM_MS, 40 * SIM_MS);
    w->trouble_max_ns = sim_between(w, 50 * SIM_MS, 500 * SIM_MS);
    w->is_long = sim_percent(w, 1);
    if (w->is_long)
        w->trouble_max_ns *= 10;
    if (w->machine->set_up != NULL)
        w->machine->set_up(w);
    set_up_group(w);
    sim_again(w, SIM_TROUBLE, 0, 2000 * SIM_MS);
    sim_again(w, SIM_READ, 0, 1000 * SIM_MS);
}

static void tear_down(struct sim_world *w)
{
    if (w->machine->tear_down != NULL)
        w->machine->tear_down(w);
    for (unsigned i = 0; i < w->node_count; i++) {
        raft_free(w->nodes[i].raft);
        if (w->storage != NULL)
            w->storage->done(w, &w->nodes[i]);
        sim_disk_done(&w->nodes[i]);
    }
    sim_events_free(w);
    free(w->indexes);
    free(w->leaders);
    free(w->votes);
    free(w->reads);
}

void sim_run(const struct sim_options *options, struct sim_stats *stats, struct sim_result *result)
{
    struct sim_world *w = raft_alloc(1, sizeof(*w));

    w->rng = options->seed;
    w->trace = options->trace;
    w->machine = options->machine;
    w->mutant = options->mutant;
#ifdef NAMENODE_MUTANTS
    namenode_mutant = options->nn_mutant;
#endif
    w->stats = stats;
    set_up(w);
    run_until(w, sim_between(w, 3000 * SIM_MS, 20000 * SIM_MS) * (w->is_long ? 10 : 1), NULL);
    if (!w->failed)
        check_liveness(w);
    if (!w->failed && w->machine->check_end != NULL)
        w->machine->check_end(w);
    stats->virtual_ns += w->now_ns;
    result->failed = w->failed;
    result->hash = w->hash;
    memcpy(result->why, w->why, sizeof(result->why));
    tear_down(w);
    free(w);
}
