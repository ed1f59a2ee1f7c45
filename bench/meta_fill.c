/*
 * meta_fill CLUSTER FILES: fills the metadata of a cluster that `dfs cluster down` has stopped, past
 * Raft and the network, so that a million files take seconds. Each file is made by the operations a
 * client would have sent, through fsm_apply(), so that records, counters, ids and the state hash are
 * those of a real history; then every namenode gets the result as it gets a snapshot of the
 * leader's. The copies share their tables by hard links until they are compacted.
 *
 *   /fill/0042/17/file-063.dat     100 files a directory, 100 directories in each of /fill's
 *
 * Of four files two have a chunk (that never got a byte: they read as zeros), one a little text in
 * the metadata, one is empty. Prints how long it took, in operations a second.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/conf.h"
#include "common/daemon.h"
#include "common/error.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/strutil.h"
#include "common/uuid.h"
#include "common/vfs.h"
#include "namenode/data_dir.h"
#include "namenode/fsm.h"
#include "namenode/kv_rocks.h"
#include "namenode/node_conf.h"
#include "namenode/raft_log.h"

enum {
    NAMENODES_MAX = 5,
    DIR_FILES = 100,
    DIR_DIRS = 100,
    BATCH_OPS = 50,
    PATH_SIZE = 512,
    FILES_MAX = 100000000,
    SETTLE_MS = 600000,
};

static _Noreturn void die(const char *what, int error)
{
    (void)fprintf(stderr, "meta_fill: %s: %s\n", what, dfs_strerror(error));
    exit(1);
}

/* ---- the state machine, fed ---- */

struct filler {
    struct kv *kv;
    struct fsm *fsm;
    uint64_t index, term;
    uint64_t session, seq, floor;
    uint64_t ops, file_number;
    uint32_t pg_count;

    struct buf batch;
    unsigned count;
    uint64_t inos[BATCH_OPS]; /* that the last batch answered with */
};

static void on_reply(void *ctx, const struct fsm_reply *reply)
{
    struct filler *f = ctx;

    if (reply->status != 0)
        die("an operation was refused", reply->status);
    if (reply->msg->result_case == DFS__META_REPLY__RESULT_ENTRY && reply->msg->entry->attr)
        f->inos[reply->position] = reply->msg->entry->attr->ino;
    else if (reply->msg->result_case == DFS__META_REPLY__RESULT_ID)
        f->inos[reply->position] = reply->msg->id->id;
}

static void apply(struct filler *f)
{
    int r;

    if (f->count == 0)
        return;
    (void)fsm_batch_header(clock_wall_ns(clock_system()), f->batch.data);
    f->index++;
    r = fsm_apply(f->fsm, f->index, f->term, f->batch.data, f->batch.len, on_reply, f);
    if (r < 0)
        die("apply", r);
    f->ops += f->count;
    f->count = 0;
    f->floor = f->seq + 1; /* As of a client that has all its answers. */
    buf_clear(&f->batch);
}

static void add(struct filler *f, Dfs__MetaRequest *req)
{
    size_t len;
    uint8_t *out;

    if (f->session != 0 && req->op_case < DFS__META_REQUEST__OP_SESSION_OPEN) {
        req->session = f->session;
        req->seq = ++f->seq;
        req->ack_floor = f->floor;
    }
    if (f->count == 0) {
        (void)buf_reserve(&f->batch, FSM_BATCH_HEADER);
        buf_commit(&f->batch, FSM_BATCH_HEADER);
    }
    len = dfs__meta_request__get_packed_size(req);
    out = buf_reserve(&f->batch, FSM_BATCH_OP_HEADER_MAX + len);
    buf_commit(&f->batch, fsm_batch_op_header(len, out));
    (void)dfs__meta_request__pack(req, buf_reserve(&f->batch, len));
    buf_commit(&f->batch, len);
    f->count++;
}

static void add_create(struct filler *f, uint64_t parent, char *name, uint32_t mode)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__CreateOp op = DFS__CREATE_OP__INIT;
    Dfs__Cred cred = DFS__CRED__INIT;

    op.parent = parent;
    op.name = (ProtobufCBinaryData){.data = (uint8_t *)name, .len = strlen(name)};
    op.mode = mode;
    op.exclusive = true;
    req.cred = &cred;
    req.op_case = DFS__META_REQUEST__OP_CREATE;
    req.create = &op;
    add(f, &req);
}

static void add_commit(struct filler *f, uint64_t ino, uint64_t end, uint8_t *text, size_t len)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__CommitOp op = DFS__COMMIT_OP__INIT;
    Dfs__Cred cred = DFS__CRED__INIT;

    op.ino = ino;
    op.end = end;
    op.mtime_ns = clock_wall_ns(clock_system());
    op.set_inline = len > 0;
    op.inline_data = (ProtobufCBinaryData){.data = text, .len = len};
    req.cred = &cred;
    req.op_case = DFS__META_REQUEST__OP_COMMIT;
    req.commit = &op;
    add(f, &req);
}

static void add_alloc(struct filler *f, uint64_t ino, uint32_t pg)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__AllocOp op = DFS__ALLOC_OP__INIT;
    Dfs__Cred cred = DFS__CRED__INIT;

    op.ino = ino;
    op.count = 1;
    op.pgs = &pg;
    op.n_pgs = 1;
    req.cred = &cred;
    req.op_case = DFS__META_REQUEST__OP_ALLOC;
    req.alloc = &op;
    add(f, &req);
}

static void open_session(struct filler *f)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__SessionOpenOp op = DFS__SESSION_OPEN_OP__INIT;
    struct uuid uuid = uuid_new();
    char name[] = "meta_fill";

    op.client_uuid = (ProtobufCBinaryData){.data = uuid.b, .len = sizeof(uuid.b)};
    op.name = name;
    req.op_case = DFS__META_REQUEST__OP_SESSION_OPEN;
    req.session_open = &op;
    add(f, &req);
    apply(f);
    f->session = f->inos[0];
    f->seq = 0;
    f->floor = 1;
}

static void end_session(struct filler *f)
{
    Dfs__MetaRequest req = DFS__META_REQUEST__INIT;
    Dfs__SessionEndOp op = DFS__SESSION_END_OP__INIT;

    op.session = f->session;
    req.op_case = DFS__META_REQUEST__OP_SESSION_END;
    req.session_end = &op;
    add(f, &req);
    apply(f);
}

static uint64_t make_dir(struct filler *f, uint64_t parent, char *name)
{
    add_create(f, parent, name, S_IFDIR | 0755);
    apply(f);
    return f->inos[0];
}

/* What the owner of the file would have done next. */
static void fill_file(struct filler *f, uint64_t ino)
{
    static uint8_t text[512];
    uint64_t n = f->file_number++;

    if (n % 4 == 3)
        return;
    if (n % 4 == 2 || f->pg_count == 0) {
        size_t len = 64 + n % 448;

        (void)snprintf((char *)text, sizeof(text), "file %" PRIu64 " of %" PRIu64 "\n", n, ino);
        for (size_t i = strlen((char *)text); i < len; i++)
            text[i] = (uint8_t)('a' + (i * n) % 23);
        add_commit(f, ino, len, text, len);
    } else {
        add_alloc(f, ino, 1 + (uint32_t)(n % f->pg_count));
        add_commit(f, ino, 4097 + n % 60000000, NULL, 0);
    }
    if (f->count > BATCH_OPS - 2)
        apply(f);
}

static void fill_dir(struct filler *f, uint64_t dir, unsigned files)
{
    for (unsigned first = 0; first < files; first += BATCH_OPS) {
        unsigned n = MIN((unsigned)BATCH_OPS, files - first);
        uint64_t inos[BATCH_OPS];

        for (unsigned i = 0; i < n; i++) {
            char name[32];

            (void)snprintf(name, sizeof(name), "file-%03u.dat", first + i);
            add_create(f, dir, name, S_IFREG | 0644);
        }
        apply(f);
        memcpy(inos, f->inos, sizeof(inos));
        for (unsigned i = 0; i < n; i++)
            fill_file(f, inos[i]);
        apply(f);
    }
}

static void fill(struct filler *f, uint64_t files)
{
    uint64_t top, upper = 0;
    char name[32] = "fill";

    f->pg_count = fsm_state(f->fsm)->next_pg - 1;
    open_session(f);
    top = make_dir(f, 1, name);
    for (uint64_t dir = 0; dir * DIR_FILES < files; dir++) {
        uint64_t lower;

        (void)snprintf(name, sizeof(name), "%04" PRIu64, dir / DIR_DIRS);
        if (dir % DIR_DIRS == 0)
            upper = make_dir(f, top, name);
        (void)snprintf(name, sizeof(name), "%02" PRIu64, dir % DIR_DIRS);
        lower = make_dir(f, upper, name);
        fill_dir(f, lower, (unsigned)MIN((uint64_t)DIR_FILES, files - dir * DIR_FILES));
    }
    end_session(f);
}

/* Until RocksDB is at rest: else each copy would do the same compactions again. */
static void settle(struct filler *f)
{
    struct kv_rocks_usage u = {.is_busy = true};
    int r = fsm_flush(f->fsm, true);

    if (r < 0)
        die("flush", r);
    for (unsigned ms = 0; u.is_busy && ms < SETTLE_MS; ms += 100) {
        clock_sleep_ms(100);
        kv_rocks_usage(f->kv, &u);
    }
    (void)printf("tables of %" PRIu64 " MiB\n", u.tables >> 20);
}

/* ---- the namenodes' directories ---- */

struct namenode {
    struct node_conf conf;
    struct data_dir *dir;
    struct raft_log *log;
    int lock_fd;
};

static void open_log(struct namenode *n, struct raft_log_boot *ret_boot)
{
    struct raft_log_config c;
    int r;

    raft_log_config_init(&c);
    c.vfs = vfs_posix();
    c.dir = data_dir_path(n->dir, "log");
    c.segment_bytes = n->conf.segment_bytes;
    c.direct = false;
    r = raft_log_open(&c, ret_boot, &n->log);
    if (r < 0)
        die("its Raft log", r);
}

/* Gives false when the cluster has no such namenode. Index and term grow to the latest of all. */
static bool open_namenode(const char *cluster, unsigned number, struct namenode *n,
                          struct filler *f)
{
    CLEANUP(conf) struct conf *conf = NULL;
    struct raft_log_boot boot;
    struct raft_id other;
    char path[PATH_SIZE], err[1024];
    int r;

    (void)snprintf(path, sizeof(path), "%s/conf/nn%u.conf", cluster, number);
    r = conf_load(path, &conf);
    if (r == -ENOENT)
        return false;
    if (r == 0)
        r = node_conf_read(conf, path, &n->conf);
    if (r < 0)
        die(path, r);
    r = daemon_lock_dir(n->conf.data_dir, &n->lock_fd, err, sizeof(err));
    if (r < 0)
        die(err, r);
    r = data_dir_open(vfs_posix(), n->conf.data_dir, n->conf.id, &n->conf.founders, &n->dir,
                      &other);
    if (r < 0)
        die(n->conf.data_dir, r);
    open_log(n, &boot);
    f->index = MAX(f->index, boot.last_index);
    f->term = MAX(f->term, boot.hard_state.term);
    return true;
}

static void open_store(const struct namenode *n, const char *path, struct filler *f)
{
    struct kv_rocks_options o = {.cache_bytes = n->conf.cache_bytes,
                                 .memtable_bytes = n->conf.memtable_bytes,
                                 .must_exist = true};
    int r = kv_rocks_open(path, &o, &f->kv);

    if (r == 0)
        r = fsm_open(f->kv, &f->fsm);
    if (r < 0)
        die(path, r);
}

/* As a follower takes a snapshot: a store of its own, what CURRENT says, an empty log after it. */
static void install(struct namenode *n, struct filler *f)
{
    struct raft_point point = {.index = f->index, .term = f->term};
    const char *snap = data_dir_path(n->dir, "snap-in");
    int r = vfs_remove_all(vfs_posix(), snap);

    if (r == 0)
        r = fsm_checkpoint(f->fsm, snap);
    data_dir_members_at(n->dir, UINT64_MAX, &point.conf);
    if (r == 0)
        r = data_dir_install(n->dir, &point);
    if (r < 0)
        die(n->conf.data_dir, r);
    raft_log_reset(n->log, f->index);
    raft_log_pump(n->log, true);
}

static void close_namenode(struct namenode *n)
{
    raft_log_close(n->log);
    if (data_dir_remove_old(n->dir) < 0)
        (void)fprintf(stderr, "meta_fill: the old store is still there\n");
    data_dir_close(n->dir);
    node_conf_done(&n->conf);
}

int main(int argc, char **argv)
{
    struct namenode nodes[NAMENODES_MAX] = {0};
    struct filler f = {.term = 1};
    uint64_t files, begin_ns;
    unsigned count = 0;
    double seconds;

    if (argc != 3 || str_parse_u64(argv[2], &files) < 0 || files > FILES_MAX) {
        (void)fprintf(stderr, "usage: meta_fill CLUSTER-DIRECTORY FILES\n");
        return 2;
    }
    log_init("meta_fill", LOG_LEVEL_WARN);
    while (count < NAMENODES_MAX && open_namenode(argv[1], count + 1, &nodes[count], &f))
        count++;
    if (count == 0)
        die("no conf/nn1.conf there: make it with `dfs cluster up`, then `down`", -ENOENT);
    begin_ns = clock_monotonic_ns(clock_system());
    open_store(&nodes[0], data_dir_store(nodes[0].dir), &f);
    fill(&f, files);
    seconds = (double)(clock_monotonic_ns(clock_system()) - begin_ns) / 1e9;
    (void)printf("%" PRIu64 " files, %" PRIu64 " operations in %.1f s: %.1f us each\n", files,
                 f.ops, seconds, seconds * 1e6 / (double)f.ops);
    settle(&f);
    for (unsigned i = 0; i < count; i++)
        install(&nodes[i], &f);
    fsm_close(f.fsm);
    kv_close(f.kv);
    buf_done(&f.batch);
    for (unsigned i = 0; i < count; i++)
        close_namenode(&nodes[i]);
    return 0;
}
