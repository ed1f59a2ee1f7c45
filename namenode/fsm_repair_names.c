/* Repairs of names: entries, parents, /lost+found. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "namenode/fsm_repair.h"

enum { LOOP_STEPS_MAX = 4096, LOST_NAMES_MAX = 10 };

static const char lost_found[] = "lost+found";

/* 1: that entry names the inode. */
static int entry_names(struct tx *tx, uint64_t parent, ProtobufCBinaryData name, uint64_t ino,
                       struct dentry_rec *ret_entry)
{
    int r = tx_dentry_get(tx, parent, name, ret_entry);

    return r == -ENOENT ? 0 : r < 0 ? r : ret_entry->ino == ino;
}

/* ---- entries ---- */

/* The entry goes, and is counted no more by its directory, if there is one. */
static int entry_drop(struct tx *tx, const Dfs__RepairOp *op, bool is_dir)
{
    struct inode_rec dir;
    int r = repair_inode_find(tx, op->parent, &dir);

    if (r < 0)
        return r;
    tx_dentry_delete(tx, op->parent, op->name);
    if (r == 0 || !S_ISDIR(dir.mode))
        return 0;
    dir.entry_count--;
    if (is_dir && dir.nlink > 0)
        dir.nlink--;
    dir_changed(tx, &dir);
    return 0;
}

int repair_drop_entry(struct tx *tx, const Dfs__RepairOp *op)
{
    struct dentry_rec d, keep;
    struct inode_rec inode;
    bool same = op->parent == op->keep_parent && op->name.len == op->keep_name.len &&
                memcmp(op->name.data, op->keep_name.data, op->name.len) == 0;
    int r = entry_names(tx, op->parent, op->name, op->ino, &d), there;

    if (r <= 0)
        return r;
    there = repair_inode_find(tx, op->ino, &inode);
    if (there < 0)
        return there;
    if (there > 0 && op->ino != INO_ROOT.v) {
        if (!S_ISDIR(inode.mode) || same || op->keep_parent == 0)
            return NOT_NEEDED;
        r = entry_names(tx, op->keep_parent, op->keep_name, op->ino, &keep);
        if (r <= 0)
            return r;
    }
    r = entry_drop(tx, op, there > 0 ? S_ISDIR(inode.mode) : d.type == S_IFDIR);
    return r < 0 ? r : DONE;
}

int repair_entry_type(struct tx *tx, const Dfs__RepairOp *op)
{
    struct inode_rec inode;
    struct dentry_rec d;
    int r = entry_names(tx, op->parent, op->name, op->ino, &d);

    if (r > 0)
        r = repair_inode_find(tx, op->ino, &inode);
    if (r <= 0)
        return r;
    if (d.type == (inode.mode & S_IFMT))
        return NOT_NEEDED;
    d.type = inode.mode & S_IFMT;
    tx_dentry_put(tx, op->parent, op->name, &d);
    return DONE;
}

/* ---- /lost+found ---- */

static ProtobufCBinaryData text_name(const char *text)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)text, .len = strlen(text)};
}

static int lost_found_make(struct tx *tx, struct inode_rec *root, struct inode_rec *ret_dir)
{
    struct inode_rec dir = {
        .ino = tx->state.next_ino++,
        .mode = S_IFDIR | 0700,
        .nlink = 2,
        .parent = root->ino,
        .atime_ns = tx->now_ns,
        .mtime_ns = tx->now_ns,
        .ctime_ns = tx->now_ns,
        .btime_ns = tx->now_ns,
        .data_version = 1,
        .dir_version = 1,
    };
    struct dentry_rec d = {.ino = dir.ino, .type = S_IFDIR};

    usage_created(tx, root->ino, &dir); /* The root has nothing above that could be broken. */
    tx_inode_put(tx, &dir);
    tx->state.inode_count++;
    tx_dentry_put(tx, root->ino, text_name(lost_found), &d);
    root->entry_count++;
    root->nlink++;
    dir_changed(tx, root);
    *ret_dir = dir;
    return tx->fatal;
}

/* -ENOTDIR: the name is somebody else's. */
static int lost_found_get(struct tx *tx, struct inode_rec *ret_dir)
{
    struct inode_rec root;
    struct dentry_rec d;
    int r = tx_inode_get(tx, INO_ROOT.v, &root);

    if (r < 0)
        return r;
    r = tx_dentry_get(tx, INO_ROOT.v, text_name(lost_found), &d);
    if (r == -ENOENT)
        return lost_found_make(tx, &root, ret_dir);
    if (r == 0)
        r = repair_inode_find(tx, d.ino, ret_dir);
    if (r < 0)
        return r;
    return r > 0 && repair_is_live_dir(ret_dir) ? 0 : -ENOTDIR;
}

/* A name that is free there, or (1) is the inode's already. -EEXIST */
static int lost_name(struct tx *tx, uint64_t dir, uint64_t ino, char name[48])
{
    struct dentry_rec d;

    for (unsigned i = 0; i < LOST_NAMES_MAX; i++) {
        int r;

        (void)snprintf(name, 48, i == 0 ? "#%llu" : "#%llu.%u", (unsigned long long)ino, i);
        r = tx_dentry_get(tx, dir, text_name(name), &d);
        if (r == -ENOENT)
            return 0;
        if (r < 0)
            return r;
        if (d.ino == ino)
            return 1;
    }
    return -EEXIST;
}

struct new_home {
    struct inode_rec dir;
    char name[48];
    bool is_there; /* it has a name there already */
};

/* The checks; changes nothing but that /lost+found is made. */
static int home_find(struct tx *tx, uint64_t ino, struct new_home *ret_home)
{
    int r = lost_found_get(tx, &ret_home->dir);

    if (r < 0)
        return r;
    if (ret_home->dir.ino == ino)
        return -EINVAL; /* What is lost is the place for it. */
    r = lost_name(tx, ret_home->dir.ino, ino, ret_home->name);
    if (r < 0)
        return r;
    ret_home->is_there = r > 0;
    return 0;
}

static void home_take(struct tx *tx, struct new_home *home, struct inode_rec *inode)
{
    struct dentry_rec d = {.ino = inode->ino, .type = inode->mode & S_IFMT};

    inode->parent = home->dir.ino;
    inode->ctime_ns = tx->now_ns;
    tx_inode_put(tx, inode);
    tx_dentry_put(tx, home->dir.ino, text_name(home->name), &d);
    home->dir.entry_count++;
    if (S_ISDIR(inode->mode))
        home->dir.nlink++;
    dir_changed(tx, &home->dir);
}

/* Up from ino never comes to the root. */
static int is_in_loop(struct tx *tx, uint64_t ino)
{
    struct inode_rec at;
    uint64_t up = ino;

    for (unsigned steps = 0; steps < LOOP_STEPS_MAX; steps++) {
        int r = repair_inode_find(tx, up, &at);

        if (r <= 0)
            return r;
        if (up == INO_ROOT.v)
            return 0;
        up = at.parent;
        if (up == ino)
            return 1;
    }
    return 0;
}

int repair_move_entry(struct tx *tx, const Dfs__RepairOp *op)
{
    struct inode_rec inode, dir;
    struct new_home home;
    struct dentry_rec d;
    int r = entry_names(tx, op->parent, op->name, op->ino, &d);

    if (r > 0)
        r = repair_inode_find(tx, op->ino, &inode);
    if (r <= 0)
        return r;
    r = repair_inode_find(tx, op->parent, &dir);
    if (r > 0 && repair_is_live_dir(&dir))
        r = S_ISDIR(inode.mode) && inode.parent == op->parent ? is_in_loop(tx, op->ino) : 0;
    else if (r >= 0)
        r = 1; /* No directory. */
    if (r <= 0)
        return r;
    r = home_find(tx, op->ino, &home);
    if (r == 0)
        r = entry_drop(tx, op, S_ISDIR(inode.mode));
    if (r < 0)
        return r;
    if (home.is_there && !S_ISDIR(inode.mode) && inode.nlink > 1) {
        inode.nlink--;
        tx_inode_put(tx, &inode);
    } else if (!home.is_there) {
        home_take(tx, &home, &inode);
    }
    return DONE;
}

int repair_adopt(struct tx *tx, const Dfs__RepairOp *op)
{
    struct inode_rec inode;
    struct new_home home;
    int r = repair_inode_find(tx, op->ino, &inode);
    uint32_t names;

    if (r <= 0)
        return r;
    if (inode.nlink == 0 || op->ino == INO_ROOT.v || inode.parent != op->expect)
        return NOT_NEEDED;
    names = inode.nlink + (uint32_t)op->add;
    if (!S_ISDIR(inode.mode) && names > 0) { /* It was linked since, by who had it open. */
        inode.nlink = names;
        tx_inode_put(tx, &inode);
        return DONE;
    }
    r = home_find(tx, op->ino, &home);
    if (r < 0)
        return r;
    if (home.is_there)
        return NOT_NEEDED;
    if (!S_ISDIR(inode.mode))
        inode.nlink = 1;
    home_take(tx, &home, &inode);
    return DONE;
}

int repair_parent(struct tx *tx, const Dfs__RepairOp *op)
{
    struct inode_rec inode;
    struct dentry_rec d;
    int r = repair_inode_find(tx, op->ino, &inode);

    if (r <= 0)
        return r;
    if (inode.parent != op->expect)
        return NOT_NEEDED;
    r = entry_names(tx, op->parent, op->name, op->ino, &d);
    if (r <= 0)
        return r;
    inode.parent = op->parent;
    tx_inode_put(tx, &inode);
    return DONE;
}
