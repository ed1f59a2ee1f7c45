/*
 * What is looked after now and then: flushing the metadata, cutting the log behind it, and, on the
 * leader, what has to be in the state machine once: the cluster's birth and who its namenodes are.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/rng.h"
#include "common/uuid.h"
#include "namenode/formats.h"
#include "namenode/log_keep.h"
#include "namenode/node_impl.h"
#include "rpc/conn.h"

/* Of telling who holds up a new format: after so long, and again. */
#define OLDER_FIRST_NS (10 * CLOCK_NS_PER_S)
#define OLDER_AGAIN_NS (600 * CLOCK_NS_PER_S)
#define AWAITED_EVERY_NS (10 * CLOCK_NS_PER_S)

/* ---- who is who (R9) ---- */

static bool uuid_is_zero_raft(const struct raft_uuid *u)
{
    static const struct raft_uuid zero;

    return memcmp(u, &zero, sizeof(zero)) == 0;
}

/* What the state machine says is asked anew at the next message. */
void node_forget_peers(struct node *n)
{
    n->known_count = n->known_next = 0;
}

/*
 * 1 the id is, or was, a namenode's, of this data directory (zero: not told); 0 nobody's. Ids are never
 * given out again, so there may be any number of them: the state machine has them all.
 */
static int find_known(struct node *n, struct raft_id id, struct raft_uuid *ret_uuid)
{
    struct namenode_rec rec;
    struct known_namenode *k;
    int r;

    for (unsigned i = 0; i < n->known_count; i++) {
        if (n->known[i].id.v == id.v) {
            *ret_uuid = n->known[i].uuid;
            return 1;
        }
    }
    r = fsm_namenode_get(n->fsm, id.v, &rec);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    k = &n->known[n->known_next];
    n->known_next = (n->known_next + 1) % KNOWN_NAMENODES_MAX;
    n->known_count = MIN(n->known_count + 1, (unsigned)KNOWN_NAMENODES_MAX);
    k->id = id;
    memcpy(k->uuid.b, rec.uuid, sizeof(k->uuid.b));
    *ret_uuid = k->uuid;
    return 1;
}

/* The directory of a message that nothing speaks against: for the state machine, when its sender is a
 * member and not known there yet. */
static void note_seen(struct node *n, struct raft_id id, struct raft_uuid uuid)
{
    const struct raft_conf *conf = raft_conf(n->raft);
    struct known_namenode *place = NULL;

    for (unsigned i = 0; i < n->seen_count && !place; i++) {
        if (n->seen[i].id.v == id.v)
            place = &n->seen[i];
    }
    if (!place && n->seen_count < KNOWN_NAMENODES_MAX)
        place = &n->seen[n->seen_count++];
    for (unsigned i = 0; i < n->seen_count && !place; i++) {
        if (!raft_conf_find(conf, n->seen[i].id))
            place = &n->seen[i];
    }
    if (place) /* There are more places than members. */
        *place = (struct known_namenode){.id = id, .uuid = uuid};
}

/* A wiped directory has forgotten its votes and entries: its replica must not take part under the
 * id it had. */
bool node_peer_is_known(struct node *n, const struct raft_msg *msg)
{
    struct raft_uuid ours = data_dir_cluster(n->dir), uuid;
    int r = find_known(n, msg->from, &uuid);

    if (r < 0) {
        node_check_store(n, r);
        return false; /* It is sent again. */
    }
    if (!uuid_is_zero_raft(&ours) && !uuid_is_zero_raft(&msg->cluster) &&
        memcmp(&ours, &msg->cluster, sizeof(ours)) != 0)
        return true; /* Raft refuses it, and says of which cluster it is. */
    if (r > 0 && memcmp(&uuid, &msg->from_uuid, sizeof(uuid)) != 0) {
        uint64_t now_ns = clock_monotonic_ns(clock_system());

        if (now_ns - n->refused_ns > 10 * CLOCK_NS_PER_S) {
            n->refused_ns = now_ns;
            log_error("a namenode has another data directory than it had: wiped, or started twice? "
                      "It has to join under a new id",
                      "id=%" PRIu64, msg->from.v);
        }
        return false;
    }
    note_seen(n, msg->from, msg->from_uuid);
    return true;
}

bool node_id_is_used(struct node *n, struct raft_id id)
{
    struct raft_uuid uuid;

    return find_known(n, id, &uuid) != 0 || raft_conf_find(raft_conf(n->raft), id) != NULL;
}

static int note_highest(void *ctx, const struct namenode_rec *rec)
{
    struct raft_id *next = ctx;

    next->v = MAX(next->v, rec->replica_id + 1);
    return 0;
}

struct raft_id node_next_id(struct node *n)
{
    const struct raft_conf *conf = raft_conf(n->raft);
    struct raft_id next = {1};
    int r = fsm_each_namenode(n->fsm, note_highest, &next);

    if (r < 0)
        node_check_store(n, r);
    for (unsigned i = 0; i < conf->count; i++)
        next.v = MAX(next.v, conf->members[i].id.v + 1);
    return next;
}

static void ignore_reply(void *ctx, int status, const Dfs__MetaReply *reply)
{
    (void)ctx;
    (void)status;
    (void)reply;
}

static void register_namenode(struct node *n, const struct raft_member *m,
                              const struct raft_uuid *uuid)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__NamenodeSetOp op;
    char addr[RAFT_ADDR_MAX];
    struct raft_uuid u = *uuid;

    dfs__namenode_set_op__init(&op);
    memcpy(addr, m->addr, sizeof(addr));
    op.replica_id = m->id.v;
    op.addr = addr;
    op.uuid = (ProtobufCBinaryData){.data = u.b, .len = sizeof(u.b)};
    req.op_case = DFS__META_REQUEST__OP_NAMENODE_SET;
    req.namenode_set = &op;
    node_propose(n, &req, ignore_reply, NULL);
}

static void register_namenodes(struct node *n)
{
    const struct raft_conf *conf = raft_conf(n->raft);

    for (unsigned i = 0; i < conf->count; i++) {
        const struct raft_member *m = &conf->members[i];
        struct raft_uuid uuid = {{0}}, known;

        if (find_known(n, m->id, &known) != 0)
            continue;
        if (m->id.v == n->conf->id.v)
            uuid = data_dir_uuid(n->dir);
        for (unsigned k = 0; k < n->seen_count; k++) {
            if (n->seen[k].id.v == m->id.v)
                uuid = n->seen[k].uuid;
        }
        if (!uuid_is_zero_raft(&uuid))
            register_namenode(n, m, &uuid);
    }
}

/* ---- members that join ---- */

/* A learner votes as soon as that does not hold up the group; until then raft says -EAGAIN. */
static void promote_learners(struct node *n)
{
    struct raft_conf conf = *raft_conf(n->raft);

    for (unsigned i = 0; i < conf.count; i++) {
        struct raft_event ev = {.type = RAFT_EV_CONF_CHANGE};

        if (conf.members[i].voter)
            continue;
        ev.conf_change.op = RAFT_CONF_PROMOTE;
        ev.conf_change.member.id = conf.members[i].id;
        if (node_step(n, &ev) == 0)
            log_info("a namenode has caught up and votes from now on", "id=%" PRIu64 " addr=%s",
                     conf.members[i].id.v, conf.members[i].addr);
    }
}

/* ---- the format of the log ---- */

void node_on_hello(struct node *n, struct conn *c, const struct rpc_frame *f)
{
    peers_hello(n->peers, c, f->body, f->header.body_len);
}

uint32_t node_format_of(const struct node *n, struct raft_id id)
{
    return id.v == n->conf->id.v ? n->conf->format : peers_format(n->peers, id);
}

static void on_format_reply(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct node *n = ctx;

    n->format_proposed = false;
    if (status == 0 && reply->status == 0)
        log_info("the metadata have a new format", "format=%u", fsm_state(n->fsm)->format);
}

static uint32_t format_of(const void *ctx, struct raft_id id)
{
    return node_format_of(ctx, id);
}

/* While the group comes up that is nothing to tell. */
static void tell_who_is_older(struct node *n, const struct raft_member *m)
{
    uint64_t now_ns = clock_monotonic_ns(clock_system());

    if (n->format_held_ns == 0)
        n->format_held_ns = now_ns + OLDER_FIRST_NS;
    if (now_ns < n->format_held_ns)
        return;
    n->format_held_ns = now_ns + OLDER_AGAIN_NS;
    log_warn("a namenode runs an older release, or is not there: what this one brings waits for it",
             "id=%" PRIu64 " addr=%s its_format=%u format=%u", m->id.v, m->addr,
             node_format_of(n, m->id), n->conf->format);
}

/* Until then everything is as the release before did it, on all of them. */
static void care_for_format(struct node *n)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__FormatOp op = DFS__FORMAT_OP__INIT;
    const struct raft_member *slowest;

    if (n->format_proposed || fsm_state(n->fsm)->format >= n->conf->format)
        return;
    op.format = format_common(raft_conf(n->raft), n->conf->format, format_of, n, &slowest);
    if (slowest)
        tell_who_is_older(n, slowest);
    if (op.format <= fsm_state(n->fsm)->format)
        return;
    req.op_case = DFS__META_REQUEST__OP_FORMAT;
    req.format = &op;
    n->format_proposed = true;
    node_propose(n, &req, on_format_reply, n);
}

/* ---- the birth of a cluster ---- */

static void on_init_reply(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct node *n = ctx;

    n->init_proposed = false;
    if (status == 0 && reply->status == 0)
        log_info("a new cluster was made", "copies=%u min_write=%u", n->conf->copies,
                 n->conf->min_write);
}

static void init_cluster(struct node *n)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__ClusterInitOp op = DFS__CLUSTER_INIT_OP__INIT;
    struct uuid uuid = uuid_new();
    uint8_t key[32];

    rng_system_bytes(key, sizeof(key));
    op.cluster_uuid = (ProtobufCBinaryData){.data = uuid.b, .len = sizeof(uuid.b)};
    op.data_key = (ProtobufCBinaryData){.data = key, .len = sizeof(key)};
    op.copies = n->conf->copies;
    op.min_write = n->conf->min_write;
    op.pgs_per_target = n->conf->pgs_per_target;
    req.op_case = DFS__META_REQUEST__OP_CLUSTER_INIT;
    req.cluster_init = &op;
    n->init_proposed = true;
    node_propose(n, &req, on_init_reply, n);
}

static void care_for_cluster(struct node *n)
{
    struct cluster_rec rec;
    struct restored_rec restored;
    struct raft_uuid uuid;
    int r = fsm_cluster(n->fsm, &rec);

    if (node_is_serving(n))
        care_for_format(n); /* Before a new cluster's first operation. */
    node_convert(n);
    if (r == 0) {
        bool is_restored = fsm_restored(n->fsm, &restored) == 0;

        memcpy(uuid.b, is_restored ? restored.group : rec.uuid, sizeof(uuid.b));
        r = data_dir_set_cluster(n->dir, uuid);
        if (r < 0)
            node_die(n, "note the cluster's uuid", r);
        raft_set_cluster(n->raft, &uuid);
    } else if (r == -ENOENT && node_is_serving(n) && !n->init_proposed) {
        init_cluster(n);
    }
    if (node_is_serving(n)) {
        register_namenodes(n);
        promote_learners(n);
    }
}

/* A new group waits for all of its founders; and a wiped one waits with them, for ever. */
static void tell_awaited(struct node *n, uint64_t now_ns)
{
    struct raft_id ids[RAFT_MEMBERS_MAX];
    unsigned count = raft_founders_awaited(n->raft, ids);
    char text[RAFT_MEMBERS_MAX * 24] = "";
    size_t len = 0;

    if (count == 0) {
        n->awaited_ns = now_ns;
        return;
    }
    if (now_ns - n->awaited_ns < AWAITED_EVERY_NS)
        return;
    n->awaited_ns = now_ns;
    for (unsigned i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%" PRIu64, i > 0 ? "," : "",
                                ids[i].v);
    log_warn("this namenode has no metadata yet, and a new group begins only when all of its "
             "founders are there and empty; was it wiped? then remove it and add it under a new id "
             "(dfs cluster replace, dfs namenode add)",
             "missing=%s", text);
}

/* ---- flush and compaction ---- */

static void care_for_store(struct node *n, uint64_t now_ns)
{
    int r;

    if (n->applied_bytes == 0)
        return;
    /* The bound of bytes is one on memory, that of operations one on the time of a restart. */
    if (n->applied_bytes < KV_FLUSH_BYTES && n->applied_ops < n->conf->flush_ops &&
        now_ns - n->flushed_ns < n->conf->flush_ms * CLOCK_NS_PER_MS)
        return;
    n->flushed_ns = now_ns;
    n->applied_bytes = n->applied_ops = 0;
    r = fsm_flush(n->fsm, false);
    if (r < 0)
        node_die(n, "flush the metadata store", r);
}

static void care_for_log(struct node *n, uint64_t now_ns)
{
    struct log_keep keep = {
        .log_bytes = raft_log_size(n->log),
        .log_bytes_max = n->conf->log_bytes_max,
        .now_ns = (int64_t)now_ns,
        .live_ns = LIVE_PEER_NS,
    };
    struct raft_event ev = {.type = RAFT_EV_COMPACTED};
    uint64_t first = raft_log_first_index(n->log);
    struct raft_status status;
    struct fsm_pos pos;

    if (fsm_flushed(n->fsm, &pos) < 0)
        node_die(n, "read back what was flushed", -EIO);
    keep.flushed_index = pos.index;
    raft_status(n->raft, &status);
    ev.index = raft_log_compact(n->log, log_keep_from(&keep, &status) - 1);
    if (ev.index == first)
        return;
    log_info("log cut", "first=%" PRIu64 " flushed=%" PRIu64, ev.index, pos.index);
    (void)node_step(n, &ev);
}

static void look_at_memory(struct node *n)
{
    struct raft_status st;

    raft_status(n->raft, &st);
    kv_rocks_usage(n->kv, &n->memory.store);
    n->memory.records = fsm_cache_bytes(n->fsm);
    n->memory.records_max = n->conf->record_cache_bytes;
    n->memory.log_entries = st.cached_bytes;
    n->memory.log_entries_max = n->conf->log_cache_bytes;
}

void node_care(void *ctx)
{
    struct node *n = ctx;
    uint64_t now_ns = clock_monotonic_ns(clock_system());

    node_care_for_space(n, now_ns);
    care_for_cluster(n);
    tell_awaited(n, now_ns);
    care_for_store(n, now_ns);
    care_for_log(n, now_ns);
    look_at_memory(n);
    node_care_for_scrub(n, now_ns);
}
