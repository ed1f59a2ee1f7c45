/*
 * What a client must be told of contents and quotas, by rules that know nothing of the state machine:
 * sizes, chunks, the mark of a truncation, extended attributes by name, what lies below a quota. It
 * stands beside the model of names (posix_model.h), and the log is replayed into both.
 *
 * A truncate leaves old bytes in the last chunk until somebody has zeroed them at the datanodes. Who
 * did is told by nn_data_zeroed(), at the point of the log where it happened; a file that grows before
 * that would show them (7.4 of the protocols).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/ids.h"
#include "common/limits.h"
#include "common/mem.h"
#include "tests/sim/sim_nn.h"
#include "tests/unit/namenode/posix_model.h"

enum { QUOTAS_MAX = 64 };

struct data_file {
    bool is_inline, pending, cut;
    uint64_t inline_len;
    uint32_t pending_from, cut_from; /* byte in the last chunk */
    uint64_t pending_chunk, cut_chunk;
    uint64_t pending_version, version_max; /* of marks; 0: none has one */
    uint64_t chunks[NN_FILE_CHUNKS];       /* 0: none */
    bool materialized[NN_FILE_CHUNKS];
    unsigned xattrs; /* bits */
    uint8_t copies;  /* asked for; 0: as many as the cluster's */
    uint64_t home;   /* the directory in which it counts */
};

struct data_quota {
    uint64_t dir, inodes, bytes; /* 0: no limit */
    uint64_t inodes_before, bytes_before;
};

struct nn_data {
    struct sim_world *w;
    struct model *m;
    struct data_file files[MODEL_INODES];
    struct data_quota quotas[QUOTAS_MAX];
    unsigned quota_count;
    uint64_t parents[MODEL_INODES]; /* of directories, while usage is counted */
    uint64_t chunk_max;
    uint64_t made_max; /* the last inode that was made */
    bool counts;       /* the format has counters */
    bool has_marks;    /* the format has versions of marks */
    bool home_moved;   /* a file went to another of its names */
};

struct nn_data *nn_data_new(struct sim_world *w, struct model *m)
{
    struct nn_data *d = MEM_NEW(struct nn_data);

    d->w = w;
    d->m = m;
    return d;
}

void nn_data_free(struct nn_data *d)
{
    free(d);
}

static struct model_inode *inode_of(struct nn_data *d, uint64_t ino)
{
    return ino < MODEL_INODES && d->m->inodes[ino].exists ? &d->m->inodes[ino] : NULL;
}

/* ---- quotas ---- */

static void find_parents(struct nn_data *d)
{
    const struct model *m = d->m;

    for (unsigned i = 0; i < m->entry_count; i++) {
        if (S_ISDIR(m->inodes[m->entries[i].ino].mode))
            d->parents[m->entries[i].ino] = m->entries[i].dir;
    }
}

static bool lies_in(const struct nn_data *d, uint64_t dir, uint64_t tree)
{
    for (; dir != tree; dir = d->parents[dir]) {
        if (dir == INO_ROOT.v || dir == 0)
            return false;
    }
    return true;
}

static bool is_first_name_at_home(const struct nn_data *d, unsigned at)
{
    const struct model_entry *e = &d->m->entries[at];

    if (d->files[e->ino].home != e->dir)
        return false;
    for (unsigned i = 0; i < at; i++) {
        if (d->m->entries[i].ino == e->ino && d->m->entries[i].dir == e->dir)
            return false;
    }
    return true;
}

static void count_below(const struct nn_data *d, uint64_t dir, uint64_t *ret_inodes,
                        uint64_t *ret_bytes)
{
    *ret_inodes = *ret_bytes = 0;
    for (unsigned i = 0; i < d->m->entry_count; i++) {
        const struct model_entry *e = &d->m->entries[i];
        const struct model_inode *inode = &d->m->inodes[e->ino];

        if (!lies_in(d, e->dir, dir) || (!S_ISDIR(inode->mode) && !is_first_name_at_home(d, i)))
            continue;
        ++*ret_inodes;
        *ret_bytes += S_ISREG(inode->mode) ? inode->size : 0;
    }
}

static void count_before(struct nn_data *d)
{
    d->home_moved = false;
    find_parents(d);
    for (unsigned i = 0; i < d->quota_count; i++)
        count_below(d, d->quotas[i].dir, &d->quotas[i].inodes_before, &d->quotas[i].bytes_before);
}

/* Nothing that was done may have brought more into a tree that is over its quota. */
static void check_quotas(struct nn_data *d)
{
    uint64_t inodes, bytes;

    find_parents(d);
    for (unsigned i = 0; i < d->quota_count && !d->home_moved; i++) {
        const struct data_quota *q = &d->quotas[i];

        count_below(d, q->dir, &inodes, &bytes);
        if ((q->inodes != 0 && inodes > q->inodes && inodes > q->inodes_before) ||
            (q->bytes != 0 && bytes > q->bytes && bytes > q->bytes_before))
            sim_fail(d->w, "quota: %lu inodes and %lu bytes below %lu; %lu and %lu may be",
                     UL(inodes), UL(bytes), UL(q->dir), UL(q->inodes), UL(q->bytes));
    }
}

/* As count_before() has counted. */
static bool would_exceed(const struct nn_data *d, uint64_t dir, uint64_t inodes, uint64_t bytes)
{
    for (unsigned i = 0; i < d->quota_count; i++) {
        const struct data_quota *q = &d->quotas[i];

        if (lies_in(d, dir, q->dir) &&
            ((q->inodes != 0 && inodes > 0 && q->inodes_before + inodes > q->inodes) ||
             (q->bytes != 0 && bytes > 0 && q->bytes_before + bytes > q->bytes)))
            return true;
    }
    return false;
}

static int check_growth(struct nn_data *d, uint64_t ino, uint64_t size)
{
    const struct model_inode *inode = inode_of(d, ino);

    if (size <= inode->size || model_nlink(d->m, ino) == 0)
        return 0;
    return would_exceed(d, d->files[ino].home, 0, size - inode->size) ? -EDQUOT : 0;
}

static void forget_removed(struct nn_data *d)
{
    for (unsigned i = 0; i < d->quota_count;) {
        if (model_nlink(d->m, d->quotas[i].dir) == 0)
            d->quotas[i] = d->quotas[--d->quota_count];
        else
            i++;
    }
}

static int set_quota(struct nn_data *d, const Dfs__SetQuotaOp *op)
{
    const struct model_inode *inode = inode_of(d, op->ino);
    struct data_quota *q = d->quotas;

    if (inode == NULL)
        return -ESTALE;
    if (!S_ISDIR(inode->mode))
        return -ENOTDIR;
    if (model_nlink(d->m, op->ino) == 0)
        return -ENOENT;
    while (q < d->quotas + d->quota_count && q->dir != op->ino)
        q++;
    if (q == d->quotas + QUOTAS_MAX)
        sim_fail(d->w, "too many quotas for the model");
    else if (q == d->quotas + d->quota_count)
        d->quotas[d->quota_count++] = (struct data_quota){.dir = op->ino};
    q->inodes = op->set_inodes ? op->inodes : q->inodes;
    q->bytes = op->set_bytes ? op->bytes : q->bytes;
    if (q->inodes == 0 && q->bytes == 0)
        *q = d->quotas[--d->quota_count];
    return 0;
}

/* ---- homes ---- */

static bool has_name_in(const struct model *m, uint64_t ino, uint64_t dir)
{
    for (unsigned i = 0; i < m->entry_count; i++) {
        if (m->entries[i].ino == ino && m->entries[i].dir == dir)
            return true;
    }
    return false;
}

static uint64_t first_dir_of(const struct model *m, uint64_t ino)
{
    uint64_t dir = 0;

    for (unsigned i = 0; i < m->entry_count; i++) {
        if (m->entries[i].ino == ino && (dir == 0 || m->entries[i].dir < dir))
            dir = m->entries[i].dir;
    }
    return dir;
}

/* to: where it was moved to, 0: nowhere. */
static void settle(struct nn_data *d, uint64_t ino, uint64_t to)
{
    struct data_file *f = &d->files[ino];

    if (!d->counts || has_name_in(d->m, ino, f->home))
        return;
    if (to != 0 && has_name_in(d->m, ino, to)) {
        f->home = to;
    } else {
        d->home_moved = d->home_moved || f->home != 0;
        f->home = first_dir_of(d->m, ino);
    }
}

static void settle_all(struct nn_data *d)
{
    for (uint64_t ino = 2; ino < d->m->next_ino && ino < MODEL_INODES; ino++) {
        if (inode_of(d, ino) != NULL && !S_ISDIR(d->m->inodes[ino].mode))
            settle(d, ino, 0);
    }
}

void nn_data_format(struct nn_data *d, uint32_t format)
{
    d->has_marks = d->has_marks || format >= FSM_FORMAT_MARKS;
    if (format < FSM_FORMAT_USAGE || d->counts)
        return;
    d->counts = true;
    settle_all(d);
}

/* ---- operations on names, which the other model does ---- */

void nn_data_before(struct nn_data *d)
{
    count_before(d);
}

void nn_data_named(struct nn_data *d, const Dfs__MetaRequest *req, uint64_t ino)
{
    const struct model_entry *e;
    char name[MODEL_NAME_SIZE];

    if (req->op_case == DFS__META_REQUEST__OP_CREATE && ino > d->made_max) {
        d->made_max = ino;
        if (S_ISREG(d->m->inodes[ino].mode) || S_ISDIR(d->m->inodes[ino].mode))
            d->files[ino].copies = d->files[req->create->parent].copies;
    }
    if (req->op_case == DFS__META_REQUEST__OP_RENAME) {
        settle(d, ino, req->rename->new_parent);
        memcpy(name, req->rename->name.data, req->rename->name.len);
        name[req->rename->name.len] = '\0';
        e = model_find(d->m, req->rename->parent, name);
        if (req->rename->flags == 2 && e != NULL) /* The other one of an exchange. */
            settle(d, e->ino, req->rename->parent);
    }
    settle_all(d);
    check_quotas(d);
    forget_removed(d);
}

/* Only what grows may be refused so, and only where a quota is. */
bool nn_data_may_refuse(const struct nn_data *d, const Dfs__MetaRequest *req)
{
    switch (req->op_case) {
    case DFS__META_REQUEST__OP_CREATE:
        return would_exceed(d, req->create->parent, 1, 0);
    case DFS__META_REQUEST__OP_LINK:
        return would_exceed(d, req->link->parent, 1, d->m->inodes[req->link->ino].size);
    case DFS__META_REQUEST__OP_RENAME:
        return would_exceed(d, req->rename->new_parent, MODEL_INODES, UINT64_MAX / 4) ||
               (req->rename->flags == 2 &&
                would_exceed(d, req->rename->parent, MODEL_INODES, UINT64_MAX / 4));
    default:
        return false;
    }
}

/* ---- content ---- */

/* -1: nobody ever asks for that chunk. */
static int slot_of(uint64_t index)
{
    for (unsigned slot = 0; slot < NN_FILE_CHUNKS; slot++) {
        if (nn_chunk_index(slot) == index)
            return (int)slot;
    }
    return -1;
}

static int get_file(struct nn_data *d, uint64_t ino)
{
    const struct model_inode *inode = inode_of(d, ino);

    if (inode == NULL)
        return -ESTALE;
    if (S_ISDIR(inode->mode))
        return -EISDIR;
    return S_ISREG(inode->mode) ? 0 : -EINVAL;
}

static unsigned count_chunks(const struct data_file *f)
{
    unsigned count = 0;

    for (unsigned i = 0; i < NN_FILE_CHUNKS; i++)
        count += f->chunks[i] != 0;
    return count;
}

static void resize(struct nn_data *d, uint64_t ino, uint64_t size)
{
    struct data_file *f = &d->files[ino];
    struct model_inode *inode = inode_of(d, ino);

    if (size > inode->size && f->cut)
        sim_fail(d->w, "7.4: inode %lu grows to %lu, and bytes that were cut off at %lu come back",
                 UL(ino), UL(size), UL(inode->size));
    inode->size = size;
}

static int alloc(struct nn_data *d, const Dfs__AllocOp *op, const struct fsm_reply *reply)
{
    struct data_file *f;
    int r = get_file(d, op->ino);

    if (r == 0)
        r = check_growth(d, op->ino, op->first_index * (uint64_t)CHUNK_SIZE + 1);
    if (r < 0 || reply->status < 0)
        return r;
    f = &d->files[op->ino];
    if (reply->msg->layout->n_chunks != op->count)
        sim_fail(d->w, "%lu chunks are allocated, %u asked for", UL(reply->msg->layout->n_chunks),
                 op->count);
    for (size_t i = 0; i < reply->msg->layout->n_chunks; i++) {
        const Dfs__ChunkRef *ref = reply->msg->layout->chunks[i];
        int slot = slot_of(ref->index);
        uint64_t *chunk = &f->chunks[slot];

        if (*chunk == 0 && ref->chunk_id <= d->chunk_max)
            sim_fail(d->w, "I16: chunk %lu is given again", UL(ref->chunk_id));
        if (ref->chunk_id > d->chunk_max)
            d->chunk_max = ref->chunk_id;
        if (*chunk != 0 && *chunk != ref->chunk_id)
            sim_fail(d->w, "chunk %u of inode %lu was %lu and is %lu", ref->index, UL(op->ino),
                     UL(*chunk), UL(ref->chunk_id));
        if (ref->materialized != f->materialized[slot])
            sim_fail(d->w, "chunk %lu %s hold bytes", UL(ref->chunk_id),
                     ref->materialized ? "must not" : "must");
        *chunk = ref->chunk_id;
    }
    return 0;
}

static int check_commit(const struct data_file *f, const Dfs__CommitOp *op)
{
    if (op->set_inline && (op->clear_inline || op->n_materialized > 0))
        return -EINVAL;
    if (op->set_inline && count_chunks(f) > 0)
        return -EAGAIN;
    return f->is_inline && !op->clear_inline && op->n_materialized > 0 ? -EAGAIN : 0;
}

static int commit(struct nn_data *d, const Dfs__CommitOp *op)
{
    struct data_file *f;
    uint64_t size, old;
    bool gone = false;
    int r = get_file(d, op->ino);

    if (r < 0)
        return r;
    f = &d->files[op->ino];
    r = check_commit(f, op);
    if (r < 0)
        return r;
    for (size_t i = 0; i < op->n_materialized; i++)
        gone = gone || f->chunks[slot_of(op->materialized[i])] == 0;
    old = size = inode_of(d, op->ino)->size;
    if (!gone && op->end > size)
        size = op->end;
    if (op->set_inline && op->inline_data.len > size)
        size = op->inline_data.len;
    if (size > old && f->pending) {
        d->w->stats->growth_refused++;
        return -EAGAIN;
    }
    if ((op->set_inline || (f->is_inline && !op->clear_inline)) && size > INLINE_MAX)
        return -EAGAIN;
    r = check_growth(d, op->ino, size);
    if (r < 0)
        return r;
    d->w->stats->commits_after_cut += gone;
    for (size_t i = 0; i < op->n_materialized; i++)
        f->materialized[slot_of(op->materialized[i])] =
            f->chunks[slot_of(op->materialized[i])] != 0;
    resize(d, op->ino, size);
    if (op->set_inline && size > 0)
        f->is_inline = true;
    else if (op->set_inline || op->clear_inline)
        f->is_inline = false;
    if (op->set_inline)
        f->inline_len = op->inline_data.len;
    return 0;
}

/* The rest of the last chunk holds what was there. */
static void mark_cut(struct data_file *f, uint64_t size)
{
    int slot = slot_of(size / CHUNK_SIZE);

    f->pending =
        size % CHUNK_SIZE != 0 && slot >= 0 && f->chunks[slot] != 0 && f->materialized[slot];
    if (!f->pending) {
        f->cut = false;
        return;
    }
    f->cut = true;
    f->pending_chunk = f->cut_chunk = f->chunks[slot];
    f->pending_from = f->cut_from = (uint32_t)(size % CHUNK_SIZE);
}

/* No other truncation of the file had it. */
static void learn_version(struct nn_data *d, uint64_t ino, const struct fsm_reply *reply)
{
    struct data_file *f = &d->files[ino];
    const Dfs__ChunkTail *mark = reply->status == 0 ? reply->msg->entry->attr->trunc_pending : NULL;

    if (mark == NULL)
        return; /* That is told elsewhere. */
    if (d->has_marks ? mark->version <= f->version_max : mark->version != 0)
        sim_fail(d->w, "the mark of inode %lu has version %lu, after %lu", UL(ino),
                 UL(mark->version), UL(f->version_max));
    f->pending_version = mark->version;
    if (mark->version > f->version_max)
        f->version_max = mark->version;
}

static int truncate_to(struct nn_data *d, const Dfs__TruncateOp *op, const struct fsm_reply *reply)
{
    struct data_file *f;
    uint64_t old;
    int r = get_file(d, op->ino);

    if (r < 0)
        return r;
    f = &d->files[op->ino];
    old = inode_of(d, op->ino)->size;
    if (op->size > old && (f->pending || (f->is_inline && op->size > INLINE_MAX)))
        return -EAGAIN;
    r = check_growth(d, op->ino, op->size);
    if (r < 0)
        return r;
    if (op->size < old && f->is_inline) {
        f->is_inline = op->size > 0;
    } else if (op->size < old) {
        for (unsigned i = 0; i < NN_FILE_CHUNKS; i++) {
            if (nn_chunk_index(i) < (op->size + CHUNK_SIZE - 1) / CHUNK_SIZE)
                continue;
            f->chunks[i] = 0;
            f->materialized[i] = false;
        }
        mark_cut(f, op->size);
        if (f->pending)
            learn_version(d, op->ino, reply);
    }
    resize(d, op->ino, op->size);
    return 0;
}

static int clear_mark(struct nn_data *d, const Dfs__TruncDoneOp *op)
{
    struct data_file *f;
    int r = get_file(d, op->ino);

    if (r < 0)
        return r;
    f = &d->files[op->ino];
    if (!f->pending)
        return 0;
    if (op->version != 0 && op->version != f->pending_version)
        return 0; /* Of a truncation that is over. */
    if (f->pending_chunk != op->chunk_id || f->pending_from != op->from)
        return -EAGAIN;
    f->pending = false;
    if (!f->cut)
        return 0;
    if (op->version != 0)
        sim_fail(d->w, "7.4: the mark of inode %lu is cleared, and its tail is not zeroed",
                 UL(op->ino));
    /* Known: clients of an older release, and those that saw a mark before the format had versions, go
     * by chunk and byte. One that is late clears the mark of a later truncation to the same byte. */
    d->w->stats->stale_clears++;
    f->cut = false;
    return 0;
}

static int trunc_done(struct nn_data *d, const Dfs__TruncDoneOp *op, const struct fsm_reply *reply)
{
    int r = clear_mark(d, op);

    if (r == 0 && reply->status == 0 &&
        (reply->msg->entry->attr->trunc_pending != NULL) != d->files[op->ino].pending)
        sim_fail(d->w,
                 "7.4: inode %lu is %smarked after version %lu was told zeroed, its mark is %lu",
                 UL(op->ino), d->files[op->ino].pending ? "not " : "", UL(op->version),
                 UL(d->files[op->ino].pending_version));
    return r;
}

void nn_data_zeroed(struct nn_data *d, const struct nn_tail *tail)
{
    struct data_file *f = &d->files[tail->ino];

    if (f->cut && f->cut_chunk == tail->chunk && tail->from <= f->cut_from)
        f->cut = false;
}

/* It begins at the front of the file. */
void nn_data_reaped(struct nn_data *d, uint64_t ino, uint64_t left)
{
    struct data_file *f = &d->files[ino];

    for (unsigned i = 0; i < NN_FILE_CHUNKS && count_chunks(f) > left; i++) {
        f->chunks[i] = 0;
        f->materialized[i] = false;
    }
    if (count_chunks(f) != left)
        sim_fail(d->w, "inode %lu has %u chunks, the reaper says %lu", UL(ino), count_chunks(f),
                 UL(left));
}

/* value NULL: it is removed. */
static int xattr(struct nn_data *d, uint64_t ino, ProtobufCBinaryData name,
                 const ProtobufCBinaryData *value)
{
    const struct model_inode *inode = inode_of(d, ino);
    unsigned bit = 1u << (name.data[name.len - 1] & 7);

    if (inode == NULL)
        return -ESTALE;
    if (!S_ISREG(inode->mode) && !S_ISDIR(inode->mode))
        return -EPERM;
    if (fsm_is_copies_xattr(name)) {
        d->files[ino].copies = value == NULL ? 0 : (uint8_t)(value->data[0] - '0');
        return 0;
    }
    if (value != NULL)
        d->files[ino].xattrs |= bit;
    else if (!(d->files[ino].xattrs & bit))
        return -ENODATA;
    else
        d->files[ino].xattrs &= ~bit;
    return 0;
}

bool nn_data_apply(struct nn_data *d, const Dfs__MetaRequest *req, const struct fsm_reply *reply,
                   int *ret_status)
{
    switch (req->op_case) {
    case DFS__META_REQUEST__OP_ALLOC:
        *ret_status = alloc(d, req->alloc, reply);
        break;
    case DFS__META_REQUEST__OP_COMMIT:
        *ret_status = commit(d, req->commit);
        break;
    case DFS__META_REQUEST__OP_TRUNCATE:
        *ret_status = truncate_to(d, req->truncate, reply);
        break;
    case DFS__META_REQUEST__OP_TRUNC_DONE:
        *ret_status = trunc_done(d, req->trunc_done, reply);
        break;
    case DFS__META_REQUEST__OP_SET_QUOTA:
        *ret_status = set_quota(d, req->set_quota);
        return true; /* It may be set below what is there. */
    case DFS__META_REQUEST__OP_SETXATTR:
        *ret_status = xattr(d, req->setxattr->ino, req->setxattr->name, &req->setxattr->value);
        break;
    case DFS__META_REQUEST__OP_REMOVEXATTR:
        *ret_status = xattr(d, req->removexattr->ino, req->removexattr->name, NULL);
        break;
    default:
        return false;
    }
    check_quotas(d);
    return true;
}

/* ---- the end ---- */

void nn_data_check_end(struct nn_data *d, struct fsm *fsm)
{
    struct inode_rec rec;

    for (uint64_t ino = 2; ino < d->m->next_ino && ino < MODEL_INODES; ino++) {
        const struct model_inode *inode = inode_of(d, ino);
        const struct data_file *f = &d->files[ino];

        if (inode == NULL || !S_ISREG(inode->mode))
            continue;
        if (fsm_inode_get(fsm, ino, &rec) < 0)
            sim_fail(d->w, "inode %lu is not there", UL(ino));
        else if (rec.size != inode->size || rec.is_inline != f->is_inline ||
                 rec.trunc_pending != f->pending)
            sim_fail(d->w, "inode %lu has %lu bytes%s%s, the model says %lu%s%s", UL(ino),
                     UL(rec.size), rec.is_inline ? ", inline" : "",
                     rec.trunc_pending ? ", marked" : "", UL(inode->size),
                     f->is_inline ? ", inline" : "", f->pending ? ", marked" : "");
        else if (rec.copies != f->copies)
            sim_fail(d->w, "inode %lu is to have %u copies, the model says %u", UL(ino), rec.copies,
                     f->copies);
        else if (rec.nlink > 0 && d->counts && rec.parent != f->home)
            sim_fail(d->w, "inode %lu counts in %lu, the model says %lu", UL(ino), UL(rec.parent),
                     UL(f->home));
    }
}
