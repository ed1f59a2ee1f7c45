/*
 * The file of a backup, as an operator gives it: refused with a sentence, or taken to its last byte.
 * What was taken, written again, is taken again and is the same.
 *
 *   1 byte: n | a backup; with n > 0 its hash at the end is made right, so that what is behind it is
 *   reached, and it is read in pieces of n bytes
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/backup_file.h"
#include "common/buf.h"
#include "common/hash.h"
#include "tests/fuzz/target.h"

enum { END_BYTES = 512 + 512 + 1024 }; /* TOTAL's header and content, and the end */

static void check(bool ok)
{
    if (!ok)
        abort();
}

struct source {
    const uint8_t *data;
    size_t len, at, piece;
};

static ssize_t read_some(void *ctx, void *out, size_t len)
{
    struct source *s = ctx;
    size_t n = MIN(len, s->piece);

    n = MIN(n, s->len - s->at);
    if (n > 0)
        memcpy(out, s->data + s->at, n);
    s->at += n;
    return (ssize_t)n;
}

static int keep(void *ctx, const struct backup_member *m, uint64_t offset, const void *data,
                size_t len)
{
    check(offset + len <= m->size && strlen(m->name) < BACKUP_NAME_MAX && !strchr(m->name, '/'));
    buf_append(ctx, data, len);
    return 0;
}

static int append(void *ctx, const void *data, size_t len)
{
    buf_append(ctx, data, len);
    return 0;
}

static void write_again(const struct backup_info *info, const struct buf *bytes,
                        const struct source *s)
{
    CLEANUP(backup_writer) struct backup_writer *w = NULL;
    static const struct backup_sink nothing;
    CLEANUP_BUF struct buf out = {0};
    struct backup_info again = {0};
    char why[BACKUP_WHY_MAX];
    struct source copy;

    check(backup_writer_new(info, append, &out, &w) == 0);
    check(backup_writer_add(w, bytes->data, bytes->len) == 0);
    check(backup_writer_end(w) == 0);
    copy = (struct source){.data = out.data, .len = out.len, .piece = 77};
    check(backup_read(read_some, &copy, &nothing, &again, why) == 0);
    check(again.count == info->count && again.index == info->index && again.term == info->term);
    backup_info_done(&again);
    check(s->at == s->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP_BUF struct buf file = {0}, bytes = {0};
    struct backup_sink sink = {.data = keep, .ctx = &bytes};
    struct backup_info info = {0};
    char why[BACKUP_WHY_MAX], text[18];
    struct source s;
    int r;

    if (len < 1)
        return 0;
    buf_append(&file, data + 1, len - 1);
    if (data[0] > 0 && file.len >= END_BYTES) {
        (void)snprintf(text, sizeof(text), "%016" PRIx64,
                       hash64(file.data, file.len - END_BYTES, 0));
        memcpy(file.data + file.len - END_BYTES + 512, text, 16);
    }
    s = (struct source){.data = file.data, .len = file.len, .piece = data[0] ? data[0] : SIZE_MAX};
    r = backup_read(read_some, &s, &sink, &info, why);
    check(r == 0 ? why[0] == '\0' : r < 0 && why[0] != '\0');
    if (r == 0)
        write_again(&info, &bytes, &s);
    backup_info_done(&info);
    return 0;
}
