#include "namenode/fsm_usage.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "namenode/fsm_ops.h"

static bool is_kept(const struct tx *tx)
{
    return tx->state.format >= FSM_FORMAT_USAGE;
}

/* ---- records ---- */

bool usage_rec_is_zero(const struct usage_rec *rec)
{
    return rec->files == 0 && rec->dirs == 0 && rec->bytes == 0 && rec->quota_inodes == 0 &&
           rec->quota_bytes == 0;
}

/* -ENOENT */
static int usage_read(struct tx *tx, uint64_t dir, struct usage_rec *ret_rec)
{
    struct kv_value v;
    struct key k;
    int r;

    key_id64(&k, 'U', dir);
    r = tx_get(tx, &k, &v);
    if (r < 0)
        return r;
    r = usage_rec_decode(v.data, v.len, ret_rec);
    tx_value_done(tx, &v);
    return r < 0 ? tx_damaged(tx, &k) : 0;
}

int usage_get(struct tx *tx, uint64_t dir, struct usage_rec *ret_rec)
{
    int r = usage_read(tx, dir, ret_rec);

    if (r != -ENOENT)
        return r;
    *ret_rec = (struct usage_rec){0};
    return 0;
}

/* Names that the file has in the directory; 0 also when the store fails. */
static uint32_t names_get(struct tx *tx, uint64_t ino, uint64_t dir)
{
    struct link_rec rec = {0};
    struct kv_value v;
    struct key k;

    key_link(&k, ino, dir);
    if (tx_get(tx, &k, &v) < 0)
        return 0;
    if (link_rec_decode(v.data, v.len, &rec) < 0)
        (void)tx_damaged(tx, &k);
    tx_value_done(tx, &v);
    return rec.names;
}

static void names_put(struct tx *tx, uint64_t ino, uint64_t dir, uint32_t names)
{
    struct link_rec rec = {.names = names};
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;

    key_link(&k, ino, dir);
    if (names == 0)
        tx_delete(tx, &k);
    else
        tx_put(tx, &k, bytes, link_rec_encode(&rec, bytes));
}

static int take_first(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value,
                      size_t value_len)
{
    uint64_t *dir = ctx;

    (void)value;
    (void)value_len;
    if (key_len != 17)
        return -EBADMSG;
    *dir = key_get_u64(key + 9);
    return 1;
}

/* The lowest directory that has a name of the file; 0: the store fails. */
static uint64_t names_first_dir(struct tx *tx, uint64_t ino)
{
    uint64_t dir = 0;
    struct key from;

    key_id64(&from, 'K', ino);
    if (tx_scan(tx, &from, from.len, take_first, &dir) == 0 && dir == 0)
        (void)tx_damaged(tx, &from);
    return dir;
}

/* ---- the directories of a batch ---- */

static struct usage_node *node_new(struct tx *tx, uint64_t ino)
{
    struct usage_node *n = ARENA_NEW(&tx->arena, struct usage_node);
    int r = usage_read(tx, ino, &n->rec);

    if (r < 0 && r != -ENOENT)
        return NULL;
    n->ino = ino;
    n->is_stored = r == 0;
    HASH_ADD(hh, tx->usage, ino, sizeof(n->ino), n);
    return n;
}

/* From n up, as far as it is known. */
static bool is_on_the_way(const struct usage_node *n, const struct usage_node *wanted)
{
    while (n && n != wanted)
        n = n->above;
    return n != NULL;
}

struct usage_node *usage_node(struct tx *tx, uint64_t ino)
{
    struct usage_node *first = NULL, **link = &first;

    for (;;) {
        struct usage_node *n;
        struct inode_rec dir;

        HASH_FIND(hh, tx->usage, &ino, sizeof(ino), n);
        if (n && is_on_the_way(first, n)) {
            (void)tx_fail(tx, -EBADMSG); /* A directory lies in itself. */
            return NULL;
        }
        if (n) {
            *link = n;
            return first;
        }
        n = node_new(tx, ino);
        if (!n)
            return NULL;
        *link = n;
        if (ino == INO_ROOT.v)
            return first;
        if (tx_inode_get(tx, ino, &dir) < 0) {
            (void)tx_fail(tx, -EBADMSG); /* The tree has come apart. */
            return NULL;
        }
        link = &n->above;
        ino = dir.parent;
    }
}

/* Of n and all above it, below `top` (NULL: to the root). */
static void add(struct usage_node *n, const struct usage_node *top, const struct usage_rec *more)
{
    for (; n != top; n = n->above) {
        n->rec.files += more->files;
        n->rec.dirs += more->dirs;
        n->rec.bytes += more->bytes;
        n->changed = true;
    }
}

static struct usage_rec minus(const struct usage_rec *rec)
{
    return (struct usage_rec){.files = -rec->files, .dirs = -rec->dirs, .bytes = -rec->bytes};
}

static size_t depth(const struct usage_node *n)
{
    size_t d = 0;

    while ((n = n->above) != NULL)
        d++;
    return d;
}

const struct usage_node *usage_common(const struct usage_node *a, const struct usage_node *b)
{
    size_t da = depth(a), db = depth(b);

    for (; da > db; da--)
        a = a->above;
    for (; db > da; db--)
        b = b->above;
    while (a != b) {
        a = a->above;
        b = b->above;
    }
    return a;
}

static void add_at(struct tx *tx, uint64_t dir, const struct usage_rec *more)
{
    struct usage_node *n = usage_node(tx, dir);

    if (n)
        add(n, NULL, more);
}

static void move(struct tx *tx, uint64_t from, uint64_t to, const struct usage_rec *what)
{
    struct usage_node *a = usage_node(tx, from), *b = usage_node(tx, to);
    const struct usage_rec less = minus(what);
    const struct usage_node *top;

    if (!a || !b)
        return;
    top = usage_common(a, b);
    add(a, top, &less);
    add(b, top, what);
}

/* ---- what an inode counts ---- */

struct usage_rec usage_of_file(const struct inode_rec *inode)
{
    return (struct usage_rec){.files = 1, .bytes = S_ISREG(inode->mode) ? inode->size : 0};
}

static void move_home(struct tx *tx, struct inode_rec *inode, uint64_t to)
{
    const struct usage_rec w = usage_of_file(inode);

    move(tx, inode->parent, to, &w);
    inode->parent = to;
}

void usage_created(struct tx *tx, uint64_t dir, struct inode_rec *inode)
{
    static const struct usage_rec one_dir = {.dirs = 1};
    const struct usage_rec w = S_ISDIR(inode->mode) ? one_dir : usage_of_file(inode);

    if (!is_kept(tx))
        return;
    if (!S_ISDIR(inode->mode))
        inode->parent = dir;
    add_at(tx, dir, &w);
}

void usage_linked(struct tx *tx, uint64_t dir, struct inode_rec *inode)
{
    if (!is_kept(tx))
        return;
    if (inode->nlink == 1)
        names_put(tx, inode->ino, inode->parent, 1);
    names_put(tx, inode->ino, dir, names_get(tx, inode->ino, dir) + 1);
}

static void dir_removed(struct tx *tx, uint64_t dir, const struct inode_rec *victim)
{
    static const struct usage_rec one_less = {.dirs = (uint64_t)-1};

    quota_drop(tx, victim->ino);
    add_at(tx, dir, &one_less);
}

static void last_name_gone(struct tx *tx, struct inode_rec *inode)
{
    const struct usage_rec w = usage_of_file(inode), less = minus(&w);

    add_at(tx, inode->parent, &less);
    inode->parent = 0;
}

/* One name less in the directory; true: it was the last one there. */
static bool name_gone(struct tx *tx, const struct inode_rec *inode, uint64_t dir)
{
    uint32_t names = names_get(tx, inode->ino, dir);

    if (names == 0) {
        (void)tx_fail(tx, -EBADMSG);
        return false;
    }
    names_put(tx, inode->ino, dir, names - 1);
    return names == 1;
}

void usage_unlinked(struct tx *tx, uint64_t dir, struct inode_rec *inode)
{
    uint64_t next;

    if (!is_kept(tx))
        return;
    if (S_ISDIR(inode->mode)) {
        dir_removed(tx, dir, inode);
        return;
    }
    if (inode->nlink == 1) {
        last_name_gone(tx, inode);
        return;
    }
    if (name_gone(tx, inode, dir) && dir == inode->parent) {
        next = names_first_dir(tx, inode->ino);
        if (next == 0)
            return;
        move_home(tx, inode, next);
    }
    if (inode->nlink == 2) /* The one that is left is at home. */
        names_put(tx, inode->ino, inode->parent, 0);
}

struct usage_rec usage_of_name(struct tx *tx, uint64_t dir, const struct inode_rec *inode)
{
    const struct usage_node *n;

    if (S_ISDIR(inode->mode)) {
        n = usage_node(tx, inode->ino);
        return n ? (struct usage_rec){.files = n->rec.files,
                                      .dirs = n->rec.dirs + 1,
                                      .bytes = n->rec.bytes}
                 : (struct usage_rec){0};
    }
    if (inode->nlink == 1 || (inode->parent == dir && names_get(tx, inode->ino, dir) == 1))
        return usage_of_file(inode);
    return (struct usage_rec){0};
}

static void dir_moved(struct tx *tx, uint64_t from, uint64_t to, const struct inode_rec *inode)
{
    struct usage_node *n = usage_node(tx, inode->ino), *above = usage_node(tx, to);
    const struct usage_rec w = usage_of_name(tx, from, inode);

    if (!n || !above)
        return;
    if (is_on_the_way(above, n)) {
        (void)tx_fail(tx, -EBADMSG); /* Into itself: that was to be refused before. */
        return;
    }
    move(tx, from, to, &w);
    n->above = above;
}

void usage_moved(struct tx *tx, uint64_t from, uint64_t to, struct inode_rec *inode)
{
    if (!is_kept(tx) || from == to)
        return;
    if (S_ISDIR(inode->mode)) {
        dir_moved(tx, from, to, inode);
        return;
    }
    if (inode->nlink == 1) {
        move_home(tx, inode, to);
        return;
    }
    names_put(tx, inode->ino, to, names_get(tx, inode->ino, to) + 1);
    if (name_gone(tx, inode, from) && from == inode->parent)
        move_home(tx, inode, to);
}

void usage_resized(struct tx *tx, const struct inode_rec *inode, uint64_t old_size)
{
    const struct usage_rec more = {.bytes = (usage_bytes)inode->size - old_size};

    if (!is_kept(tx) || inode->nlink == 0 || inode->size == old_size)
        return;
    add_at(tx, inode->parent, &more);
}

/* ---- the whole store ---- */

static int count_entry(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value,
                       size_t value_len)
{
    struct tx *tx = ctx;
    struct inode_rec inode;
    struct dentry_rec d;
    uint64_t dir;
    int r;

    if (key_len <= 9 || dentry_rec_decode(value, value_len, &d) < 0)
        return -EBADMSG;
    dir = key_get_u64(key + 1);
    r = tx_inode_get(tx, d.ino, &inode);
    if (r < 0)
        return r == -ESTALE ? -EBADMSG : r;
    if (S_ISDIR(inode.mode) || inode.parent == 0)
        usage_created(tx, dir, &inode);
    if (S_ISDIR(inode.mode))
        return tx->fatal;
    if (inode.nlink > 1)
        names_put(tx, inode.ino, dir, names_get(tx, inode.ino, dir) + 1);
    tx_inode_put(tx, &inode);
    return tx->fatal;
}

int usage_rebuild(struct tx *tx)
{
    struct key from;

    key_kind(&from, 'D');
    return tx_scan(tx, &from, from.len, count_entry, tx);
}

/* ---- the end of a batch ---- */

static void node_put(struct tx *tx, const struct usage_node *n)
{
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;

    key_id64(&k, 'U', n->ino);
    if (!usage_rec_is_zero(&n->rec))
        tx_put(tx, &k, bytes, usage_rec_encode(&n->rec, bytes));
    else if (n->is_stored)
        tx_delete(tx, &k);
}

void usage_write_out(struct tx *tx)
{
    for (struct usage_node *n = tx->usage; n; n = n->hh.next) {
        if (n->changed)
            node_put(tx, n);
    }
}

void usage_reset(struct tx *tx)
{
    HASH_CLEAR(hh, tx->usage);
}
