/*
 * Breaks the metadata of a namenode that is stopped, as no disk does: with records that are whole and
 * wrong. For tests of `dfs fsck` alone.
 *
 *   doctor STORE lose-inode INO       its record goes, its names stay
 *   doctor STORE lose-name DIR NAME   the other way round
 *   doctor STORE count-wrong DIR      one entry too many
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "namenode/keys.h"
#include "namenode/kv_rocks.h"
#include "namenode/records.h"

static int count_wrong(struct kv *kv, uint64_t ino, struct kv_batch *b)
{
    uint8_t bytes[REC_BYTES_MAX];
    struct inode_rec rec;
    struct kv_value v;
    struct key k;
    int r;

    key_id64(&k, 'I', ino);
    r = kv_get(kv, k.b, k.len, &v);
    if (r < 0)
        return r;
    r = inode_rec_decode(ino, v.data, v.len, &rec);
    kv_value_done(kv, &v);
    if (r < 0)
        return r;
    rec.entry_count++;
    kv_batch_put(b, k.b, k.len, bytes, inode_rec_encode(&rec, bytes));
    return 0;
}

static int lose(const struct key *k, struct kv *kv, struct kv_batch *b)
{
    struct kv_value v;
    int r = kv_get(kv, k->b, k->len, &v);

    if (r < 0)
        return r;
    kv_value_done(kv, &v);
    kv_batch_delete(b, k->b, k->len);
    return 0;
}

int main(int argc, char **argv)
{
    const struct kv_rocks_options options = {.must_exist = true};
    struct kv_batch b;
    struct kv *kv;
    struct key k;
    int r;

    if (argc < 4 || kv_rocks_open(argv[1], &options, &kv) < 0)
        return 2;
    kv_batch_init(&b);
    if (strcmp(argv[2], "lose-inode") == 0) {
        key_id64(&k, 'I', strtoull(argv[3], NULL, 10));
        r = lose(&k, kv, &b);
    } else if (strcmp(argv[2], "lose-name") == 0 && argc == 5) {
        key_name(&k, 'D', strtoull(argv[3], NULL, 10), argv[4], strlen(argv[4]));
        r = lose(&k, kv, &b);
    } else {
        r = count_wrong(kv, strtoull(argv[3], NULL, 10), &b);
    }
    if (r == 0)
        r = kv_write(kv, &b);
    if (r == 0)
        r = kv_flush(kv, true);
    kv_batch_done(&b);
    kv_close(kv);
    return r < 0;
}
