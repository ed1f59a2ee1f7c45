#include "libdfs/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <utlist.h>

#include "common/compiler.h"
#include "common/error.h"
#include "common/mem.h"
#include "common/slab.h"
#include "libdfs/inode.h"
#include "libdfs/nn.h"
#include "libdfs/truncate.h"
#include "libdfs/writeback.h"

struct ino ll_file_ino(const struct ll_file *file)
{
    return file->inode->ino;
}

/* ---- opening ---- */

struct open_call {
    struct ll *ll;
    struct ll_call *call;
    int flags;
    bool created;
    struct ll_cred cred;
    uint32_t *groups;
    ll_open_fn fn;
    void *ctx;
    struct inode *inode; /* a reference, once it is known */
    bool keep_cache;
};

static void open_call_free(struct open_call *o)
{
    if (o->inode != NULL)
        inode_unref(o->inode);
    free(o->groups);
    free(o);
}

static void fail_open(struct open_call *o, int status)
{
    o->fn(o->ctx, dfs_error_is_own(status) ? -EIO : status, NULL, NULL, false);
    open_call_free(o);
}

static void finish_open(struct open_call *o, const struct ll_attr *attr)
{
    struct ll_file *file = MEM_NEW(struct ll_file);

    file->inode = inode_ref(o->inode);
    file->inode->file_count++;
    file->flags = o->flags;
    file->errors_told = errseq_sample(&file->inode->errors);
    o->fn(o->ctx, 0, file, attr, o->keep_cache);
    open_call_free(o);
}

static void on_open_truncated(void *ctx, int status, const struct ll_attr *attr)
{
    struct open_call *o = ctx;

    if (status < 0) {
        inode_closed(o->inode);
        fail_open(o, status);
        return;
    }
    o->keep_cache = false;
    finish_open(o, attr);
}

static void on_opened(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct open_call *o = ctx;
    const Dfs__EntryReply *entry;
    struct ll_attr attr;

    if (status == 0)
        status = reply->status;
    if (status == 0 &&
        (reply->result_case != DFS__META_REPLY__RESULT_ENTRY || reply->entry->attr == NULL))
        status = -EIO;
    if (status < 0) {
        fail_open(o, status);
        return;
    }
    entry = reply->entry;
    if (o->inode == NULL)
        o->inode = inode_get(o->ll, (struct ino){entry->attr->ino});
    o->keep_cache = inode_opened(o->inode, entry);
    if (o->inode->tail_pending && (o->flags & O_ACCMODE) != O_RDONLY && o->inode->truncates == NULL)
        truncate_finish_tail(o->inode);
    /* An empty file, too: its times change. */
    if ((o->flags & O_TRUNC) != 0 && !entry->created) {
        ll_truncate(o->ll, o->call, &o->cred, o->inode->ino, 0, on_open_truncated, o);
        return;
    }
    ll_attr_from_wire(entry->attr, &attr);
    inode_overlay_attr(o->inode, &attr);
    finish_open(o, &attr);
}

static struct open_call *open_call_new(struct ll *ll, struct ll_call *call,
                                       const struct ll_cred *cred, int flags, ll_open_fn fn,
                                       void *ctx)
{
    struct open_call *o = MEM_NEW(struct open_call);

    o->ll = ll;
    o->call = call;
    o->flags = flags;
    o->cred = *cred;
    o->groups = mem_alloc((cred->group_count + 1) * sizeof(*o->groups));
    if (cred->group_count > 0)
        memcpy(o->groups, cred->groups, cred->group_count * sizeof(*o->groups));
    o->cred.groups = o->groups;
    o->fn = fn;
    o->ctx = ctx;
    return o;
}

void ll_open(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino ino,
             int flags, ll_open_fn fn, void *ctx)
{
    struct open_call *o = open_call_new(ll, call, cred, flags, fn, ctx);
    struct meta_request m;
    Dfs__OpenOp op = DFS__OPEN_OP__INIT;

    o->inode = inode_get(ll, ino);
    op.ino = ino.v;
    op.flags = (uint32_t)(flags & O_ACCMODE);
    if (!inode_needs_fetch(o->inode))
        op.known_data_version = o->inode->data_version;
    meta_request_init(&m, cred);
    m.req.op_case = DFS__META_REQUEST__OP_OPEN;
    m.req.open = &op;
    ll_meta_call(ll, call, &m.req, on_opened, o);
}

void ll_create(struct ll *ll, struct ll_call *call, const struct ll_cred *cred, struct ino parent,
               const char *name, uint32_t mode, int flags, ll_open_fn fn, void *ctx)
{
    struct open_call *o = open_call_new(ll, call, cred, flags, fn, ctx);
    struct meta_request m;
    Dfs__CreateOp op = DFS__CREATE_OP__INIT;

    op.parent = parent.v;
    op.name = (ProtobufCBinaryData){strlen(name), (uint8_t *)(uintptr_t)name};
    op.mode = S_IFREG | (mode & 07777);
    op.exclusive = (flags & O_EXCL) != 0;
    op.open = true;
    meta_request_init(&m, cred);
    m.req.op_case = DFS__META_REQUEST__OP_CREATE;
    m.req.create = &op;
    ll_meta_call(ll, call, &m.req, on_opened, o);
}

/* ---- reading ---- */

void ll_read(struct ll_file *file, struct ll_call *call, uint64_t offset, size_t len, ll_data_fn fn,
             void *ctx)
{
    inode_read(file->inode, &file->ahead, call, offset, len, fn, ctx);
}

/* Attributes that came with an answer. */
static void see_reply(struct ll *ll, const Dfs__MetaReply *reply)
{
    struct ll_attr attr;

    if (reply->result_case != DFS__META_REPLY__RESULT_ENTRY || reply->entry->attr == NULL)
        return;
    ll_attr_from_wire(reply->entry->attr, &attr);
    inode_see_attr(ll, &attr);
}

/* ---- writing ---- */

/* A write that waits for room in the dirty limit. */
struct write_wait {
    struct ll_file *file;
    struct ll_call *call;
    bool append; /* at the end, wherever that is by then */
    uint64_t offset;
    const void *bytes;
    size_t len;
    struct slab *slab; /* a reference; NULL: copy is the caller's bytes */
    void *copy;
    ll_status_fn fn;
    void *ctx;
    struct write_wait *prev, *next;
};

static bool has_room(const struct inode_table *t, size_t len)
{
    return t->dirty_bytes == 0 || t->dirty_bytes + len <= t->ll->options.dirty_bytes_max;
}

static void take_write(struct ll_file *file, bool append, uint64_t offset, const void *bytes,
                       size_t len, struct slab *slab)
{
    struct inode *i = file->inode;

    wb_write(i, append ? inode_size(i) : offset, bytes, len, slab);
}

static void end_wait(struct inode_table *t, struct write_wait *w, int status)
{
    DL_DELETE(t->writes, w);
    if (w->call != NULL)
        w->call->interrupt = NULL;
    w->fn(w->ctx, status);
    slab_unref(w->slab);
    free(w->copy);
    free(w);
}

static void on_write_interrupt(struct ll_call *call)
{
    struct write_wait *w = call->impl;

    end_wait(w->file->inode->ll->inodes, w, -EINTR);
}

void file_wake_writes(struct inode_table *t)
{
    while (t->writes != NULL && has_room(t, t->writes->len)) {
        struct write_wait *w = t->writes;

        take_write(w->file, w->append, w->offset, w->bytes, w->len, w->slab);
        end_wait(t, w, 0);
    }
}

void file_cancel_writes(struct inode_table *t)
{
    while (t->writes != NULL)
        end_wait(t, t->writes, -ECANCELED);
}

/* All that is dirty is due now: see is_due() in writeback.c. */
static void press(struct inode_table *t)
{
    struct inode **all = mem_zalloc(t->working_count + 1, sizeof(*all));
    size_t count = 0;
    struct inode *i;

    DL_FOREACH2(t->working, i, wb.next)
    all[count++] = inode_ref(i);
    for (size_t k = 0; k < count; k++) {
        if (wb_is_small(all[k]))
            wb_flush(all[k], WB_COMMIT, NULL, NULL, NULL);
        else
            wb_pump(all[k]);
        inode_unref(all[k]);
    }
    free(all);
}

static void wait_for_room(struct ll_file *file, struct ll_call *call, bool append, uint64_t offset,
                          const void *bytes, size_t len, struct slab *slab, ll_status_fn fn,
                          void *ctx)
{
    struct inode_table *t = file->inode->ll->inodes;
    struct write_wait *w = MEM_NEW(struct write_wait);

    t->ll->stats.write_waits++;
    w->file = file;
    w->call = call;
    w->append = append;
    w->offset = offset;
    w->bytes = bytes;
    w->len = len;
    w->fn = fn;
    w->ctx = ctx;
    if (slab != NULL) {
        w->slab = slab_ref(slab);
    } else {
        w->copy = mem_memdup(bytes, len);
        w->bytes = w->copy;
    }
    if (call != NULL) {
        call->impl = w;
        call->interrupt = on_write_interrupt;
    }
    DL_APPEND(t->writes, w);
}

static void write_bytes(struct ll_file *file, struct ll_call *call, bool append, uint64_t offset,
                        const void *bytes, size_t len, struct slab *slab, ll_status_fn fn,
                        void *ctx)
{
    struct inode *i = file->inode;
    struct inode_table *t = i->ll->inodes;
    uint64_t half = i->ll->options.dirty_bytes_max / 2;
    bool below = t->dirty_bytes <= half;
    int error = errseq_check(&i->errors, &file->errors_told);

    if (error == 0 && append)
        offset = inode_size(i);
    if (error == 0 && (offset > FILE_SIZE_MAX || len > FILE_SIZE_MAX - offset))
        error = -EFBIG;
    if (error < 0) {
        fn(ctx, error);
        return;
    }
    if (t->writes != NULL || !has_room(t, len)) {
        wait_for_room(file, call, append, offset, bytes, len, slab, fn, ctx);
        press(t);
        file_wake_writes(t);
        return;
    }
    take_write(file, append, offset, bytes, len, slab);
    if (below && t->dirty_bytes > half)
        press(t);
    fn(ctx, 0);
}

void ll_write(struct ll_file *file, struct ll_call *call, uint64_t offset, const void *bytes,
              size_t len, struct slab *slab, ll_status_fn fn, void *ctx)
{
    write_bytes(file, call, false, offset, bytes, len, slab, fn, ctx);
}

/* An append that first asks where the end is. */
struct append {
    struct ll_file *file;
    struct ll_call *call;
    void *bytes;
    size_t len;
    ll_status_fn fn;
    void *ctx;
};

static void on_end_known(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct append *a = ctx;

    if (status == 0)
        status = reply->status;
    if (status == -ESTALE || status == -ENOENT)
        status = 0; /* Unlinked and gone: nobody else appends. */
    else if (status == 0)
        see_reply(a->file->inode->ll, reply);
    if (status < 0)
        a->fn(a->ctx, dfs_error_is_own(status) ? -EIO : status);
    else
        write_bytes(a->file, a->call, true, 0, a->bytes, a->len, NULL, a->fn, a->ctx);
    free(a->bytes);
    free(a);
}

static void ask_end(struct append *a)
{
    struct meta_request m;
    Dfs__GetattrOp op = DFS__GETATTR_OP__INIT;

    op.ino = a->file->inode->ino.v;
    meta_request_init(&m, NULL);
    m.req.op_case = DFS__META_REQUEST__OP_GETATTR;
    m.req.getattr = &op;
    ll_meta_call(a->file->inode->ll, a->call, &m.req, on_end_known, a);
}

/* What was appended here and is not yet published ends the file; else somebody may have appended
 * since it was opened. */
static bool end_is_ours(const struct inode *i)
{
    return i->wb.local_end != 0 || wb_commit_flying(i);
}

void ll_append(struct ll_file *file, struct ll_call *call, const void *bytes, size_t len,
               struct slab *slab, ll_status_fn fn, void *ctx)
{
    struct append *a;

    if (end_is_ours(file->inode)) {
        write_bytes(file, call, true, 0, bytes, len, slab, fn, ctx);
        return;
    }
    a = MEM_NEW(struct append);
    *a = (struct append){.file = file,
                         .call = call,
                         .bytes = mem_memdup(bytes, len),
                         .len = len,
                         .fn = fn,
                         .ctx = ctx};
    ask_end(a);
}

/* ---- setuid, setgid ---- */

struct kill_setid {
    struct ll *ll;
    ll_status_fn fn;
    void *ctx;
};

bool ll_has_setid(const struct ll_file *file)
{
    return file->inode->has_setid;
}

static void on_killed(void *ctx, int status, const Dfs__MetaReply *reply)
{
    struct kill_setid *k = ctx;

    if (status == 0)
        status = reply->status;
    if (status == 0)
        see_reply(k->ll, reply);
    k->fn(k->ctx, dfs_error_is_own(status) ? -EIO : status);
    free(k);
}

void ll_kill_setid(struct ll_file *file, struct ll_call *call, const struct ll_cred *cred,
                   ll_status_fn fn, void *ctx)
{
    struct kill_setid *k = MEM_NEW(struct kill_setid);
    struct meta_request m;
    Dfs__CommitOp op = DFS__COMMIT_OP__INIT;

    k->ll = file->inode->ll;
    k->fn = fn;
    k->ctx = ctx;
    op.ino = file->inode->ino.v;
    op.kill_suid = true;
    meta_request_init(&m, cred);
    m.req.op_case = DFS__META_REQUEST__OP_COMMIT;
    m.req.commit = &op;
    ll_meta_call(k->ll, call, &m.req, on_killed, k);
}

/* ---- flush, fsync, release ---- */

struct flush_call {
    struct ll_file *file;
    ll_status_fn fn;
    void *ctx;
};

static void on_flushed(void *ctx, int status)
{
    struct flush_call *f = ctx;
    int error = errseq_check(&f->file->inode->errors, &f->file->errors_told);

    f->fn(f->ctx, status < 0 ? status : error);
    free(f);
}

static void flush_file(struct ll_file *file, struct ll_call *call, unsigned want, ll_status_fn fn,
                       void *ctx)
{
    struct flush_call *f = MEM_NEW(struct flush_call);

    f->file = file;
    f->fn = fn;
    f->ctx = ctx;
    wb_flush(file->inode, want, call, on_flushed, f);
}

void ll_fsync(struct ll_file *file, struct ll_call *call, bool datasync, ll_status_fn fn, void *ctx)
{
    flush_file(file, call, WB_SYNC | (datasync ? WB_COMMIT_SIZE : WB_COMMIT), fn, ctx);
}

void ll_flush(struct ll_file *file, struct ll_call *call, ll_status_fn fn, void *ctx)
{
    if ((file->flags & O_ACCMODE) == O_RDONLY) {
        fn(ctx, errseq_check(&file->inode->errors, &file->errors_told));
        return;
    }
    flush_file(file, call, WB_COMMIT, fn, ctx);
}

void ll_release(struct ll_file *file)
{
    struct inode *i = file->inode;

    if (i->wb.listed && (file->flags & O_ACCMODE) != O_RDONLY)
        wb_flush(i, WB_COMMIT, NULL, NULL, NULL);
    if (--i->file_count == 0)
        read_cache_drop(i, 0, UINT64_MAX);
    inode_closed(i);
    inode_unref(i);
    free(file);
}

struct sync_all {
    struct inode_table *table;
    uint64_t errors_told;
    size_t pending;
    bool interrupted;
    struct ll_call *call;
    ll_status_fn fn; /* NULL: answered */
    void *ctx;
};

static void answer_sync_all(struct sync_all *s, int status)
{
    ll_status_fn fn = s->fn;

    s->fn = NULL;
    if (s->call != NULL)
        s->call->interrupt = NULL;
    if (fn != NULL)
        fn(s->ctx, status);
}

static void on_one_synced(void *ctx, int status)
{
    struct sync_all *s = ctx;

    (void)status; /* Errors are in the table's errseq. */
    if (--s->pending > 0)
        return;
    answer_sync_all(s, errseq_check(&s->table->errors, &s->errors_told));
    free(s);
}

static void on_sync_interrupt(struct ll_call *call)
{
    answer_sync_all(call->impl, -EINTR);
}

void ll_sync_all(struct ll *ll, struct ll_call *call, ll_status_fn fn, void *ctx)
{
    struct inode_table *t = ll->inodes;
    struct inode **all = mem_zalloc(t->working_count + 1, sizeof(*all));
    struct sync_all *s = MEM_NEW(struct sync_all);
    size_t count = 0;
    struct inode *i;

    s->table = t;
    s->errors_told = t->errors.count;
    s->fn = fn;
    s->ctx = ctx;
    s->call = call;
    s->pending = 1;
    if (call != NULL) {
        call->impl = s;
        call->interrupt = on_sync_interrupt;
    }
    DL_FOREACH2(t->working, i, wb.next)
    all[count++] = inode_ref(i);
    for (size_t k = 0; k < count; k++) {
        s->pending++;
        wb_flush(all[k], WB_COMMIT | WB_SYNC, NULL, on_one_synced, s);
        inode_unref(all[k]);
    }
    free(all);
    on_one_synced(s, 0);
}
