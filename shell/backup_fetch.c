#include "shell/backup_fetch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/mem.h"
#include "rpc/frame.h"
#include "rpc/node.pb-c.h"
#include "shell/admin.h"
#include "shell/interrupts.h"
#include "shell/progress.h"

enum {
    STATUS_MS = 2000,
    POINT_MS = 5000,
    BEGIN_MS = 3600000, /* the namenode flushes, then verifies and hashes all of its metadata */
    PIECE_MS = 30000,
    PIECE_BYTES = 512 << 10,
    TRIES = 10, /* of one piece, a second apart */
    PAUSE_MS = 1000,
};

struct fetch {
    const struct backup_fetch *f;
    char addr[ADDR_TEXT_MAX]; /* of the namenode that gives it */
    struct backup_info info;
    struct backup_writer *writer;
    struct progress *progress;
    size_t expected; /* bytes of the piece that is asked for */
    uint64_t offset;
    bool taken; /* its bytes are in the file: it is not asked for again */
    int fd;
};

static int complain(const char *what, int r)
{
    fprintf(stderr, "dfs backup: %s: %s\n", what, dfs_strerror(r));
    return r;
}

static const char *why(const struct fetch *x, int r)
{
    const char *said = admin_error_text(x->f->admin);

    if (r == -EACCES || r == -EPERM)
        return "this needs a certificate of role admin: `dfs pki issue NAME admin`, then name it "
               "in "
               "[tls] of the configuration";
    return said[0] != '\0' ? said : dfs_strerror(r);
}

/* ---- whom to ask ---- */

/* 2 a follower that knows its leader, 1 another that answers, 0 none. */
static int look_at(struct fetch *x, const char *addr)
{
    Dfs__StatusRequest req = DFS__STATUS_REQUEST__INIT;
    ProtobufCMessage *msg = NULL;
    const Dfs__StatusReply *m;
    int good;

    if (admin_call(x->f->admin, addr, MSG_STATUS, &req.base, &dfs__status_reply__descriptor,
                   STATUS_MS, &msg) < 0)
        return 0;
    m = (const Dfs__StatusReply *)msg;
    good = m->leader_id != 0 && m->leader_id != m->replica_id ? 2 : 1;
    protobuf_c_message_free_unpacked(msg, NULL);
    return good;
}

static int choose(struct fetch *x)
{
    char *copy = mem_strdup(x->f->from != NULL ? x->f->from : x->f->addrs), *save = NULL;
    int best = 0;

    for (char *a = strtok_r(copy, ", ", &save); a != NULL; a = strtok_r(NULL, ", ", &save)) {
        int good = strlen(a) < sizeof(x->addr) ? look_at(x, a) : 0;

        if (good <= best)
            continue;
        best = good;
        memcpy(x->addr, a, strlen(a) + 1);
    }
    free(copy);
    if (best > 0)
        return 0;
    if (x->f->from != NULL)
        fprintf(stderr, "dfs backup: %s does not answer\n", x->f->from);
    else
        fputs("dfs backup: none of the namenodes answers\n", stderr);
    return -ECONNREFUSED;
}

/* The last entry of the log that somebody may have been told of before now. */
static int ask_point(struct fetch *x, uint64_t *ret_index)
{
    Dfs__Empty req = DFS__EMPTY__INIT;
    ProtobufCMessage *msg = NULL;
    int r = admin_call_leader(x->f->admin, x->f->addrs, MSG_BACKUP_POINT, &req.base,
                              &dfs__backup_point_reply__descriptor, POINT_MS, &msg);

    if (r < 0) {
        fprintf(stderr, "dfs backup: no leader says what was acknowledged until now: %s%s\n",
                why(x, r),
                r == -EACCES || r == -EPERM
                    ? ""
                    : "; --stale takes what the namenode has, which may lack the last changes");
        return r;
    }
    *ret_index = ((const Dfs__BackupPointReply *)msg)->index;
    protobuf_c_message_free_unpacked(msg, NULL);
    return 0;
}

static int begin(struct fetch *x, uint64_t min_index)
{
    Dfs__BackupRequest req = DFS__BACKUP_REQUEST__INIT;
    ProtobufCMessage *msg = NULL;
    const Dfs__BackupReply *m;
    int r;

    req.min_index = min_index;
    r = admin_call(x->f->admin, x->addr, MSG_BACKUP_BEGIN, &req.base,
                   &dfs__backup_reply__descriptor, BEGIN_MS, &msg);
    if (r < 0) {
        fprintf(stderr, "dfs backup: %s: %s\n", x->addr, why(x, r));
        return r;
    }
    m = (const Dfs__BackupReply *)msg;
    x->info.index = m->index;
    x->info.term = m->term;
    x->info.time_s = m->time_s;
    x->info.stale = x->f->stale;
    (void)snprintf(x->info.program, sizeof(x->info.program), "dfs %s", build_version());
    if (m->cluster_uuid.len == sizeof(x->info.cluster.b))
        memcpy(x->info.cluster.b, m->cluster_uuid.data, sizeof(x->info.cluster.b));
    protobuf_c_message_free_unpacked(msg, NULL);
    return 0;
}

/* ---- the files ---- */

static bool is_stopped(const struct fetch *x)
{
    return x->f->stop != NULL && atomic_load(&x->f->stop->stop);
}

/* A connection that breaks, or a namenode that is silent for a while, is asked again. */
static int ask(struct fetch *x, const Dfs__SnapWant *want, admin_data_fn data)
{
    int r = -EINTR;

    for (unsigned i = 0; i < TRIES && !is_stopped(x); i++) {
        if (i > 0)
            clock_sleep_ms(PAUSE_MS);
        r = admin_call_data(x->f->admin, x->addr, MSG_BACKUP_WANT, &want->base,
                            &dfs__snap_data__descriptor, PIECE_MS, data, x);
        if (r == 0 || x->taken || admin_error_text(x->f->admin)[0] != '\0')
            break;
    }
    if (r == 0)
        return 0;
    if (is_stopped(x))
        fputs("dfs backup: interrupted\n", stderr);
    else if (x->taken)
        (void)complain(r == -EBADMSG ? "what came is not what the namenode said it was"
                                     : "the backup cannot be written",
                       r);
    else if (r == -ESTALE)
        fprintf(stderr,
                "dfs backup: %s has given up its checkpoint: it was started again, or nobody has "
                "asked for a minute; begin again\n",
                x->addr);
    else
        fprintf(stderr, "dfs backup: %s: %s\n", x->addr, why(x, r));
    return r;
}

static void fill_want(const struct fetch *x, Dfs__SnapWant *ret_want)
{
    dfs__snap_want__init(ret_want);
    ret_want->index = x->info.index;
    ret_want->term = x->info.term;
}

static int take_manifest(void *ctx, const ProtobufCMessage *reply, const void *data, size_t len)
{
    struct fetch *x = ctx;
    const Dfs__SnapData *m = (const Dfs__SnapData *)reply;
    int r = 0;

    (void)data;
    if (len != 0 || m->n_files == 0 || m->index != x->info.index || m->term != x->info.term)
        return DFS_EPROTO;
    for (size_t i = 0; i < m->n_files && r == 0; i++)
        r = backup_info_add(&x->info, m->files[i]->name, m->files[i]->size, m->files[i]->hash);
    x->taken = true;
    return r;
}

static int take_piece(void *ctx, const ProtobufCMessage *reply, const void *data, size_t len)
{
    struct fetch *x = ctx;

    if (((const Dfs__SnapData *)reply)->offset != x->offset || len != x->expected)
        return DFS_EPROTO;
    x->taken = true;
    return backup_writer_add(x->writer, data, len);
}

static int fetch_member(struct fetch *x, struct backup_member *m)
{
    Dfs__SnapWant want;
    int r;

    fill_want(x, &want);
    want.file = m->name;
    for (x->offset = 0; x->offset < m->size; x->offset += x->expected) {
        x->expected = (size_t)MIN((uint64_t)PIECE_BYTES, m->size - x->offset);
        x->taken = false;
        want.offset = x->offset;
        want.len = (uint32_t)x->expected;
        r = ask(x, &want, take_piece);
        if (r < 0)
            return r;
        progress_add(x->progress, 0, x->expected);
    }
    progress_add(x->progress, 1, 0);
    return 0;
}

static int write_fd(void *ctx, const void *data, size_t len)
{
    const struct fetch *x = ctx;
    const char *p = data;

    while (len > 0) {
        ssize_t n = write(x->fd, p, len);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

static int fetch_all(struct fetch *x)
{
    Dfs__SnapWant want;
    char none[] = "";
    int r;

    fill_want(x, &want);
    want.file = none;
    r = ask(x, &want, take_manifest);
    if (r < 0)
        return r;
    progress_expect(x->progress, x->info.count, backup_info_bytes(&x->info));
    r = backup_writer_new(&x->info, write_fd, x, &x->writer);
    if (r < 0)
        return complain("the file cannot be written", r);
    for (size_t i = 0; i < x->info.count; i++) {
        r = fetch_member(x, &x->info.members[i]);
        if (r < 0)
            return r;
    }
    r = backup_writer_end(x->writer);
    return r < 0 ? complain("the file cannot be written", r) : 0;
}

int backup_fetch(const struct backup_fetch *f, int fd, struct backup_info *ret_info)
{
    struct fetch x = {.f = f, .fd = fd};
    uint64_t min_index = 0;
    int r = choose(&x);

    if (r == 0 && !f->stale)
        r = ask_point(&x, &min_index);
    if (r == 0)
        r = begin(&x, min_index);
    if (r == 0) {
        x.progress = progress_new(f->progress);
        r = fetch_all(&x);
        progress_free(x.progress);
    }
    backup_writer_free(x.writer);
    if (r < 0)
        backup_info_done(&x.info);
    else
        *ret_info = x.info;
    return r;
}
