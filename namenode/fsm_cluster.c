/* The cluster's own records: its identity, namenodes, targets, placement groups. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "namenode/fsm_ops.h"

/* to has REC_STRING_SIZE bytes. */
static int copy_string(char *to, const char *from)
{
    size_t len = strlen(from);

    if (len >= REC_STRING_SIZE)
        return -EINVAL;
    memset(to, 0, REC_STRING_SIZE);
    memcpy(to, from, len);
    return 0;
}

int op_cluster_init(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__ClusterInitOp *op = req->cluster_init;
    struct cluster_rec rec = {
        .copies = op->copies,
        .pgs_per_target = op->pgs_per_target,
        .min_write = op->min_write,
        .data_key_len = (uint32_t)op->data_key.len,
        .created_ns = tx->now_ns,
    };
    struct inode_rec root = {
        .ino = INO_ROOT.v,
        .mode = S_IFDIR | 0755,
        .nlink = 2,
        .atime_ns = tx->now_ns,
        .mtime_ns = tx->now_ns,
        .ctime_ns = tx->now_ns,
        .btime_ns = tx->now_ns,
        .data_version = 1,
        .dir_version = 1,
        .parent = INO_ROOT.v,
    };
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;
    int r;

    if (op->cluster_uuid.len != REC_UUID_SIZE || op->data_key.len > REC_DATA_KEY_MAX ||
        op->copies == 0 || op->copies > REC_PG_MEMBERS_MAX || op->min_write == 0 ||
        op->min_write > op->copies)
        return -EINVAL;
    key_cluster(&k);
    r = tx_exists(tx, &k);
    if (r != 0)
        return r < 0 ? r : -EEXIST;

    memcpy(rec.uuid, op->cluster_uuid.data, REC_UUID_SIZE);
    if (op->data_key.len > 0)
        memcpy(rec.data_key, op->data_key.data, op->data_key.len);
    tx_put(tx, &k, bytes, cluster_rec_encode(&rec, bytes));
    tx_inode_put(tx, &root);
    tx->state.inode_count++;
    tx_event(tx, (struct fsm_event){.kind = FSM_EVENT_CLUSTER});
    (void)reply_entry(tx, reply, &root);
    return 0;
}

/* A number that is known here (fsm.c has looked). */
int op_format(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    uint32_t old = tx->state.format;
    int r;

    (void)reply;
    if (req->format->format <= old)
        return 0;
    tx->state.format = req->format->format;
    /* What has counters keeps them: they would be added up a second time. */
    r = old < FSM_FORMAT_USAGE ? usage_rebuild(tx) : 0;
    if (r == 0 && old < FSM_FORMAT_VALUES && tx->state.format >= FSM_FORMAT_VALUES)
        r = convert_begin(tx);
    return r;
}

int op_namenode_set(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__NamenodeSetOp *op = req->namenode_set;
    struct namenode_rec rec = {.replica_id = op->replica_id};
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;
    int r;

    (void)reply;
    if (op->replica_id == 0)
        return -EINVAL;
    key_id64(&k, 'A', op->replica_id);
    if (op->remove) {
        r = tx_exists(tx, &k);
        if (r <= 0)
            return r < 0 ? r : -ENOENT;
        tx_delete(tx, &k);
    } else {
        if ((op->uuid.len != 0 && op->uuid.len != REC_UUID_SIZE) ||
            copy_string(rec.addr, op->addr) < 0)
            return -EINVAL;
        if (op->uuid.len > 0)
            memcpy(rec.uuid, op->uuid.data, REC_UUID_SIZE);
        tx_put(tx, &k, bytes, namenode_rec_encode(&rec, bytes));
    }
    tx_event(tx, (struct fsm_event){.kind = FSM_EVENT_NAMENODE, .id = op->replica_id});
    return 0;
}

static void target_changed(struct tx *tx, const struct target_rec *rec)
{
    tx_target_put(tx, rec);
    tx->state.map_version++;
    tx_event(tx, (struct fsm_event){.kind = FSM_EVENT_TARGET, .target = rec->target});
}

/* 0 and *ret_target 0 when no target has the uuid. */
static int target_of_uuid(struct tx *tx, const struct key *k, uint32_t *ret_target)
{
    struct kv_value v;
    int r;

    *ret_target = 0;
    r = value_get(tx, k, &v);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    if (v.len == 4)
        *ret_target = key_get_u32(v.data);
    tx_value_done(tx, &v);
    return *ret_target == 0 ? tx_fail(tx, -EBADMSG) : 0;
}

/*
 * A disk that got its number after the backup was made from which this state comes: it keeps it. Only
 * a restore leaves numbers below next_target that nobody has. 0: it gets a new one.
 */
static uint32_t old_target_id(struct tx *tx, uint32_t target)
{
    struct key k;

    if (target == 0 || target >= tx->state.next_target)
        return 0;
    key_id32(&k, 'T', target);
    return tx_exists(tx, &k) == 0 ? target : 0;
}

/* A disk that is known already keeps its id: the request may be a second try. */
int op_target_add(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__TargetAddOp *op = req->target_add;
    struct target_rec rec = {.state = DFS__TARGET_STATE__TARGET_ACTIVE};
    struct key by_uuid, id;
    uint32_t known;
    int r;

    if (op->uuid.len != REC_UUID_SIZE)
        return -EINVAL;
    key_uuid(&by_uuid, 't', op->uuid.data);
    r = target_of_uuid(tx, &by_uuid, &known);
    if (r == 0 && known != 0 && tx_target_get(tx, known, &rec) < 0)
        r = tx_fail(tx, -EBADMSG);
    if (r < 0)
        return r;
    if (copy_string(rec.host, op->host) < 0 || copy_string(rec.addr, op->addr) < 0 ||
        copy_string(rec.node, op->node) < 0 || copy_string(rec.rack, op->rack) < 0)
        return -EINVAL;

    memcpy(rec.uuid, op->uuid.data, REC_UUID_SIZE);
    rec.incarnation = op->incarnation;
    rec.bytes_total = op->bytes_total;
    if (known == 0) {
        rec.target = old_target_id(tx, op->target);
        if (tx->fatal)
            return -EIO;
        if (rec.target == 0)
            rec.target = tx->state.next_target++;
        key_id32(&id, 'T', rec.target);
        value_put(tx, &by_uuid, id.b + 1, 4);
    }
    target_changed(tx, &rec);
    reply_id(tx, reply, rec.target, rec.incarnation);
    return 0;
}

int op_target_set(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__TargetSetOp *op = req->target_set;
    struct target_rec rec;
    int r;

    r = tx_target_get(tx, op->target, &rec);
    if (r < 0)
        return r;
    if (op->state < DFS__TARGET_STATE__TARGET_UNSET ||
        op->state > DFS__TARGET_STATE__TARGET_REMOVED)
        return -EINVAL;
    if ((op->addr[0] && copy_string(rec.addr, op->addr) < 0) ||
        (op->host[0] && copy_string(rec.host, op->host) < 0) ||
        (op->node[0] && copy_string(rec.node, op->node) < 0) ||
        (op->set_rack && copy_string(rec.rack, op->rack) < 0))
        return -EINVAL;
    if (op->state != DFS__TARGET_STATE__TARGET_UNSET)
        rec.state = (uint8_t)op->state;
    if (op->incarnation != 0)
        rec.incarnation = op->incarnation;
    if (op->bytes_total != 0)
        rec.bytes_total = op->bytes_total;
    if (op->maintenance_until_ns != 0)
        rec.maintenance_until_ns =
            op->maintenance_until_ns > tx->now_ns ? op->maintenance_until_ns : 0;
    target_changed(tx, &rec);
    reply_id(tx, reply, rec.target, rec.incarnation);
    return 0;
}

void pg_rec_to_msg(const struct pg_rec *rec, Dfs__Pg *ret_msg, Dfs__PgMember *members,
                   Dfs__PgMember **member_ptrs)
{
    dfs__pg__init(ret_msg);
    ret_msg->pg = rec->pg;
    ret_msg->epoch = rec->epoch;
    ret_msg->cold_epoch = rec->cold_epoch;
    ret_msg->reset_epoch = rec->reset_epoch;
    ret_msg->fence_version = rec->fence_version;
    ret_msg->copies = rec->copies;
    ret_msg->min_write = rec->min_write;
    ret_msg->n_members = rec->member_count;
    ret_msg->members = member_ptrs;
    for (unsigned i = 0; i < rec->member_count; i++) {
        const struct pg_member_rec *m = &rec->members[i];

        dfs__pg_member__init(&members[i]);
        members[i].target = m->target;
        members[i].incarnation = m->incarnation;
        members[i].state = (Dfs__MemberState)m->state;
        members[i].last_serving_epoch = m->last_serving_epoch;
        member_ptrs[i] = &members[i];
    }
}

int pg_rec_from_msg(const Dfs__Pg *msg, struct pg_rec *ret_rec)
{
    struct pg_rec rec = {
        .pg = msg->pg,
        .epoch = msg->epoch,
        .cold_epoch = msg->cold_epoch,
        .reset_epoch = msg->reset_epoch,
        .fence_version = msg->fence_version,
        .copies = msg->copies,
        .min_write = msg->min_write,
        .member_count = (unsigned)msg->n_members,
    };

    if (msg->n_members > REC_PG_MEMBERS_MAX || msg->copies == 0 ||
        msg->copies > REC_PG_MEMBERS_MAX || msg->min_write == 0 || msg->min_write > msg->copies)
        return -EINVAL;
    for (unsigned i = 0; i < rec.member_count; i++) {
        const Dfs__PgMember *m = msg->members[i];

        if (m->state < DFS__MEMBER_STATE__MEMBER_SERVING ||
            m->state > DFS__MEMBER_STATE__MEMBER_OFFLINE)
            return -EINVAL;
        for (unsigned j = 0; j < i; j++) {
            if (rec.members[j].target == m->target)
                return -EINVAL;
        }
        rec.members[i] = (struct pg_member_rec){
            .target = m->target,
            .incarnation = m->incarnation,
            .state = (uint8_t)m->state,
            .last_serving_epoch = m->last_serving_epoch,
        };
    }
    *ret_rec = rec;
    return 0;
}

static const struct pg_member_rec *member_find(const struct pg_rec *pg, uint32_t target)
{
    for (unsigned i = 0; i < pg->member_count; i++) {
        if (pg->members[i].target == target)
            return &pg->members[i];
    }
    return NULL;
}

static unsigned count_serving(const struct pg_rec *pg)
{
    unsigned count = 0;

    for (unsigned i = 0; i < pg->member_count; i++)
        count += pg->members[i].state == DFS__MEMBER_STATE__MEMBER_SERVING;
    return count;
}

bool pg_rec_is_unclaimed(const struct pg_rec *pg)
{
    return pg->reset_epoch == pg->epoch && count_serving(pg) == 0;
}

/*
 * I28: who serves in the new epoch served in the old one, or was being synced in it. When none of
 * the old epoch serves, one that served last may begin again. After a restore nobody is known to have
 * served last: the leader has asked all (pg_survey.h), and names one.
 */
static bool serving_is_safe(const struct pg_rec *old, const struct pg_rec *next)
{
    uint64_t last_served = 0;
    bool any_serving = false;

    if (pg_rec_is_unclaimed(old))
        return count_serving(next) == 1;
    for (unsigned i = 0; i < old->member_count; i++) {
        any_serving |= old->members[i].state == DFS__MEMBER_STATE__MEMBER_SERVING;
        last_served = MAX(last_served, old->members[i].last_serving_epoch);
    }
    for (unsigned i = 0; i < next->member_count; i++) {
        const struct pg_member_rec *m = &next->members[i];
        const struct pg_member_rec *was = member_find(old, m->target);

        if (m->state != DFS__MEMBER_STATE__MEMBER_SERVING)
            continue;
        if (!was)
            return false;
        if (was->state == DFS__MEMBER_STATE__MEMBER_SERVING)
            continue;
        if (was->state == DFS__MEMBER_STATE__MEMBER_SYNCING && was->incarnation == m->incarnation)
            continue;
        if (any_serving || was->last_serving_epoch != last_served)
            return false;
    }
    return true;
}

/* old NULL: a new group. */
static void pg_changed(struct tx *tx, const struct pg_rec *old, struct pg_rec *pg)
{
    pg->fence_version = tx->state.fence_version;
    for (unsigned i = 0; i < pg->member_count; i++) {
        struct pg_member_rec *m = &pg->members[i];
        const struct pg_member_rec *was = old ? member_find(old, m->target) : NULL;

        m->last_serving_epoch = m->state == DFS__MEMBER_STATE__MEMBER_SERVING ? pg->epoch
                                : was ? was->last_serving_epoch
                                      : 0;
    }
    tx_pg_put(tx, pg);
    tx->state.map_version++;
    tx_event(tx, (struct fsm_event){.kind = FSM_EVENT_PG, .pg = pg->pg});
}

static int check_members(struct tx *tx, const struct pg_rec *pg)
{
    for (unsigned i = 0; i < pg->member_count; i++) {
        struct key k;
        int r;

        key_id32(&k, 'T', pg->members[i].target);
        r = tx_exists(tx, &k);
        if (r <= 0)
            return r < 0 ? r : -EINVAL;
    }
    return 0;
}

int op_pg_create(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__PgCreateOp *op = req->pg_create;
    uint32_t first = tx->state.next_pg;
    struct pg_rec pg;
    int r;

    if (op->n_pgs == 0 || op->n_pgs > PG_COUNT_MAX)
        return -EINVAL;
    for (size_t i = 0; i < op->n_pgs; i++) {
        r = pg_rec_from_msg(op->pgs[i], &pg);
        if (r == 0)
            r = check_members(tx, &pg);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < op->n_pgs; i++) {
        (void)pg_rec_from_msg(op->pgs[i], &pg);
        pg.pg = tx->state.next_pg++;
        pg.epoch = 1;
        pg_changed(tx, NULL, &pg);
    }
    reply_id(tx, reply, first, 1);
    return 0;
}

int op_pg_epoch(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__PgEpochOp *op = req->pg_epoch;
    struct pg_rec old, pg;
    int r;

    if (!op->pg)
        return -EINVAL;
    r = tx_pg_get(tx, op->pg->pg, &old);
    if (r < 0)
        return r;
    if (old.epoch != op->if_epoch)
        return -ESTALE;
    r = pg_rec_from_msg(op->pg, &pg);
    if (r == 0)
        r = check_members(tx, &pg);
    if (r < 0)
        return r;
    if (!serving_is_safe(&old, &pg))
        return -EINVAL;
    pg.epoch = old.epoch + 1;
    pg_changed(tx, &old, &pg);
    reply_id(tx, reply, pg.pg, pg.epoch);
    return 0;
}
