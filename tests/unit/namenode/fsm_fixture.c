#include "tests/unit/namenode/fsm_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/hash.h"
#include "common/mem.h"
#include "namenode/fsck.h"
#include "namenode/fsm_value.h"
#include "namenode/keys.h"
#include "namenode/kv_mem.h"
#include "namenode/kv_rocks.h"
#include "tests/unit/namenode/usage_walk.h"

static const struct kv_rocks_options small_store = {.cache_bytes = 8 << 20,
                                                    .memtable_bytes = 4 << 20};

static void on_event(void *ctx, const struct fsm_event *event)
{
    struct fx *f = ctx;

    if (f->event_count < ARRAY_COUNT(f->events))
        f->events[f->event_count++] = *event;
}

static void open_fsm(struct fx *f)
{
    assert_int_equal(fsm_open(f->kv, &f->fsm), 0);
    fsm_set_events(f->fsm, on_event, f);
}

static void init_cluster(struct fx *f)
{
    uint8_t uuid[16] = "cluster-uuid-16";
    REQ(CLUSTER_INIT, cluster_init, DFS__CLUSTER_INIT_OP__INIT);

    body.cluster_uuid = (ProtobufCBinaryData){.len = 16, .data = uuid};
    body.copies = 3;
    body.min_write = 2;
    body.pgs_per_target = 8;
    body.data_key = bytes_of("secret");
    assert_int_equal(fx_apply(f, &req), 0);
}

int fx_set_format(struct fx *f, uint32_t format)
{
    REQ(FORMAT, format, DFS__FORMAT_OP__INIT);

    body.format = format;
    return fx_apply(f, &req);
}

static int setup(void **state, bool on_rocks, uint32_t format)
{
    struct fx *f = calloc(1, sizeof(*f));
    char path[128];

    f->on_rocks = on_rocks;
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/dfs-fsm-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(path, sizeof(path), "%s/kv", f->dir);
    assert_int_equal(on_rocks ? kv_rocks_open(path, &small_store, &f->kv) : kv_mem_new(&f->kv), 0);
    dfs__cred__init(&f->cred);
    f->cred.groups = f->groups;
    f->time_ns = 1000000000;
    open_fsm(f);
    if (format > FSM_FORMAT_FIRST)
        assert_int_equal(fx_set_format(f, format), 0);
    init_cluster(f);
    *state = f;
    return 0;
}

int fx_setup_format(void **state, bool on_rocks, uint32_t format)
{
    return setup(state, on_rocks, format);
}

int fx_setup_mem(void **state)
{
    return setup(state, false, FSM_FORMAT);
}

int fx_setup_rocks(void **state)
{
    return setup(state, true, FSM_FORMAT);
}

int fx_teardown(void **state)
{
    struct fx *f = *state;
    char command[128];

    if (f->reply)
        dfs__meta_reply__free_unpacked(f->reply, NULL);
    fsm_close(f->fsm);
    kv_close(f->kv);
    (void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
    (void)!system(command);
    free(f);
    return 0;
}

void fx_reopen(struct fx *f)
{
    char path[128];

    fsm_close(f->fsm);
    if (f->on_rocks) {
        kv_close(f->kv);
        (void)snprintf(path, sizeof(path), "%s/kv", f->dir);
        assert_int_equal(kv_rocks_open(path, &small_store, &f->kv), 0);
    }
    open_fsm(f);
}

/* Keeps a copy, through the wire form: what a client would see. */
static void keep_reply(struct fx *f, const Dfs__MetaReply *reply)
{
    size_t len = dfs__meta_reply__get_packed_size(reply);
    uint8_t *bytes = malloc(len + 1);

    dfs__meta_reply__pack(reply, bytes);
    if (f->reply)
        dfs__meta_reply__free_unpacked(f->reply, NULL);
    f->reply = dfs__meta_reply__unpack(NULL, len, bytes);
    assert_non_null(f->reply);
    free(bytes);
}

static void on_reply(void *ctx, const struct fsm_reply *reply)
{
    keep_reply(ctx, reply->msg);
    assert_int_equal(reply->status, reply->msg->status);
    if (reply->bytes) {
        Dfs__MetaReply *again = dfs__meta_reply__unpack(NULL, reply->len, reply->bytes);

        assert_non_null(again);
        assert_int_equal(again->status, reply->status);
        dfs__meta_reply__free_unpacked(again, NULL);
    }
}

uint8_t *fx_batch(int64_t time_ns, Dfs__MetaRequest **reqs, size_t count, size_t *ret_len)
{
    Dfs__LogBatch batch;
    uint8_t *bytes;

    dfs__log_batch__init(&batch);
    batch.time_ns = time_ns;
    batch.ops = reqs;
    batch.n_ops = count;
    *ret_len = dfs__log_batch__get_packed_size(&batch);
    bytes = malloc(*ret_len + 1);
    dfs__log_batch__pack(&batch, bytes);
    return bytes;
}

int fx_apply(struct fx *f, Dfs__MetaRequest *req)
{
    Dfs__MetaRequest *reqs[] = {req};
    size_t len;
    uint8_t *bytes;

    if (!req->cred)
        req->cred = &f->cred;
    f->time_ns += 1000;
    bytes = fx_batch(f->time_ns, reqs, 1, &len);
    f->event_count = 0;
    assert_int_equal(fsm_apply(f->fsm, ++f->index, 1, bytes, len, on_reply, f), 0);
    free(bytes);
    return f->reply->status;
}

int fx_read(struct fx *f, Dfs__MetaRequest *req)
{
    Dfs__MetaReply *reply;

    if (!req->cred)
        req->cred = &f->cred;
    assert_int_equal(fsm_read(f->fsm, req, NULL, &reply), 0);
    keep_reply(f, reply);
    return f->reply->status;
}

void fx_as(struct fx *f, uint32_t uid, uint32_t gid)
{
    f->cred.uid = uid;
    f->cred.gid = gid;
    f->cred.n_groups = 0;
    f->cred.kernel_checked = false;
}

ProtobufCBinaryData bytes_of(const char *s)
{
    return (ProtobufCBinaryData){.len = strlen(s), .data = (uint8_t *)(uintptr_t)s};
}

int fx_create(struct fx *f, uint64_t parent, const char *name, uint32_t mode)
{
    REQ(CREATE, create, DFS__CREATE_OP__INIT);

    body.parent = parent;
    body.name = bytes_of(name);
    body.mode = mode;
    body.exclusive = true;
    return fx_apply(f, &req);
}

uint64_t fx_file(struct fx *f, uint64_t parent, const char *name)
{
    assert_int_equal(fx_create(f, parent, name, S_IFREG | 0644), 0);
    return f->reply->entry->attr->ino;
}

uint64_t fx_dir(struct fx *f, uint64_t parent, const char *name)
{
    assert_int_equal(fx_create(f, parent, name, S_IFDIR | 0755), 0);
    return f->reply->entry->attr->ino;
}

int fx_symlink(struct fx *f, uint64_t parent, const char *name, const char *target)
{
    REQ(CREATE, create, DFS__CREATE_OP__INIT);

    body.parent = parent;
    body.name = bytes_of(name);
    body.mode = S_IFLNK;
    body.target = bytes_of(target);
    return fx_apply(f, &req);
}

int fx_link(struct fx *f, uint64_t ino, uint64_t parent, const char *name)
{
    REQ(LINK, link, DFS__LINK_OP__INIT);

    body.ino = ino;
    body.parent = parent;
    body.name = bytes_of(name);
    return fx_apply(f, &req);
}

int fx_unlink(struct fx *f, uint64_t parent, const char *name)
{
    REQ(UNLINK, unlink, DFS__UNLINK_OP__INIT);

    body.parent = parent;
    body.name = bytes_of(name);
    return fx_apply(f, &req);
}

int fx_rmdir(struct fx *f, uint64_t parent, const char *name)
{
    REQ(RMDIR, rmdir, DFS__RMDIR_OP__INIT);

    body.parent = parent;
    body.name = bytes_of(name);
    return fx_apply(f, &req);
}

int fx_remove_tree(struct fx *f, uint64_t parent, const char *name, uint32_t limit,
                   ProtobufCBinaryData from)
{
    REQ(REMOVE_TREE, remove_tree, DFS__REMOVE_TREE_OP__INIT);

    body.parent = parent;
    body.name = bytes_of(name);
    body.limit = limit;
    body.from = from;
    return fx_apply(f, &req);
}

int fx_rename(struct fx *f, uint64_t parent, const char *name, uint64_t new_parent,
              const char *new_name, uint32_t flags)
{
    REQ(RENAME, rename, DFS__RENAME_OP__INIT);

    body.parent = parent;
    body.name = bytes_of(name);
    body.new_parent = new_parent;
    body.new_name = bytes_of(new_name);
    body.flags = flags;
    return fx_apply(f, &req);
}

int fx_setattr(struct fx *f, Dfs__SetattrOp op)
{
    REQ(SETATTR, setattr, op);

    return fx_apply(f, &req);
}

int fx_truncate(struct fx *f, uint64_t ino, uint64_t size)
{
    REQ(TRUNCATE, truncate, DFS__TRUNCATE_OP__INIT);

    body.ino = ino;
    body.size = size;
    return fx_apply(f, &req);
}

int fx_alloc(struct fx *f, uint64_t ino, uint32_t first, uint32_t count, uint32_t pg)
{
    uint32_t pgs[FSM_ALLOC_MAX];
    REQ(ALLOC, alloc, DFS__ALLOC_OP__INIT);

    for (uint32_t i = 0; i < count && i < FSM_ALLOC_MAX; i++)
        pgs[i] = pg;
    body.ino = ino;
    body.first_index = first;
    body.count = count;
    body.pgs = pgs;
    body.n_pgs = count;
    return fx_apply(f, &req);
}

int fx_commit(struct fx *f, Dfs__CommitOp op)
{
    REQ(COMMIT, commit, op);

    return fx_apply(f, &req);
}

int fx_write_inline(struct fx *f, uint64_t ino, const char *text)
{
    Dfs__CommitOp op = DFS__COMMIT_OP__INIT;

    op.ino = ino;
    op.set_inline = true;
    op.inline_data = bytes_of(text);
    op.end = strlen(text);
    op.mtime_ns = f->time_ns;
    return fx_commit(f, op);
}

int fx_reap(struct fx *f, uint64_t ino, uint32_t max_chunks)
{
    REQ(REAP, reap, DFS__REAP_OP__INIT);

    body.ino = ino;
    body.max_chunks = max_chunks;
    return fx_apply(f, &req);
}

int fx_setxattr(struct fx *f, uint64_t ino, const char *name, const char *value, uint32_t flags)
{
    REQ(SETXATTR, setxattr, DFS__SETXATTR_OP__INIT);

    body.ino = ino;
    body.name = bytes_of(name);
    body.value = bytes_of(value);
    body.flags = flags;
    return fx_apply(f, &req);
}

int fx_lookup(struct fx *f, uint64_t parent, const char *name)
{
    REQ(LOOKUP, lookup, DFS__LOOKUP_OP__INIT);

    body.parent = parent;
    body.name = bytes_of(name);
    return fx_read(f, &req);
}

int fx_open(struct fx *f, uint64_t ino, uint32_t flags)
{
    REQ(OPEN, open, DFS__OPEN_OP__INIT);

    body.ino = ino;
    body.flags = flags;
    return fx_read(f, &req);
}

const Dfs__UsageReply *fx_usage(struct fx *f, uint64_t ino)
{
    REQ(USAGE, usage, DFS__USAGE_OP__INIT);

    body.ino = ino;
    assert_int_equal(fx_read(f, &req), 0);
    return f->reply->usage;
}

const Dfs__Attr *fx_attr(struct fx *f, uint64_t ino)
{
    REQ(GETATTR, getattr, DFS__GETATTR_OP__INIT);

    body.ino = ino;
    assert_int_equal(fx_read(f, &req), 0);
    return f->reply->entry->attr;
}

void fx_make_pgs(struct fx *f, uint32_t count)
{
    uint8_t uuid[16] = "target-uuid-001";

    {
        REQ(TARGET_ADD, target_add, DFS__TARGET_ADD_OP__INIT);

        body.uuid = (ProtobufCBinaryData){.len = 16, .data = uuid};
        body.host = body.addr = body.node = (char *)(uintptr_t) "dn1:1";
        body.incarnation = 5;
        assert_int_equal(fx_apply(f, &req), 0);
    }
    for (uint32_t i = 0; i < count; i++) {
        Dfs__PgMember member = DFS__PG_MEMBER__INIT;
        Dfs__PgMember *members[] = {&member};
        Dfs__Pg pg = DFS__PG__INIT;
        Dfs__Pg *pgs[] = {&pg};
        REQ(PG_CREATE, pg_create, DFS__PG_CREATE_OP__INIT);

        member.target = 1;
        member.incarnation = 5;
        member.state = DFS__MEMBER_STATE__MEMBER_SERVING;
        pg.copies = pg.min_write = 1;
        pg.members = members;
        pg.n_members = 1;
        body.pgs = pgs;
        body.n_pgs = 1;
        assert_int_equal(fx_apply(f, &req), 0);
        assert_int_equal(f->reply->id->id, i + 1);
    }
}

/* ---- counting ---- */

static const struct kv_ops *counted_ops;
static struct fx_kv_counts counts;

static int counted_get(struct kv *kv, const void *key, size_t len, bool persisted,
                       struct kv_value *ret)
{
    counts.gets++;
    return counted_ops->get(kv, key, len, persisted, ret);
}

static int counted_iter_new(struct kv *kv, const void *prefix, size_t len,
                            struct kv_iter **ret_iter)
{
    counts.scans++;
    return counted_ops->iter_new(kv, prefix, len, ret_iter);
}

static int counted_write(struct kv *kv, const struct kv_batch *b)
{
    counts.changes += b->count;
    return counted_ops->write(kv, b);
}

void fx_count_kv(struct fx *f)
{
    static struct kv_ops ops;

    if (f->kv->ops != &ops) {
        counted_ops = f->kv->ops;
        ops = *counted_ops;
        ops.get = counted_get;
        ops.iter_new = counted_iter_new;
        ops.write = counted_write;
        f->kv->ops = &ops;
    }
    fsm_set_cache(f->fsm, 0);
    counts = (struct fx_kv_counts){0};
}

struct fx_kv_counts fx_kv_counts(void)
{
    return counts;
}

uint64_t fx_store_hash(struct kv *kv)
{
    struct hash64_stream *h = hash64_stream_new(0);
    struct kv_iter *it;
    uint64_t hash;

    assert_int_equal(kv_iter_new(kv, "", 0, &it), 0);
    assert_int_equal(kv_iter_seek(it, "", 0), 0);
    while (it->valid) {
        hash64_stream_add(h, it->key, it->key_len);
        hash64_stream_add(h, it->value, it->value_len);
        assert_int_equal(kv_iter_next(it), 0);
    }
    kv_iter_free(it);
    hash = hash64_stream_value(h);
    hash64_stream_free(h);
    return hash;
}

/* Counts entries of one kind that begin with the inode, and sums names of subdirectories. */
static uint64_t count_prefix(struct fx *f, char kind, uint64_t ino)
{
    struct kv_iter *it;
    uint64_t count = 0;
    struct key k;

    key_id64(&k, kind, ino);
    assert_int_equal(kv_iter_new(f->kv, "", 0, &it), 0);
    assert_int_equal(kv_iter_seek(it, k.b, k.len), 0);
    while (it->valid && it->key_len > 9 && memcmp(it->key, k.b, 9) == 0) {
        count++;
        assert_int_equal(kv_iter_next(it), 0);
    }
    kv_iter_free(it);
    return count;
}

static bool present(struct fx *f, char kind, uint64_t ino)
{
    struct kv_value v;
    struct key k;
    int r;

    key_id64(&k, kind, ino);
    r = kv_get(f->kv, k.b, k.len, &v);
    if (r == 0)
        kv_value_done(f->kv, &v);
    return r == 0;
}

/* Names that lead to ino, the subdirectories in it, and, for a directory, where its name stands. */
static void links_of(struct fx *f, uint64_t ino, uint32_t *ret_names, uint32_t *ret_subdirs,
                     uint64_t *ret_parent)
{
    struct kv_iter *it;

    *ret_names = *ret_subdirs = 0;
    *ret_parent = 0;
    assert_int_equal(kv_iter_new(f->kv, "", 0, &it), 0);
    assert_int_equal(kv_iter_seek(it, "D", 1), 0);
    for (; it->valid && it->key[0] == 'D'; assert_int_equal(kv_iter_next(it), 0)) {
        uint64_t parent = key_get_u64(it->key + 1);
        struct dentry_rec d;

        assert_int_equal(dentry_rec_decode(it->value, it->value_len, &d), 0);
        assert_true(present(f, 'I', d.ino));
        assert_true(present(f, 'I', parent));
        if (d.ino == ino) {
            (*ret_names)++;
            *ret_parent = parent;
        }
        if (parent == ino && d.type == S_IFDIR)
            (*ret_subdirs)++;
    }
    kv_iter_free(it);
}

static void check_inode(struct fx *f, const struct inode_rec *i)
{
    uint32_t names, subdirs;
    uint64_t parent;

    links_of(f, i->ino, &names, &subdirs, &parent);
    assert_int_equal(present(f, 'g', i->ino), i->nlink == 0);
    assert_int_equal(present(f, 'F', i->ino), i->is_inline);
    assert_int_equal(count_prefix(f, 'X', i->ino) > 0, i->xattr_bytes > 0);
    if (!S_ISDIR(i->mode)) {
        assert_int_equal(i->nlink, names);
        return;
    }
    assert_int_equal(i->entry_count, count_prefix(f, 'D', i->ino));
    if (i->ino == ROOT) {
        assert_int_equal(names, 0);
        assert_int_equal(i->nlink, 2 + subdirs);
    } else if (i->nlink == 0) {
        assert_int_equal(names + subdirs, 0);
    } else {
        assert_int_equal(names, 1);
        assert_int_equal(i->parent, parent);
        assert_int_equal(i->nlink, 2 + subdirs);
    }
}

/* Up from every directory comes to the root in fewer steps than there are inodes. */
static void check_reaches_root(struct fx *f, const struct inode_rec *i)
{
    uint64_t steps = fsm_state(f->fsm)->inode_count;
    struct inode_rec at = *i;

    while (at.ino != ROOT) {
        assert_true(steps-- > 0);
        assert_int_equal(fsm_inode_get(f->fsm, at.parent, &at), 0);
    }
}

/* Which they have, and which not, is as the state says. */
static void check_values(struct fx *f)
{
    for (const char *kind = VALUE_KINDS; *kind; kind++) {
        struct kv_iter *it;

        assert_int_equal(kv_iter_new(f->kv, kind, 1, &it), 0);
        assert_int_equal(kv_iter_seek(it, kind, 1), 0);
        for (; it->valid; assert_int_equal(kv_iter_next(it), 0)) {
            struct key k = {.len = it->key_len};
            const uint8_t *value;
            size_t len;

            memcpy(k.b, it->key, it->key_len);
            if (value_has_version(fsm_state(f->fsm), &k))
                assert_int_equal(value_decode(it->value, it->value_len, &value, &len), 0);
        }
        kv_iter_free(it);
    }
}

/* Two who count in different ways come to the same; and what is whole has no findings. */
static void check_no_findings(struct fx *f)
{
    enum { SLICE = 100 };
    struct fsck_progress progress = {0};
    struct fsck_result found;

    assert_int_equal(fsck_walk_sliced(f->kv, SLICE, &progress, &found), 0);
    if (found.finding_count > 0)
        print_error("fsck: %s\n", found.findings[0].detail);
    assert_int_equal(found.finding_count, 0);
    fsck_result_done(&found);
}

void fx_check_tree(struct fx *f)
{
    uint64_t inodes = 0, reaping = 0;
    struct kv_iter *it;

    assert_int_equal(kv_iter_new(f->kv, "", 0, &it), 0);
    assert_int_equal(kv_iter_seek(it, "I", 1), 0);
    for (; it->valid && it->key[0] == 'I'; assert_int_equal(kv_iter_next(it), 0)) {
        struct inode_rec i;

        assert_int_equal(inode_rec_decode(key_get_u64(it->key + 1), it->value, it->value_len, &i),
                         0);
        inodes++;
        reaping += i.nlink == 0;
        check_inode(f, &i);
        if (S_ISDIR(i.mode) && i.nlink > 0)
            check_reaches_root(f, &i);
    }
    kv_iter_free(it);
    assert_int_equal(inodes, fsm_state(f->fsm)->inode_count);
    assert_int_equal(reaping, fsm_state(f->fsm)->reap_count);
    check_values(f);
    if (fsm_state(f->fsm)->format >= FSM_FORMAT_USAGE)
        assert_int_equal(usage_walk_check(f->kv, fsm_state(f->fsm)->next_ino),
                         fsm_state(f->fsm)->quota_count);
    check_no_findings(f);
}
