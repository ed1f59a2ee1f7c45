/* CommitOp: written data becomes visible: size, times, inline content, materialized chunks. */
#include <errno.h>

#include "namenode/fsm_ops.h"

/* What the commit leads to; all is decided before anything is changed. */
static int commit_size(const Dfs__CommitOp *op, const struct inode_rec *inode, bool cut_below,
                       uint64_t *ret_size)
{
    uint64_t size = cut_below ? inode->size : MAX(inode->size, op->end);
    bool becomes_inline = op->set_inline || (inode->is_inline && !op->clear_inline);

    if (op->set_inline)
        size = MAX(size, op->inline_data.len);
    if (size > FSM_FILE_SIZE_MAX)
        return -EFBIG;
    if (size > inode->size && inode->trunc_pending)
        return -EAGAIN;
    if (becomes_inline && size > INLINE_MAX)
        return -EAGAIN;
    *ret_size = size;
    return 0;
}

/* Marks the chunks named; *ret_missing says that one of them is not there (any more). With
 * dry_run nothing is changed. */
static int materialize(struct tx *tx, uint64_t ino, const Dfs__CommitOp *op, bool dry_run,
                       bool *ret_missing)
{
    struct chunk_page page = {0};
    uint32_t page_index = 0;
    bool loaded = false, missing = false;

    for (size_t i = 0; i < op->n_materialized; i++) {
        uint32_t index = op->materialized[i];
        struct chunk_rec *c = NULL;
        int r;

        if (!loaded || index / REC_PAGE_CHUNKS != page_index) {
            if (loaded && !dry_run)
                tx_chunk_page_put(tx, ino, page_index, &page);
            page_index = index / REC_PAGE_CHUNKS;
            loaded = true;
            r = tx_chunk_page_get(tx, ino, page_index, &page);
            if (r < 0)
                return r;
        }
        for (unsigned j = 0; j < page.count; j++) {
            if (page.chunks[j].slot == index % REC_PAGE_CHUNKS)
                c = &page.chunks[j];
        }
        if (c)
            c->materialized = true;
        else
            missing = true;
    }
    if (loaded && !dry_run)
        tx_chunk_page_put(tx, ino, page_index, &page);
    *ret_missing = missing;
    return 0;
}

static void commit_inline(struct tx *tx, const Dfs__CommitOp *op, struct inode_rec *inode)
{
    struct key k;

    key_id64(&k, 'F', inode->ino);
    if (op->set_inline && inode->size > 0) {
        value_put(tx, &k, op->inline_data.data, op->inline_data.len);
        inode->is_inline = true;
    } else if (inode->is_inline && (op->clear_inline || op->set_inline)) {
        tx_delete(tx, &k);
        inode->is_inline = false;
    }
}

static int commit_check(const Dfs__CommitOp *op, const struct inode_rec *inode)
{
    if (op->inline_data.len > INLINE_MAX)
        return -EINVAL;
    if (op->set_inline && (op->clear_inline || op->n_materialized > 0))
        return -EINVAL;
    if (op->set_inline && inode->chunk_count > 0)
        return -EAGAIN;
    /* Content is in one place: chunks can not come to hold bytes beside it. */
    if (inode->is_inline && !op->clear_inline && op->n_materialized > 0)
        return -EAGAIN;
    return 0;
}

int op_commit(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__CommitOp *op = req->commit;
    bool missing = false;
    struct inode_rec inode;
    uint64_t old_size, size = 0;
    int r;

    r = file_get(tx, op->ino, &inode);
    if (r == 0)
        r = commit_check(op, &inode);
    if (r == 0)
        r = materialize(tx, inode.ino, op, true, &missing);
    if (r == 0)
        r = commit_size(op, &inode, missing, &size);
    if (r == 0)
        r = quota_check_growth(tx, &inode, size);
    if (r < 0)
        return r;

    if (op->n_materialized > 0) {
        r = materialize(tx, inode.ino, op, false, &missing);
        if (r < 0)
            return r;
    }
    old_size = inode.size;
    inode.size = size;
    usage_resized(tx, &inode, old_size);
    commit_inline(tx, op, &inode);
    if (op->mtime_ns != 0)
        inode.mtime_ns = op->mtime_ns;
    if (op->atime_ns != 0)
        inode.atime_ns = op->atime_ns;
    if (op->mtime_ns != 0 || op->kill_suid)
        inode.ctime_ns = tx->now_ns;
    if (op->set_inline || op->clear_inline || op->n_materialized > 0 || op->end > 0 ||
        op->mtime_ns != 0)
        inode.data_version++;
    if (op->kill_suid) {
        struct cred writer = cred_of(req);

        inode.mode = perm_mode_without_setid(&writer, &inode, true);
        r = xattr_drop_capability(tx, &inode);
        if (r < 0)
            return r;
    }
    tx_inode_put(tx, &inode);
    (void)reply_entry(tx, reply, &inode);
    return 0;
}
