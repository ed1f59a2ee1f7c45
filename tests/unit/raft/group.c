/* Replicas by hand. See group.h. */
#include "tests/unit/raft/group.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const int64_t ms = 1000000;

static int read_entries(void *ctx, uint64_t first, size_t entry_max, size_t bytes_max,
                        struct raft_entry *entries)
{
    struct group_node *n = ctx;
    size_t count = 0;

    (void)bytes_max;
    if (n->fetching > 0) {
        n->fetching--;
        return -EAGAIN;
    }
    if (first < n->first)
        return -ENOENT;
    for (uint64_t i = first; i <= n->last && count < entry_max; i++, count++) {
        entries[count] = *n->log[i];
        raft_buf_ref(entries[count].buf);
    }
    return count > 0 ? (int)count : -ENOENT;
}

struct group *group_new(unsigned count)
{
    struct group *g = calloc(1, sizeof(*g));

    assert(g != NULL && count <= GROUP_NODES_MAX);
    g->count = count;
    g->now_ns = 1000 * ms;
    raft_config_init(&g->config);
    g->config.cluster.b[0] = 9;
    g->config.entries_read = read_entries;
    g->founders.count = count;
    for (unsigned i = 0; i < GROUP_NODES_MAX; i++) {
        struct group_node *n = &g->nodes[i];

        n->group = g;
        n->id.v = i + 1;
        n->first = 1;
        if (i < count) {
            g->founders.members[i] = (struct raft_member){.id = n->id, .voter = true};
            g->founders.members[i].uuid.b[0] = (uint8_t)(i + 1);
        }
    }
    for (unsigned i = 0; i < count; i++)
        g->nodes[i].applied.conf = g->founders;
    return g;
}

struct group_node *group_node(struct group *g, unsigned id)
{
    assert(id >= 1 && id <= GROUP_NODES_MAX);
    return &g->nodes[id - 1];
}

static void log_truncate(struct group_node *n, uint64_t from)
{
    for (; n->last >= from && n->last >= n->first; n->last--) {
        raft_buf_unref(n->log[n->last]->buf);
        free(n->log[n->last]);
        n->log[n->last] = NULL;
    }
}

static void log_append(struct group_node *n, const struct raft_entry *e)
{
    assert(e->index == n->last + 1 && e->index < GROUP_ENTRIES_MAX);
    n->log[e->index] = malloc(sizeof(*e));
    assert(n->log[e->index] != NULL);
    *n->log[e->index] = *e;
    raft_buf_ref(e->buf);
    n->last = e->index;
}

static void put_on_wire(struct group *g, const struct raft_msg *msg)
{
    size_t len = raft_msg_size(msg);
    uint8_t *bytes = malloc(len);

    assert(bytes != NULL && g->wire_count < 4096);
    raft_msg_encode(msg, bytes);
    g->wire[g->wire_count] = bytes;
    g->wire_len[g->wire_count++] = len;
}

static void take_writes(struct group_node *n, const struct raft_update *up)
{
    if (up->hard_state_changed)
        n->hard_state = up->hard_state;
    if (up->log_reset) {
        log_truncate(n, 0);
        n->first = up->log_base.index + 1;
        n->last = up->log_base.index;
    }
    if (up->truncate_from > 0)
        log_truncate(n, up->truncate_from);
    for (size_t i = 0; i < up->entry_count; i++)
        log_append(n, &up->entries[i]);
    n->unsynced = up->write_id;
}

static void apply(struct group *g, struct group_node *n, uint64_t to)
{
    struct raft_event ev = {.type = RAFT_EV_APPLIED, .index = to};
    const struct raft_entry *e;

    while (n->applied.index < to) {
        assert(raft_entry_get(n->raft, n->applied.index + 1, &e) == 0);
        n->applied.index = e->index;
        n->applied.term = e->term;
        if (e->type == RAFT_ENTRY_CONF)
            assert(raft_conf_decode(e->buf->data, e->buf->len, &n->applied.conf) == 0);
    }
    assert(group_step(g, (unsigned)n->id.v, &ev) == 0);
}

static void take_update(struct group *g, struct group_node *n, const struct raft_update *up)
{
    n->up = *up;
    if (up->write_id > 0)
        take_writes(n, up);
    for (size_t i = 0; i < up->message_count && !n->cut; i++)
        put_on_wire(g, &up->messages[i]);
    for (size_t i = 0; i < up->read_count; i++) {
        assert(n->read_count < GROUP_READS_MAX);
        n->reads[n->read_count++] = up->reads[i];
    }
    if (up->snapshot_wanted_count > 0)
        n->snapshot_wanted = up->snapshot_wanted[0];
    if (up->snapshot_offered != NULL)
        n->snapshot_offered = *up->snapshot_offered;
    if (up->fault != RAFT_FAULT_NONE)
        n->fault = up->fault;
    if (!n->disk_stuck && n->unsynced > 0)
        group_sync(g, (unsigned)n->id.v);
    else if (up->commit_index > n->applied.index)
        apply(g, n, up->commit_index);
}

int group_step(struct group *g, unsigned id, struct raft_event *ev)
{
    struct group_node *n = group_node(g, id);
    struct raft_update up;
    int r;

    ev->now_ns = g->now_ns;
    r = raft_step(n->raft, ev, &up);
    take_update(g, n, &up);
    return r;
}

void group_sync(struct group *g, unsigned id)
{
    struct group_node *n = group_node(g, id);
    struct raft_event ev = {.type = RAFT_EV_DURABLE, .write_id = n->unsynced};

    if (n->unsynced == 0)
        return;
    n->unsynced = 0;
    (void)group_step(g, id, &ev);
}

void group_start_node(struct group *g, unsigned id)
{
    struct group_node *n = group_node(g, id);
    struct raft_config config = g->config;
    struct raft_boot boot = {.hard_state = n->hard_state, .applied = n->applied};
    struct raft_update up;

    config.id = n->id;
    config.uuid.b[0] = (uint8_t)id;
    config.seed = id;
    config.entries_ctx = n;
    if (n->last >= n->first)
        boot.log_first = n->first;
    if (g->opening_ns > 0)
        boot.alone_since_ns = g->now_ns - g->opening_ns;
    n->read_count = 0;
    n->unsynced = 0;
    assert(raft_new(&config, &boot, &n->raft) == 0);
    for (uint64_t i = n->first; i <= n->last; i++)
        assert(raft_restore(n->raft, n->log[i]) == 0);
    raft_start(n->raft, g->now_ns, &up);
    take_update(g, n, &up);
}

void group_start(struct group *g)
{
    for (unsigned id = 1; id <= g->count; id++)
        group_start_node(g, id);
}

void group_stop_node(struct group *g, unsigned id)
{
    raft_free(group_node(g, id)->raft);
    group_node(g, id)->raft = NULL;
}

void group_lose(struct group *g, unsigned id, uint64_t from)
{
    log_truncate(group_node(g, id), from);
}

void group_drop(struct group *g)
{
    for (size_t i = 0; i < g->wire_count; i++)
        free(g->wire[i]);
    g->wire_count = 0;
}

void group_free(struct group *g)
{
    group_drop(g);
    for (unsigned i = 0; i < GROUP_NODES_MAX; i++) {
        raft_free(g->nodes[i].raft);
        log_truncate(&g->nodes[i], 0);
    }
    free(g);
}

static void deliver_one(struct group *g, const uint8_t *bytes, size_t len)
{
    struct raft_event ev = {.type = RAFT_EV_MESSAGE};
    struct raft_msg msg;
    struct group_node *n;

    assert(raft_msg_decode(bytes, len, &msg) == 0);
    n = group_node(g, (unsigned)msg.to.v);
    ev.msg = &msg;
    if (n->raft != NULL && !n->cut)
        (void)group_step(g, (unsigned)msg.to.v, &ev);
    raft_msg_done(&msg);
}

void group_deliver(struct group *g)
{
    while (g->wire_count > 0) {
        uint8_t *bytes = g->wire[0];
        size_t len = g->wire_len[0];

        g->wire_count--;
        memmove(g->wire, g->wire + 1, g->wire_count * sizeof(g->wire[0]));
        memmove(g->wire_len, g->wire_len + 1, g->wire_count * sizeof(g->wire_len[0]));
        deliver_one(g, bytes, len);
        free(bytes);
    }
}

void group_tick(struct group *g, int64_t ms_count)
{
    for (int64_t passed = 0; passed < ms_count; passed += 10) {
        g->now_ns += 10 * ms;
        for (unsigned id = 1; id <= GROUP_NODES_MAX; id++) {
            struct raft_event ev = {.type = RAFT_EV_TICK};

            if (group_node(g, id)->raft != NULL)
                (void)group_step(g, id, &ev);
        }
        group_deliver(g);
    }
}

void group_inject(struct group *g, unsigned from, unsigned to, struct raft_msg *msg)
{
    struct raft_event ev = {.type = RAFT_EV_MESSAGE, .msg = msg};

    msg->cluster = g->config.cluster;
    msg->from.v = from;
    msg->from_uuid.b[0] = (uint8_t)from;
    msg->to.v = to;
    (void)group_step(g, to, &ev);
}

bool group_find(struct group *g, enum raft_msg_type type, unsigned to, struct raft_msg *ret_msg)
{
    for (size_t i = 0; i < g->wire_count; i++) {
        assert(raft_msg_decode(g->wire[i], g->wire_len[i], ret_msg) == 0);
        if (ret_msg->type == type && ret_msg->to.v == to)
            return true;
        raft_msg_done(ret_msg);
    }
    return false;
}

/* Ticks only this one until it campaigns. */
void group_elect(struct group *g, unsigned id)
{
    struct group_node *n = group_node(g, id);

    for (unsigned i = 0; i < 400 && n->up.role != RAFT_LEADER; i++) {
        struct raft_event ev = {.type = RAFT_EV_TICK};

        g->now_ns += 10 * ms;
        (void)group_step(g, id, &ev);
        group_deliver(g);
    }
    group_deliver(g);
    assert(n->up.role == RAFT_LEADER && n->up.leader_ready);
}

void group_crown(struct group *g, unsigned id, unsigned voter)
{
    struct group_node *n = group_node(g, id);

    for (unsigned i = 0; i < 400 && n->up.role != RAFT_LEADER; i++) {
        struct raft_event ev = {.type = RAFT_EV_TICK};
        struct raft_msg yes = {.vote_reply.granted = true};

        g->now_ns += 10 * ms;
        (void)group_step(g, id, &ev);
        yes.type = n->up.role == RAFT_CANDIDATE ? RAFT_MSG_VOTE_REPLY : RAFT_MSG_PREVOTE_REPLY;
        yes.term = n->up.term + (yes.type == RAFT_MSG_PREVOTE_REPLY);
        for (unsigned from = 1; from <= g->count; from++) { /* A new group is begun by all. */
            if (from == voter || (from != id && yes.type == RAFT_MSG_PREVOTE_REPLY))
                group_inject(g, from, id, &yes);
        }
        group_drop(g);
    }
    assert(n->up.role == RAFT_LEADER);
}

int group_propose(struct group *g, unsigned id, const char *text)
{
    struct raft_buf *buf = raft_buf_copy(text, strlen(text));
    struct raft_event ev = {.type = RAFT_EV_PROPOSE};
    int r;

    ev.propose.type = RAFT_ENTRY_NORMAL;
    ev.propose.bufs = &buf;
    ev.propose.count = 1;
    r = group_step(g, id, &ev);
    raft_buf_unref(buf);
    return r;
}

int group_read(struct group *g, unsigned id, uint64_t read_id)
{
    struct raft_event ev = {.type = RAFT_EV_READ, .read_id = read_id};

    return group_step(g, id, &ev);
}

int group_conf(struct group *g, unsigned id, enum raft_conf_op op, unsigned member)
{
    struct raft_event ev = {.type = RAFT_EV_CONF_CHANGE};

    ev.conf_change.op = op;
    ev.conf_change.member.id.v = member;
    ev.conf_change.member.uuid.b[0] = (uint8_t)member;
    return group_step(g, id, &ev);
}

int group_transfer(struct group *g, unsigned id, unsigned to)
{
    struct raft_event ev = {.type = RAFT_EV_TRANSFER, .peer = {to}};

    return group_step(g, id, &ev);
}

int group_read_result(struct group *g, unsigned id, uint64_t read_id)
{
    const struct group_node *n = group_node(g, id);

    for (size_t i = 0; i < n->read_count; i++) {
        if (n->reads[i].id == read_id)
            return n->reads[i].result;
    }
    return 1;
}

struct raft_status group_status(struct group *g, unsigned id)
{
    struct raft_status status;

    raft_status(group_node(g, id)->raft, &status);
    return status;
}
