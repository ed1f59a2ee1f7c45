#include "tests/unit/namenode/usage_walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "namenode/keys.h"
#include "namenode/kv.h"
#include "namenode/records.h"

struct seen {
    struct inode_rec rec;
    bool has_name_at_home;
    uint32_t names_in_links; /* sum of its K records */
    struct usage_rec below;
};

struct walk {
    struct kv *kv;
    struct seen *all; /* by ino, which need not be near each other: a restore leaves a gap */
    size_t count, room;
    uint64_t next_ino;
    uint64_t quotas;
};

static struct seen *at(struct walk *w, uint64_t ino)
{
    size_t low = 0, high = w->count;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (w->all[mid].rec.ino < ino)
            low = mid + 1;
        else
            high = mid;
    }
    assert_true(low < w->count && w->all[low].rec.ino == ino);
    return &w->all[low];
}

static void each(struct walk *w, const struct key *prefix,
                 void (*fn)(struct walk *w, const struct kv_iter *it))
{
    struct kv_iter *it;

    assert_int_equal(kv_iter_new(w->kv, "", 0, &it), 0);
    assert_int_equal(kv_iter_seek(it, prefix->b, prefix->len), 0);
    while (it->valid && it->key_len >= prefix->len &&
           memcmp(it->key, prefix->b, prefix->len) == 0) {
        fn(w, it);
        assert_int_equal(kv_iter_next(it), 0);
    }
    kv_iter_free(it);
}

static void each_kind(struct walk *w, char kind,
                      void (*fn)(struct walk *w, const struct kv_iter *it))
{
    struct key prefix;

    key_kind(&prefix, kind);
    each(w, &prefix, fn);
}

static void take_inode(struct walk *w, const struct kv_iter *it)
{
    uint64_t ino = key_get_u64(it->key + 1);

    assert_true(ino > 0 && ino < w->next_ino);
    if (w->count == w->room) {
        w->room = 2 * w->room + 64;
        w->all = realloc(w->all, w->room * sizeof(*w->all));
        assert_non_null(w->all);
    }
    w->all[w->count] = (struct seen){0};
    assert_int_equal(inode_rec_decode(ino, it->value, it->value_len, &w->all[w->count++].rec), 0);
}

static void take_entry(struct walk *w, const struct kv_iter *it)
{
    uint64_t dir = key_get_u64(it->key + 1);
    struct dentry_rec d;
    struct seen *s;

    assert_int_equal(dentry_rec_decode(it->value, it->value_len, &d), 0);
    s = at(w, d.ino);
    assert_true(s->rec.nlink > 0);
    s->has_name_at_home |= s->rec.parent == dir;
}

static uint32_t names_in(struct walk *w, uint64_t dir, uint64_t ino)
{
    struct kv_iter *it;
    struct dentry_rec d;
    uint32_t count = 0;
    struct key k;

    key_id64(&k, 'D', dir);
    assert_int_equal(kv_iter_new(w->kv, "", 0, &it), 0);
    assert_int_equal(kv_iter_seek(it, k.b, k.len), 0);
    for (; it->valid && it->key_len > 9 && memcmp(it->key, k.b, 9) == 0;
         assert_int_equal(kv_iter_next(it), 0)) {
        assert_int_equal(dentry_rec_decode(it->value, it->value_len, &d), 0);
        count += d.ino == ino;
    }
    kv_iter_free(it);
    return count;
}

static void take_link(struct walk *w, const struct kv_iter *it)
{
    uint64_t ino = key_get_u64(it->key + 1), dir = key_get_u64(it->key + 9);
    struct link_rec rec;

    assert_int_equal(it->key_len, 17);
    assert_int_equal(link_rec_decode(it->value, it->value_len, &rec), 0);
    assert_true(at(w, ino)->rec.nlink > 1);
    assert_int_equal(rec.names, names_in(w, dir, ino));
    at(w, ino)->names_in_links += rec.names;
}

static void count_upwards(struct walk *w, const struct seen *s)
{
    bool is_dir = S_ISDIR(s->rec.mode);
    uint64_t dir = s->rec.parent;

    for (;;) {
        struct seen *d = at(w, dir);

        assert_true(S_ISDIR(d->rec.mode) && d->rec.nlink > 0);
        d->below.files += !is_dir;
        d->below.dirs += is_dir;
        d->below.bytes += S_ISREG(s->rec.mode) ? s->rec.size : 0;
        if (dir == 1)
            return;
        dir = d->rec.parent;
    }
}

static void check_inode(struct walk *w, const struct seen *s)
{
    if (!S_ISDIR(s->rec.mode)) {
        assert_int_equal(s->names_in_links, s->rec.nlink > 1 ? s->rec.nlink : 0);
        if (s->rec.nlink == 0)
            assert_int_equal(s->rec.parent, 0);
    }
    if (s->rec.nlink == 0 || s->rec.ino == 1)
        return;
    assert_true(s->has_name_at_home);
    count_upwards(w, s);
}

/* Takes off what the record says: nothing must be left. */
static void take_usage(struct walk *w, const struct kv_iter *it)
{
    struct seen *s = at(w, key_get_u64(it->key + 1));
    struct usage_rec rec;

    assert_int_equal(usage_rec_decode(it->value, it->value_len, &rec), 0);
    assert_true(rec.files + rec.dirs + rec.bytes + rec.quota_inodes + rec.quota_bytes > 0);
    w->quotas += rec.quota_inodes != 0 || rec.quota_bytes != 0;
    assert_true(S_ISDIR(s->rec.mode) && s->rec.nlink > 0);
    assert_int_equal(s->below.files, rec.files);
    assert_int_equal(s->below.dirs, rec.dirs);
    assert_true(s->below.bytes == rec.bytes);
    s->below = (struct usage_rec){0};
}

uint64_t usage_walk_check(struct kv *kv, uint64_t next_ino)
{
    struct walk w = {.kv = kv, .next_ino = next_ino};

    each_kind(&w, 'I', take_inode);
    each_kind(&w, 'D', take_entry);
    each_kind(&w, 'K', take_link);
    for (size_t i = 0; i < w.count; i++)
        check_inode(&w, &w.all[i]);
    each_kind(&w, 'U', take_usage);
    for (size_t i = 0; i < w.count; i++) {
        const struct usage_rec *left = &w.all[i].below;

        assert_true(left->files == 0 && left->dirs == 0 && left->bytes == 0);
    }
    free(w.all);
    return w.quotas;
}
