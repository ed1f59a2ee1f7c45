/*
 * RepairOp: mends what a walk over the store has found (fsck.h). What is broken is not to be trusted:
 * nothing here goes through fsm_usage.c, which ends the process where the tree has come apart. Counters
 * of trees stay as they were, and are put right by what the next walk finds.
 *
 * An operation that adds to a counter is right however much the counter has changed since the walk,
 * once: hence the order of the repairs of a walk (Z f), and none of a walk that had not seen the last.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "namenode/fsm_repair.h"

/* ---- which repair is next ---- */

static int repair_get(struct tx *tx, struct repair_rec *ret_rec)
{
    struct kv_value v;
    struct key k;
    int r;

    key_repair(&k);
    *ret_rec = (struct repair_rec){0};
    r = tx_get(tx, &k, &v);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    r = repair_rec_decode(v.data, v.len, ret_rec);
    tx_value_done(tx, &v);
    return r < 0 ? tx_damaged(tx, &k) : 0;
}

static void repair_put(struct tx *tx, const struct repair_rec *rec)
{
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;

    key_repair(&k);
    tx_put(tx, &k, bytes, repair_rec_encode(rec, bytes));
}

/* -ESTALE: it was done, or is not the next, or its walk saw a state before the last repair. */
static int take_turn(struct tx *tx, const Dfs__RepairOp *op)
{
    struct repair_rec rec;
    bool is_new;
    int r = repair_get(tx, &rec);

    if (r < 0)
        return r;
    is_new = op->number == 0 && op->walk > rec.walk && op->walk >= rec.last_index;
    if (!is_new && (op->walk != rec.walk || op->number != rec.next))
        return -ESTALE;
    repair_put(tx, &(struct repair_rec){
                       .walk = op->walk, .next = op->number + 1, .last_index = tx->index});
    return 0;
}

/* ---- what is there ---- */

int repair_inode_find(struct tx *tx, uint64_t ino, struct inode_rec *ret_inode)
{
    int r = tx_inode_get(tx, ino, ret_inode);

    return r == -ESTALE ? 0 : r < 0 ? r : 1;
}

bool repair_is_live_dir(const struct inode_rec *inode)
{
    return S_ISDIR(inode->mode) && inode->nlink > 0;
}

/* ---- counters ---- */

static uint64_t *state_field(struct tx *tx, Dfs__RepairField field)
{
    switch (field) {
    case DFS__REPAIR_FIELD__REPAIR_STATE_INODES:
        return &tx->state.inode_count;
    case DFS__REPAIR_FIELD__REPAIR_STATE_CHUNKS:
        return &tx->state.chunk_count;
    case DFS__REPAIR_FIELD__REPAIR_STATE_GARBAGE:
        return &tx->state.garbage_count;
    case DFS__REPAIR_FIELD__REPAIR_STATE_REAPING:
        return &tx->state.reap_count;
    case DFS__REPAIR_FIELD__REPAIR_STATE_SESSIONS:
        return &tx->state.session_count;
    case DFS__REPAIR_FIELD__REPAIR_STATE_QUOTAS:
        return &tx->state.quota_count;
    case DFS__REPAIR_FIELD__REPAIR_STATE_NEXT_INO:
        return &tx->state.next_ino;
    case DFS__REPAIR_FIELD__REPAIR_STATE_NEXT_CHUNK:
        return &tx->state.next_chunk;
    default:
        return NULL;
    }
}

static int add(struct tx *tx, const Dfs__RepairOp *op)
{
    uint64_t *state = state_field(tx, op->field);
    struct inode_rec inode;
    int r;

    if (state) {
        *state += (uint64_t)op->add;
        return DONE;
    }
    r = repair_inode_find(tx, op->ino, &inode);
    if (r <= 0)
        return r;
    switch (op->field) {
    case DFS__REPAIR_FIELD__REPAIR_NLINK:
        inode.nlink += (uint32_t)op->add;
        break;
    case DFS__REPAIR_FIELD__REPAIR_ENTRY_COUNT:
        inode.entry_count += (uint64_t)op->add;
        break;
    case DFS__REPAIR_FIELD__REPAIR_CHUNK_COUNT:
        inode.chunk_count += (uint32_t)op->add;
        break;
    case DFS__REPAIR_FIELD__REPAIR_XATTR_BYTES:
        inode.xattr_bytes += (uint32_t)op->add;
        break;
    default:
        return -EINVAL;
    }
    tx_inode_put(tx, &inode);
    return DONE;
}

static int add_usage(struct tx *tx, const Dfs__RepairOp *op)
{
    const usage_bytes more = (usage_bytes)op->bytes_high << 64 | op->bytes_low;
    uint8_t bytes[REC_BYTES_MAX];
    struct usage_rec rec;
    struct inode_rec dir;
    struct key k;
    int r = repair_inode_find(tx, op->ino, &dir);

    if (r <= 0)
        return r;
    if (!repair_is_live_dir(&dir))
        return NOT_NEEDED;
    r = usage_get(tx, op->ino, &rec);
    if (r < 0)
        return r;
    rec.files += (uint64_t)op->files;
    rec.dirs += (uint64_t)op->dirs;
    rec.bytes += more;
    key_id64(&k, 'U', op->ino);
    if (usage_rec_is_zero(&rec))
        tx_delete(tx, &k);
    else
        tx_put(tx, &k, bytes, usage_rec_encode(&rec, bytes));
    return DONE;
}

/* K records are set, not added to: they come and go with the second link. So nothing may have happened to
 * the links since. */
static int set_links(struct tx *tx, const Dfs__RepairOp *op)
{
    struct link_rec rec = {.names = op->names};
    uint8_t bytes[REC_BYTES_MAX];
    struct inode_rec inode;
    struct key k;
    int r = repair_inode_find(tx, op->ino, &inode);

    if (r <= 0)
        return r;
    if ((uint64_t)inode.ctime_ns != op->expect)
        return NOT_NEEDED;
    key_link(&k, op->ino, op->parent);
    if (op->names == 0)
        tx_delete(tx, &k);
    else
        tx_put(tx, &k, bytes, link_rec_encode(&rec, bytes));
    return DONE;
}

/* ---- the reaper's list, records of nobody ---- */

static int queue(struct tx *tx, const Dfs__RepairOp *op)
{
    struct inode_rec inode;
    struct key k;
    int r = repair_inode_find(tx, op->ino, &inode);

    if (r <= 0 || inode.nlink > 0)
        return r <= 0 ? r : NOT_NEEDED;
    key_id64(&k, 'g', op->ino);
    r = tx_exists(tx, &k);
    if (r != 0)
        return r < 0 ? r : NOT_NEEDED;
    tx_put(tx, &k, "", 0);
    tx->state.reap_count++;
    tx_event(tx, (struct fsm_event){.kind = FSM_EVENT_UNLINKED, .id = op->ino});
    return DONE;
}

static int unqueue(struct tx *tx, const Dfs__RepairOp *op)
{
    struct inode_rec inode;
    struct key k;
    int r = repair_inode_find(tx, op->ino, &inode);

    if (r < 0 || (r > 0 && inode.nlink == 0))
        return r < 0 ? r : NOT_NEEDED;
    key_id64(&k, 'g', op->ino);
    r = tx_exists(tx, &k);
    if (r <= 0)
        return r;
    tx_delete(tx, &k);
    tx->state.reap_count--;
    return DONE;
}

/* Does an inode like this have records of the kind? */
static bool has_records(const struct inode_rec *inode, uint8_t kind)
{
    switch (kind) {
    case 'F':
        return inode->is_inline;
    case 'L':
        return S_ISLNK(inode->mode);
    case 'X':
        return true;
    case 'K':
        return !S_ISDIR(inode->mode) && inode->nlink > 0;
    case 'U':
        return repair_is_live_dir(inode);
    default:
        return true;
    }
}

static int drop_record(struct tx *tx, const Dfs__RepairOp *op)
{
    struct usage_rec usage;
    struct inode_rec inode;
    struct key k;
    int r;

    if (op->key.len < 9 || op->key.len > KEY_BYTES_MAX || !memchr("FLXKU", op->key.data[0], 5))
        return -EINVAL;
    r = repair_inode_find(tx, key_get_u64(op->key.data + 1), &inode);
    if (r < 0 || (r > 0 && has_records(&inode, op->key.data[0])))
        return r < 0 ? r : NOT_NEEDED;
    k.len = op->key.len;
    memcpy(k.b, op->key.data, k.len);
    r = tx_exists(tx, &k);
    if (r <= 0)
        return r;
    if (k.b[0] == 'U') {
        r = usage_get(tx, key_get_u64(k.b + 1), &usage);
        if (r < 0)
            return r;
        tx->state.quota_count -= usage.quota_inodes != 0 || usage.quota_bytes != 0;
    }
    tx_delete(tx, &k);
    return DONE;
}

/* ---- all of them ---- */

static int repair(struct tx *tx, const Dfs__RepairOp *op)
{
    switch (op->kind) {
    case DFS__REPAIR_KIND__REPAIR_DROP_ENTRY:
        return repair_drop_entry(tx, op);
    case DFS__REPAIR_KIND__REPAIR_ENTRY_TYPE:
        return repair_entry_type(tx, op);
    case DFS__REPAIR_KIND__REPAIR_MOVE_ENTRY:
        return repair_move_entry(tx, op);
    case DFS__REPAIR_KIND__REPAIR_ADOPT:
        return repair_adopt(tx, op);
    case DFS__REPAIR_KIND__REPAIR_ADD:
        return add(tx, op);
    case DFS__REPAIR_KIND__REPAIR_PARENT:
        return repair_parent(tx, op);
    case DFS__REPAIR_KIND__REPAIR_QUEUE:
        return queue(tx, op);
    case DFS__REPAIR_KIND__REPAIR_UNQUEUE:
        return unqueue(tx, op);
    case DFS__REPAIR_KIND__REPAIR_DROP_RECORD:
        return drop_record(tx, op);
    case DFS__REPAIR_KIND__REPAIR_DROP_MAP:
        return repair_drop_map(tx, op);
    case DFS__REPAIR_KIND__REPAIR_OWNER:
        return repair_owner(tx, op);
    case DFS__REPAIR_KIND__REPAIR_GARBAGE:
        return repair_garbage(tx, op);
    case DFS__REPAIR_KIND__REPAIR_NO_GARBAGE:
        return repair_no_garbage(tx, op);
    case DFS__REPAIR_KIND__REPAIR_LINKS:
        return set_links(tx, op);
    case DFS__REPAIR_KIND__REPAIR_USAGE:
        return add_usage(tx, op);
    default:
        return -EINVAL;
    }
}

int op_repair(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__RepairOp *op = req->repair;
    int r;

    if (op->name.len > NAME_BYTES_MAX || op->keep_name.len > NAME_BYTES_MAX)
        return -EINVAL;
    r = take_turn(tx, op);
    if (r < 0)
        return r;
    /* What the batch has counted so far is written first: it knows nothing of what comes. */
    usage_write_out(tx);
    usage_reset(tx);
    r = repair(tx, op);
    if (r < 0)
        return r;
    reply_id(tx, reply, (uint64_t)r, 0);
    return 0;
}
