#include "common/backup_file.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "common/hash.h"
#include "common/mem.h"

enum { BLOCK = 512, PIECE = 256 << 10, TOTAL_LEN = 17 };

/* ---- manifest ---- */

void backup_info_done(struct backup_info *info)
{
    free(info->members);
    *info = (struct backup_info){0};
}

static bool is_plain(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len < BACKUP_NAME_MAX && name[0] != '.' && !strchr(name, '/');
}

int backup_info_add(struct backup_info *info, const char *name, uint64_t size, uint64_t hash)
{
    struct backup_member *m;

    if (!is_plain(name) || info->count == BACKUP_FILES_MAX)
        return -EINVAL;
    if (size > BACKUP_SIZE_MAX)
        return -EFBIG;
    for (size_t i = 0; i < info->count; i++) {
        if (strcmp(info->members[i].name, name) == 0)
            return -EINVAL;
    }
    info->members = mem_realloc(info->members, info->count + 1, sizeof(*info->members));
    m = &info->members[info->count++];
    *m = (struct backup_member){.size = size, .hash = hash};
    (void)snprintf(m->name, sizeof(m->name), "%s", name);
    return 0;
}

uint64_t backup_info_bytes(const struct backup_info *info)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < info->count; i++)
        sum += info->members[i].size;
    return sum;
}

static char *hex(uint64_t v, char out[TOTAL_LEN])
{
    (void)snprintf(out, TOTAL_LEN, "%016" PRIx64, v);
    return out;
}

/* The caller frees it. */
static char *manifest_make(const struct backup_info *info)
{
    char uuid[UUID_TEXT_SIZE], text[TOTAL_LEN];
    json_t *files = json_array(), *j;
    char *out;

    for (size_t i = 0; i < info->count; i++) {
        const struct backup_member *m = &info->members[i];

        json_array_append_new(files, json_pack("{s:s, s:I, s:s}", "name", m->name, "size",
                                               (json_int_t)m->size, "xxh3", hex(m->hash, text)));
    }
    j = json_pack("{s:s, s:i, s:s, s:I, s:I, s:I, s:b, s:s, s:o}", "what",
                  "a backup of the metadata of a dfs cluster", "format", BACKUP_FORMAT, "cluster",
                  uuid_format(&info->cluster, uuid), "index", (json_int_t)info->index, "term",
                  (json_int_t)info->term, "time", (json_int_t)info->time_s, "stale",
                  (int)info->stale, "program", info->program, "files", files);
    out = json_dumps(j, JSON_INDENT(1));
    json_decref(j);
    return out;
}

static int hash_parse(const char *text, uint64_t *ret)
{
    char again[TOTAL_LEN], *end;

    *ret = strtoull(text, &end, 16);
    return strcmp(hex(*ret, again), text) == 0 ? 0 : -EBADMSG;
}

static int take_files(const json_t *files, struct backup_info *info)
{
    for (size_t i = 0; i < json_array_size(files); i++) {
        const char *name, *text;
        json_int_t size;
        uint64_t hash;

        if (json_unpack(json_array_get(files, i), "{s:s, s:I, s:s}", "name", &name, "size", &size,
                        "xxh3", &text) < 0 ||
            size < 0 || hash_parse(text, &hash) < 0 ||
            backup_info_add(info, name, (uint64_t)size, hash) < 0)
            return -EBADMSG;
    }
    return 0;
}

static int manifest_take(json_t *j, struct backup_info *info)
{
    const char *uuid, *program;
    json_int_t index, term, time_s;
    json_t *files;
    int format, stale;

    if (json_unpack(j, "{s:i}", "format", &format) < 0)
        return -EPROTO;
    if (format > BACKUP_FORMAT)
        return -EOPNOTSUPP;
    if (json_unpack(j, "{s:s, s:I, s:I, s:I, s:b, s:s, s:o}", "cluster", &uuid, "index", &index,
                    "term", &term, "time", &time_s, "stale", &stale, "program", &program, "files",
                    &files) < 0 ||
        uuid_parse(uuid, &info->cluster) < 0 || index < 0 || term < 0 ||
        strlen(program) >= sizeof(info->program) || !json_is_array(files))
        return -EBADMSG;
    info->index = (uint64_t)index;
    info->term = (uint64_t)term;
    info->time_s = time_s;
    info->stale = stale != 0;
    (void)snprintf(info->program, sizeof(info->program), "%s", program);
    return take_files(files, info);
}

/* ---- tar ---- */

/* All of a header follows from these: who reads one makes it anew and compares. */
static void header_make(const char *folder, const char *name, uint64_t size, uint8_t out[BLOCK])
{
    unsigned sum = 0;
    char *h = (char *)out;

    memset(out, 0, BLOCK);
    (void)snprintf(h, 100, "%s%s", folder, name);
    memcpy(h + 100, "0000600", 8);
    memcpy(h + 108, "0000000", 8);
    memcpy(h + 116, "0000000", 8);
    (void)snprintf(h + 124, 12, "%011" PRIo64, size & BACKUP_SIZE_MAX);
    memcpy(h + 136, "00000000000", 12);
    memset(h + 148, ' ', 8);
    h[156] = '0';
    memcpy(h + 257, "ustar\00000", 8);
    for (unsigned i = 0; i < BLOCK; i++)
        sum += out[i];
    (void)snprintf(h + 148, 8, "%06o", sum & 0777777);
    h[155] = ' ';
}

/* Zeros up to the next block. */
static size_t padding(uint64_t size)
{
    return (size_t)(-size % BLOCK);
}

static const uint8_t zeros[2 * BLOCK];

/* ---- writing ---- */

struct backup_writer {
    const struct backup_info *info;
    backup_write_fn write;
    void *ctx;
    struct hash64_stream *total, *member;
    size_t at;        /* the member whose turn it is */
    uint64_t written; /* bytes of it */
};

static int put(struct backup_writer *w, const void *data, size_t len)
{
    hash64_stream_add(w->total, data, len);
    return w->write(w->ctx, data, len);
}

static int put_header(struct backup_writer *w, const char *folder, const char *name, uint64_t size)
{
    uint8_t h[BLOCK];

    header_make(folder, name, size, h);
    return put(w, h, sizeof(h));
}

static int put_small(struct backup_writer *w, const char *name, const char *text)
{
    size_t len = strlen(text);
    int r = put_header(w, "", name, len);

    if (r == 0)
        r = put(w, text, len);
    return r < 0 ? r : put(w, zeros, padding(len));
}

/* The members from w->at on that have no bytes, and the header of the one that has. */
static int begin_member(struct backup_writer *w)
{
    for (; w->at < w->info->count; w->at++) {
        const struct backup_member *m = &w->info->members[w->at];
        int r = put_header(w, "db/", m->name, m->size);

        if (r < 0)
            return r;
        if (m->size > 0)
            break;
        if (m->hash != hash64("", 0, 0))
            return -EBADMSG;
    }
    w->written = 0;
    hash64_stream_free(w->member);
    w->member = hash64_stream_new(0);
    return 0;
}

int backup_writer_new(const struct backup_info *info, backup_write_fn write, void *ctx,
                      struct backup_writer **ret_writer)
{
    CLEANUP(backup_writer) struct backup_writer *w = MEM_NEW(struct backup_writer);
    char *manifest = manifest_make(info);
    int r;

    w->info = info;
    w->write = write;
    w->ctx = ctx;
    w->total = hash64_stream_new(0);
    r = manifest == NULL || strlen(manifest) > BACKUP_MANIFEST_MAX ? -EINVAL : 0;
    if (r == 0)
        r = put_small(w, "MANIFEST.json", manifest);
    free(manifest);
    if (r == 0)
        r = begin_member(w);
    if (r < 0)
        return r;
    *ret_writer = STEAL(w);
    return 0;
}

void backup_writer_free(struct backup_writer *w)
{
    if (w == NULL)
        return;
    hash64_stream_free(w->total);
    hash64_stream_free(w->member);
    free(w);
}

int backup_writer_add(struct backup_writer *w, const void *data, size_t len)
{
    const uint8_t *p = data;

    while (len > 0) {
        const struct backup_member *m = &w->info->members[w->at];
        size_t n;
        int r;

        if (w->at == w->info->count)
            return -EBADMSG;
        n = (size_t)MIN((uint64_t)len, m->size - w->written);
        hash64_stream_add(w->member, p, n);
        r = put(w, p, n);
        if (r < 0)
            return r;
        p += n;
        len -= n;
        w->written += n;
        if (w->written < m->size)
            continue;
        if (hash64_stream_value(w->member) != m->hash)
            return -EBADMSG;
        r = put(w, zeros, padding(m->size));
        w->at++;
        if (r == 0)
            r = begin_member(w);
        if (r < 0)
            return r;
    }
    return 0;
}

int backup_writer_end(struct backup_writer *w)
{
    char text[TOTAL_LEN + 1];
    int r;

    if (w->at < w->info->count)
        return -EBADMSG;
    (void)snprintf(text, sizeof(text), "%016" PRIx64 "\n", hash64_stream_value(w->total));
    r = put_small(w, "TOTAL", text);
    return r < 0 ? r : put(w, zeros, sizeof(zeros));
}

/* ---- reading ---- */

struct reader {
    backup_read_fn read;
    void *ctx;
    const struct backup_sink *sink;
    struct hash64_stream *total;
    struct backup_info info;
    uint8_t *piece; /* PIECE bytes */
    char *why;
};

static int fail(struct reader *r, int code, const char *text)
{
    (void)snprintf(r->why, BACKUP_WHY_MAX, "%s", text);
    return code;
}

static const char cut_off[] = "it is cut off: its end is missing";

/* All len bytes. */
static int get(struct reader *r, void *out, size_t len)
{
    size_t have = 0;

    while (have < len) {
        ssize_t n = r->read(r->ctx, (uint8_t *)out + have, len - have);

        if (n < 0)
            return fail(r, (int)n, "it cannot be read");
        if (n == 0)
            return fail(r, -EBADMSG, cut_off);
        have += (size_t)n;
    }
    hash64_stream_add(r->total, out, len);
    return 0;
}

static int get_padding(struct reader *r, uint64_t size)
{
    uint8_t bytes[BLOCK];
    int res = get(r, bytes, padding(size));

    if (res == 0 && memcmp(bytes, zeros, padding(size)) != 0)
        res = fail(r, -EBADMSG, "it is damaged: bytes between its members are not zero");
    return res;
}

static int get_header(struct reader *r, const char *folder, const char *name, uint64_t size)
{
    uint8_t is[BLOCK], should[BLOCK];
    int res = get(r, is, sizeof(is));

    if (res < 0)
        return res;
    header_make(folder, name, size, should);
    if (memcmp(is, should, sizeof(is)) == 0)
        return 0;
    (void)snprintf(r->why, BACKUP_WHY_MAX, "it is damaged: the header of %s%s is not what it was",
                   folder, name);
    return -EBADMSG;
}

/* The one header whose size nobody knows beforehand. */
static int get_first_header(struct reader *r, uint64_t *ret_size)
{
    static const char foreign[] = "it is not a backup of dfs";
    uint8_t is[BLOCK], should[BLOCK];
    char octal[12];
    int res = get(r, is, sizeof(is));

    if (res < 0)
        return res == -EBADMSG ? fail(r, -EPROTO, foreign) : res;
    memcpy(octal, is + 124, 11);
    octal[11] = '\0';
    *ret_size = strtoull(octal, NULL, 8);
    header_make("", "MANIFEST.json", *ret_size, should);
    if (memcmp(is, should, 100) != 0)
        return fail(r, -EPROTO, foreign);
    if (memcmp(is, should, sizeof(is)) != 0 || *ret_size == 0 || *ret_size > BACKUP_MANIFEST_MAX)
        return fail(r, -EBADMSG, "it is damaged: its first header is not what it was");
    return 0;
}

static int get_manifest(struct reader *r)
{
    uint64_t size = 0;
    char *text;
    json_t *j;
    int res = get_first_header(r, &size);

    if (res < 0)
        return res;
    text = mem_zalloc(size + 1, 1);
    res = get(r, text, (size_t)size);
    if (res == 0)
        res = get_padding(r, size);
    if (res < 0) {
        free(text);
        return res;
    }
    j = json_loadb(text, (size_t)size, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    res = j == NULL ? -EBADMSG : manifest_take(j, &r->info);
    json_decref(j);
    if (res == -EOPNOTSUPP)
        return fail(r, res, "it is of a newer format: take a newer program");
    if (res < 0)
        return fail(r, -EBADMSG, "it is damaged: the manifest cannot be read");
    return r->sink->manifest == NULL ? 0 : r->sink->manifest(r->sink->ctx, &r->info);
}

static int get_member(struct reader *r, const struct backup_member *m)
{
    CLEANUP(hash64_stream) struct hash64_stream *h = hash64_stream_new(0);
    const struct backup_sink *sink = r->sink;
    int res = get_header(r, "db/", m->name, m->size);

    for (uint64_t at = 0; at < m->size && res == 0;) {
        size_t n = (size_t)MIN(m->size - at, (uint64_t)PIECE);

        res = get(r, r->piece, n);
        if (res == 0 && sink->data != NULL)
            res = sink->data(sink->ctx, m, at, r->piece, n);
        hash64_stream_add(h, r->piece, n);
        at += n;
    }
    if (res < 0)
        return res;
    if (hash64_stream_value(h) != m->hash) {
        (void)snprintf(r->why, BACKUP_WHY_MAX, "it is damaged: %s does not have its hash", m->name);
        return -EBADMSG;
    }
    res = get_padding(r, m->size);
    if (res == 0 && sink->data != NULL)
        res = sink->data(sink->ctx, m, m->size, r->piece, 0);
    return res;
}

static int get_end(struct reader *r)
{
    static const char damaged[] = "it is damaged: what stands behind the last file is not its end";
    char should[TOTAL_LEN + 1], is[TOTAL_LEN];
    uint8_t bytes[2 * BLOCK];
    ssize_t n;
    int res;

    (void)snprintf(should, sizeof(should), "%016" PRIx64 "\n", hash64_stream_value(r->total));
    res = get_header(r, "", "TOTAL", TOTAL_LEN);
    if (res == 0)
        res = get(r, is, TOTAL_LEN);
    if (res == 0 && memcmp(is, should, TOTAL_LEN) != 0)
        res = fail(r, -EBADMSG, "it is damaged: it does not have its total hash");
    if (res == 0)
        res = get_padding(r, TOTAL_LEN);
    if (res == 0)
        res = get(r, bytes, sizeof(bytes));
    if (res < 0)
        return res;
    if (memcmp(bytes, zeros, sizeof(bytes)) != 0)
        return fail(r, -EBADMSG, damaged);
    n = r->read(r->ctx, bytes, 1);
    return n == 0 ? 0 : n < 0 ? fail(r, (int)n, "it cannot be read") : fail(r, -EBADMSG, damaged);
}

int backup_read(backup_read_fn read_fn, void *ctx, const struct backup_sink *sink,
                struct backup_info *ret_info, char *why)
{
    struct reader r = {.read = read_fn, .ctx = ctx, .sink = sink, .why = why};
    int res;

    why[0] = '\0';
    r.total = hash64_stream_new(0);
    r.piece = mem_alloc(PIECE);
    res = get_manifest(&r);
    for (size_t i = 0; i < r.info.count && res == 0; i++)
        res = get_member(&r, &r.info.members[i]);
    if (res == 0)
        res = get_end(&r);
    free(r.piece);
    hash64_stream_free(r.total);
    if (res == 0)
        *ret_info = r.info;
    else
        backup_info_done(&r.info);
    return res;
}

static ssize_t read_fd(void *ctx, void *buf, size_t len)
{
    const int *fd = ctx;
    ssize_t n;

    do
        n = read(*fd, buf, len);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

int backup_read_fd(int fd, const struct backup_sink *sink, struct backup_info *ret_info, char *why)
{
    return backup_read(read_fd, &fd, sink, ret_info, why);
}
