#include "namenode/fsm_quota.h"

#include <errno.h>
#include <sys/stat.h>

#include "namenode/fsm_ops.h"

/* ---- checks ---- */

static bool fits(const struct usage_rec *rec, uint64_t inodes, usage_bytes bytes)
{
    if (rec->quota_inodes != 0 && inodes > 0 &&
        (usage_bytes)rec->files + rec->dirs + inodes > rec->quota_inodes)
        return false;
    return rec->quota_bytes == 0 || bytes == 0 || rec->bytes + bytes <= rec->quota_bytes;
}

/* `more` comes and `less` goes, in dir and all above it, below `top` (NULL: to the root). */
static int check(const struct usage_node *dir, const struct usage_node *top,
                 const struct usage_rec *more, const struct usage_rec *less)
{
    uint64_t come = more->files + more->dirs, go = less->files + less->dirs;
    usage_bytes bytes = more->bytes > less->bytes ? more->bytes - less->bytes : 0;
    uint64_t inodes = come > go ? come - go : 0;

    for (; dir != top; dir = dir->above) {
        if (!fits(&dir->rec, inodes, bytes))
            return -EDQUOT;
    }
    return 0;
}

static const struct usage_rec nothing;

static int check_at(struct tx *tx, uint64_t dir, const struct usage_rec *more)
{
    const struct usage_node *n = usage_node(tx, dir);

    return n ? check(n, NULL, more, &nothing) : tx->fatal;
}

int quota_check_new(struct tx *tx, uint64_t dir, uint32_t type)
{
    const struct usage_rec more = {.files = type != S_IFDIR, .dirs = type == S_IFDIR};

    return tx->state.quota_count == 0 ? 0 : check_at(tx, dir, &more);
}

int quota_check_growth(struct tx *tx, const struct inode_rec *inode, uint64_t new_size)
{
    struct usage_rec more = {0};

    if (tx->state.quota_count == 0 || inode->nlink == 0 || new_size <= inode->size)
        return 0;
    more.bytes = new_size - inode->size;
    return check_at(tx, inode->parent, &more);
}

int quota_check_link(struct tx *tx, uint64_t dir, const struct inode_rec *inode)
{
    const struct usage_rec more = usage_of_file(inode);
    const struct usage_node *home, *to;

    if (tx->state.quota_count == 0)
        return 0;
    home = usage_node(tx, inode->parent);
    to = usage_node(tx, dir);
    if (!home || !to)
        return tx->fatal;
    return check(to, usage_common(home, to), &more, &nothing);
}

int quota_check_rename(struct tx *tx, uint64_t from, uint64_t to, const struct inode_rec *source,
                       const struct inode_rec *target, bool exchange)
{
    const struct usage_node *a, *b, *top;
    struct usage_rec there, back = {0};
    int r;

    if (tx->state.quota_count == 0 || from == to)
        return 0;
    a = usage_node(tx, from);
    b = usage_node(tx, to);
    there = usage_of_name(tx, from, source);
    /* A file that is replaced and has other names may find its home in the same tree. */
    if (target && (exchange || S_ISDIR(target->mode) || target->nlink == 1))
        back = usage_of_name(tx, to, target);
    if (tx->fatal < 0)
        return tx->fatal;
    top = usage_common(a, b);
    r = check(b, top, &there, &back);
    return r == 0 && exchange ? check(a, top, &back, &there) : r;
}

/* ---- setting and asking ---- */

static bool has_quota(const struct usage_rec *rec)
{
    return rec->quota_inodes != 0 || rec->quota_bytes != 0;
}

static void set(struct tx *tx, struct usage_node *n, uint64_t inodes, uint64_t bytes)
{
    tx->state.quota_count -= has_quota(&n->rec);
    n->rec.quota_inodes = inodes;
    n->rec.quota_bytes = bytes;
    tx->state.quota_count += has_quota(&n->rec);
    n->changed = true;
}

void quota_drop(struct tx *tx, uint64_t dir)
{
    struct usage_node *n;

    if (tx->state.quota_count == 0)
        return;
    n = usage_node(tx, dir);
    if (n && has_quota(&n->rec))
        set(tx, n, 0, 0);
}

static void reply_usage(struct tx *tx, Dfs__MetaReply *reply, const struct usage_rec *rec)
{
    Dfs__UsageReply *u = ARENA_NEW(&tx->arena, Dfs__UsageReply);

    dfs__usage_reply__init(u);
    u->files = rec->files;
    u->dirs = rec->dirs;
    u->bytes = (uint64_t)MIN(rec->bytes, (usage_bytes)UINT64_MAX);
    u->quota_inodes = rec->quota_inodes;
    u->quota_bytes = rec->quota_bytes;
    reply->result_case = DFS__META_REPLY__RESULT_USAGE;
    reply->usage = u;
}

int op_set_quota(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    const Dfs__SetQuotaOp *op = req->set_quota;
    struct cred cred = cred_of(req);
    struct inode_rec dir;
    struct usage_node *n;
    int r;

    if (tx->state.format < FSM_FORMAT_USAGE)
        return -EOPNOTSUPP;
    r = tx_inode_get(tx, op->ino, &dir);
    if (r < 0)
        return r;
    if (!S_ISDIR(dir.mode))
        return -ENOTDIR;
    if (dir.nlink == 0)
        return -ENOENT;
    if (cred.uid != 0)
        return -EPERM;
    n = usage_node(tx, dir.ino);
    if (!n)
        return tx->fatal;

    set(tx, n, op->set_inodes ? op->inodes : n->rec.quota_inodes,
        op->set_bytes ? op->bytes : n->rec.quota_bytes);
    reply_usage(tx, reply, &n->rec);
    return 0;
}

int read_usage(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    struct cred cred = cred_of(req);
    struct inode_rec inode;
    struct usage_rec rec;
    int r;

    r = tx_inode_get(tx, req->usage->ino, &inode);
    if (r < 0)
        return r;
    if (!S_ISDIR(inode.mode)) {
        rec = usage_of_file(&inode);
        reply_usage(tx, reply, &rec);
        return 0;
    }
    if (tx->state.format < FSM_FORMAT_USAGE)
        return -EOPNOTSUPP;
    r = perm_access(&cred, &inode, PERM_READ);
    if (r == 0)
        r = usage_get(tx, inode.ino, &rec);
    if (r < 0)
        return r;
    reply_usage(tx, reply, &rec);
    return 0;
}

static usage_bytes left(uint64_t quota, usage_bytes used)
{
    return used < quota ? quota - used : 0;
}

/* The one with the least left, of bytes and of inodes; a quota of 0: none so far. */
static void take_tighter(struct usage_rec *bytes, struct usage_rec *inodes,
                         const struct usage_rec *rec)
{
    if (rec->quota_bytes != 0 &&
        (bytes->quota_bytes == 0 ||
         left(rec->quota_bytes, rec->bytes) < left(bytes->quota_bytes, bytes->bytes)))
        *bytes = *rec;
    if (rec->quota_inodes != 0 &&
        (inodes->quota_inodes == 0 || left(rec->quota_inodes, rec->files + rec->dirs) <
                                          left(inodes->quota_inodes, inodes->files + inodes->dirs)))
        *inodes = *rec;
}

static void show(const struct usage_rec *bytes, const struct usage_rec *inodes, Dfs__StatfsReply *s)
{
    if (bytes->quota_bytes != 0) {
        uint64_t bytes_left = (uint64_t)left(bytes->quota_bytes, bytes->bytes);

        s->by_quota = bytes_left <= s->bytes_free;
        s->bytes_total = bytes->quota_bytes;
        s->bytes_free = MIN(s->bytes_free, bytes_left);
    }
    if (inodes->quota_inodes != 0) {
        s->inodes_max = inodes->quota_inodes;
        s->inodes_used = inodes->files + inodes->dirs;
    }
}

int quota_statfs(struct tx *tx, uint64_t ino, Dfs__StatfsReply *s)
{
    struct usage_rec bytes = {0}, inodes = {0};
    struct inode_rec inode;
    uint64_t dir;
    int r;

    if (tx->state.quota_count == 0 || tx_inode_get(tx, ino, &inode) < 0 || inode.nlink == 0)
        return tx->fatal;
    for (dir = S_ISDIR(inode.mode) ? ino : inode.parent;; dir = inode.parent) {
        struct usage_rec rec;

        r = usage_get(tx, dir, &rec);
        if (r < 0)
            return r;
        take_tighter(&bytes, &inodes, &rec);
        if (dir == INO_ROOT.v)
            break;
        if (tx_inode_get(tx, dir, &inode) < 0)
            return tx_fail(tx, -EBADMSG); /* The tree has come apart. */
    }
    show(&bytes, &inodes, s);
    return 0;
}
