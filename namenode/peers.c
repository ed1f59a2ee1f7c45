#include "namenode/peers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "rpc/conn.h"
#include "rpc/node.pb-c.h"

enum {
    RETRY_MS_MIN = 50,
    /* One that comes back is in step again after this: it says nothing itself until it would vote. */
    RETRY_MS_MAX = 250,
    /* Beyond, a peer is too slow: entries are dropped first, then all. */
    QUEUE_BYTES_ENTRIES = 8 << 20,
    QUEUE_BYTES_ALL = 16 << 20,
    STRANGERS_MAX = 2 * RAFT_MEMBERS_MAX, /* one that joins, one that left, ... */
    PEERS_MAX = STRANGERS_MAX + RAFT_MEMBERS_MAX,
};

struct peer {
    struct peers *all;
    struct raft_id id;
    char addr[RAFT_ADDR_MAX];
    struct conn *out; /* ours; NULL while waiting to try again */
    struct conn *in;  /* theirs, borrowed; NULL if not known */
    struct loop_timer *retry;
    uint64_t retry_ms;
    uint64_t open_ns; /* since when `out` stands; 0: it does not */
    int last_error;   /* told once */
    uint32_t format;  /* of its last hello on a connection that stands; 0: none */
    bool is_member;   /* else only answered, on `in` */
};

struct peers {
    struct peers_config config;
    struct peer *list[PEERS_MAX];
    unsigned count;
    struct peers_stats stats;
    uint8_t *scratch;
    size_t scratch_size;
};

static void peer_connect(struct peer *p);

static struct peer *find(const struct peers *all, struct raft_id id)
{
    for (unsigned i = 0; i < all->count; i++) {
        if (all->list[i]->id.v == id.v)
            return all->list[i];
    }
    return NULL;
}

static void on_retry(void *ctx)
{
    peer_connect(ctx);
}

static void try_later(struct peer *p)
{
    loop_timer_start(p->retry, p->retry_ms, 0);
    p->retry_ms = MIN(2 * p->retry_ms, (uint64_t)RETRY_MS_MAX);
}

static void say_hello(const struct peers *all, struct conn *c, bool answer)
{
    Dfs__PeerHello hello = DFS__PEER_HELLO__INIT;

    if (all->config.format == 0)
        return;
    hello.replica_id = all->config.self.v;
    hello.format = all->config.format;
    hello.answer = answer;
    conn_send_oneway(c, MSG_PEER_HELLO, &hello.base, NULL);
}

/* Whatever was told, was told on connections that are gone: another release may come back. */
static void forget_format(struct peer *p)
{
    if (!p->in && !p->out)
        p->format = 0;
}

static void on_open(void *ctx, struct conn *c)
{
    struct peer *p = ctx;

    p->format = 0;
    say_hello(p->all, c, false);
    p->retry_ms = RETRY_MS_MIN;
    p->open_ns = loop_now_ns(p->all->config.loop);
    p->last_error = 0;
    p->all->stats.connects++;
    log_info("connected to a namenode", "id=%" PRIu64 " addr=%s", p->id.v, p->addr);
}

static void on_closed(void *ctx, struct conn *c, int reason)
{
    struct peer *p = ctx;

    if (reason != p->last_error)
        log_warn("no connection to a namenode", "id=%" PRIu64 " addr=%s %s %s", p->id.v, p->addr,
                 dfs_strerror(reason), conn_close_text(c));
    p->last_error = reason;
    p->open_ns = 0;
    conn_free(STEAL(p->out));
    forget_format(p);
    try_later(p);
    p->all->config.unreachable(p->all->config.ctx, p->id);
}

/* True: it wants to know who we are. */
static bool take_hello(struct peers *all, const uint8_t *body, size_t len)
{
    Dfs__PeerHello *hello = dfs__peer_hello__unpack(NULL, len, body);
    struct peer *p = hello ? find(all, (struct raft_id){hello->replica_id}) : NULL;
    bool asks = hello && !hello->answer;

    if (p)
        p->format = hello->format;
    dfs__peer_hello__free_unpacked(hello, NULL);
    return asks;
}

static void on_request(void *ctx, struct conn *c, const struct rpc_frame *f)
{
    struct peer *p = ctx;

    if (f->header.type == MSG_PEER_HELLO)
        take_hello(p->all, f->body, f->header.body_len);
    else if (f->header.type == MSG_RAFT)
        p->all->config.received(p->all->config.ctx, c, f->body, f->header.body_len);
    else if (f->header.type == MSG_NODE_SPACE)
        p->all->config.space(p->all->config.ctx, f);
    else if (!(f->header.flags & FRAME_ONEWAY))
        conn_reply_error(c, f->header.type, f->header.rpc_id, -EOPNOTSUPP,
                         "a namenode does not answer %s on its own connections",
                         msg_type_name(f->header.type));
}

static void peer_connect(struct peer *p)
{
    struct conn_handlers h = {
        .on_request = on_request, .on_closed = on_closed, .on_open = on_open, .ctx = p};
    int r = conn_connect(p->all->config.loop, p->all->config.slabs, p->addr, p->all->config.tls, &h,
                         &p->out);

    if (r < 0) {
        if (r != p->last_error)
            log_warn("cannot connect to a namenode", "id=%" PRIu64 " addr=%s %s", p->id.v, p->addr,
                     dfs_strerror(r));
        p->last_error = r;
        try_later(p);
        return;
    }
    conn_want_role(p->out, "namenode");
}

static void peer_free(struct peer *p)
{
    conn_free(p->out);
    loop_timer_free(p->retry);
    free(p);
}

struct peers *peers_new(const struct peers_config *config)
{
    struct peers *all = MEM_NEW(struct peers);

    all->config = *config;
    return all;
}

void peers_free(struct peers *all)
{
    if (!all)
        return;
    for (unsigned i = 0; i < all->count; i++)
        peer_free(all->list[i]);
    free(all->scratch);
    free(all);
}

static struct peer *add(struct peers *all, struct raft_id id)
{
    struct peer *p = MEM_NEW(struct peer);

    p->all = all;
    p->id = id;
    p->retry_ms = RETRY_MS_MIN;
    p->retry = loop_timer_new(all->config.loop, on_retry, p);
    all->list[all->count++] = p;
    return p;
}

static void add_member(struct peers *all, const struct raft_member *m)
{
    struct peer *p = find(all, m->id);

    if (p && p->is_member)
        return;
    if (!p)
        p = add(all, m->id);
    (void)snprintf(p->addr, sizeof(p->addr), "%s", m->addr);
    p->is_member = true;
    /* From the loop: who sets the members is in the middle of something else. */
    loop_timer_start(p->retry, 0, 0);
}

/* A member that has gone, or moved; or, to make room, somebody who never was one. */
static bool has_to_go(const struct peer *p, const struct raft_conf *conf)
{
    const struct raft_member *m = raft_conf_find(conf, p->id);

    return p->is_member ? !m || strcmp(m->addr, p->addr) != 0 : !m && conf->count > 0;
}

void peers_set_members(struct peers *all, const struct raft_conf *conf)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < all->count; i++) {
        if (has_to_go(all->list[i], conf))
            peer_free(all->list[i]);
        else
            all->list[kept++] = all->list[i];
    }
    all->count = kept;
    for (unsigned i = 0; i < conf->count; i++) {
        if (conf->members[i].id.v != all->config.self.v)
            add_member(all, &conf->members[i]);
    }
}

void peers_heard(struct peers *all, struct raft_id from, struct conn *c)
{
    struct peer *p = find(all, from);

    if (!p && all->count < STRANGERS_MAX)
        p = add(all, from);
    if (!p || c == p->out)
        return;
    p->in = c;
    if (!p->out && loop_timer_is_active(p->retry) && p->retry_ms > RETRY_MS_MIN) {
        /* It lives: no need to wait any longer. */
        p->retry_ms = RETRY_MS_MIN;
        loop_timer_start(p->retry, 0, 0);
    }
}

void peers_closed(struct peers *all, struct conn *c)
{
    for (unsigned i = 0; i < all->count; i++) {
        if (all->list[i]->in != c)
            continue;
        all->list[i]->in = NULL;
        forget_format(all->list[i]);
    }
}

void peers_hello(struct peers *all, struct conn *c, const uint8_t *body, size_t len)
{
    if (take_hello(all, body, len))
        say_hello(all, c, true);
}

uint32_t peers_format(const struct peers *all, struct raft_id id)
{
    const struct peer *p = find(all, id);

    return p ? p->format : 0;
}

static bool is_open(const struct conn *c)
{
    return c && conn_is_open(c);
}

void peers_send(struct peers *all, const struct raft_msg *msg)
{
    struct peer *p = find(all, msg->to);
    struct conn *c;
    size_t len, queued;

    if (!p)
        return;
    c = is_open(p->out) ? p->out : is_open(p->in) ? p->in : NULL;
    queued = c ? conn_queued_bytes(c) : 0;
    if (!c || queued > QUEUE_BYTES_ALL ||
        (queued > QUEUE_BYTES_ENTRIES && msg->type == RAFT_MSG_APPEND)) {
        all->stats.dropped++;
        return;
    }
    len = raft_msg_size(msg);
    if (len > FRAME_BODY_MAX) {
        all->stats.dropped++;
        log_error("a Raft message is too long", "bytes=%zu", len);
        return;
    }
    if (len > all->scratch_size) {
        all->scratch_size = MAX(2 * all->scratch_size, len);
        all->scratch = mem_realloc(all->scratch, all->scratch_size, 1);
    }
    raft_msg_encode(msg, all->scratch);
    conn_send_oneway_raw(c, MSG_RAFT, all->scratch, len);
    all->stats.sent++;
}

void peers_tell(struct peers *all, struct raft_id to, uint16_t type, const ProtobufCMessage *body)
{
    struct peer *p = find(all, to);
    struct conn *c = !p ? NULL : is_open(p->out) ? p->out : is_open(p->in) ? p->in : NULL;

    if (c && conn_queued_bytes(c) <= QUEUE_BYTES_ALL)
        conn_send_oneway(c, type, body, NULL);
}

const char *peers_addr(const struct peers *all, struct raft_id id)
{
    const struct peer *p = find(all, id);

    return p && p->is_member ? p->addr : NULL;
}

bool peers_is_connected(const struct peers *all, struct raft_id id)
{
    const struct peer *p = find(all, id);

    return p && (is_open(p->out) || is_open(p->in));
}

uint64_t peers_open_ns(const struct peers *all, struct raft_id id)
{
    const struct peer *p = find(all, id);

    return p ? p->open_ns : 0;
}

const struct peers_stats *peers_stats(const struct peers *all)
{
    return &all->stats;
}
