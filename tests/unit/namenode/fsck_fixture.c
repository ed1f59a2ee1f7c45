#include "tests/unit/namenode/fsck_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { SLICE = 3, ROUNDS_MAX = 6 };

struct tree fsck_tree_make(struct fx *f)
{
    struct tree t = {0};

    fx_make_pgs(f, 4);
    t.a = fx_dir(f, ROOT, "a");
    t.b = fx_dir(f, ROOT, "b");
    t.p = fx_dir(f, ROOT, "p");
    t.q = fx_dir(f, t.p, "q");
    t.sub = fx_dir(f, t.a, "sub");
    t.file = fx_file(f, t.q, "file");
    t.plain = fx_file(f, t.a, "plain");
    t.inlined = fx_file(f, t.a, "inline");
    assert_int_equal(fx_write_inline(f, t.inlined, "some text"), 0);
    assert_int_equal(fx_setxattr(f, t.inlined, "user.x", "value", 0), 0);
    t.chunks = fx_file(f, t.a, "chunks");
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(fx_alloc(f, t.chunks, i, 1, 1 + i), 0);
    assert_int_equal(fx_symlink(f, t.sub, "link", "../plain"), 0);
    t.link = f->reply->entry->attr->ino;
    t.two = fx_file(f, t.a, "two");
    assert_int_equal(fx_link(f, t.two, t.b, "two"), 0);
    t.open_only = fx_file(f, ROOT, "open");
    assert_int_equal(fx_unlink(f, ROOT, "open"), 0);
    return t;
}

/* ---- damage ---- */

void damage_put(struct fx *f, const struct key *k, const void *data, size_t len)
{
    struct kv_batch b;

    kv_batch_init(&b);
    kv_batch_put(&b, k->b, k->len, data, len);
    assert_int_equal(kv_write(f->kv, &b), 0);
    kv_batch_done(&b);
}

void damage_drop(struct fx *f, const struct key *k)
{
    struct kv_batch b;

    kv_batch_init(&b);
    kv_batch_delete(&b, k->b, k->len);
    assert_int_equal(kv_write(f->kv, &b), 0);
    kv_batch_done(&b);
}

void damage_drop_id(struct fx *f, char kind, uint64_t ino)
{
    struct key k;

    key_id64(&k, kind, ino);
    damage_drop(f, &k);
}

void damage_put_value(struct fx *f, const struct key *k, const char *text)
{
    uint8_t bytes[64];

    value_encode_header(bytes);
    memcpy(bytes + VALUE_HEADER_SIZE, text, strlen(text));
    damage_put(f, k, bytes, VALUE_HEADER_SIZE + strlen(text));
}

void damage_put_id(struct fx *f, char kind, uint64_t ino, const char *text)
{
    struct key k;

    key_id64(&k, kind, ino);
    if (value_is_kind((uint8_t)kind))
        damage_put_value(f, &k, text);
    else
        damage_put(f, &k, text, strlen(text));
}

void damage_drop_entry(struct fx *f, uint64_t dir, const char *name)
{
    struct key k;

    key_name(&k, 'D', dir, name, strlen(name));
    damage_drop(f, &k);
}

void damage_put_entry(struct fx *f, uint64_t dir, const char *name, uint64_t ino, uint32_t type)
{
    struct dentry_rec d = {.ino = ino, .type = type};
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;

    key_name(&k, 'D', dir, name, strlen(name));
    damage_put(f, &k, bytes, dentry_rec_encode(&d, bytes));
}

struct inode_rec fsck_inode_of(struct fx *f, uint64_t ino)
{
    struct inode_rec rec;

    assert_int_equal(fsm_inode_get(f->fsm, ino, &rec), 0);
    return rec;
}

void damage_put_inode(struct fx *f, const struct inode_rec *rec)
{
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;

    key_id64(&k, 'I', rec->ino);
    damage_put(f, &k, bytes, inode_rec_encode(rec, bytes));
}

void damage_put_owner(struct fx *f, char kind, uint32_t pg, uint64_t chunk, uint64_t ino,
                      uint32_t index)
{
    struct chunk_owner_rec o = {.ino = ino, .index = index};
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;

    key_pg_chunk(&k, kind, pg, chunk);
    damage_put(f, &k, bytes, chunk_owner_rec_encode(&o, bytes));
}

void damage_put_page(struct fx *f, uint64_t ino, uint32_t pg, uint64_t chunk)
{
    struct chunk_page page = {.count = 1, .chunks = {{.chunk_id = chunk, .pg = pg}}};
    uint8_t bytes[REC_BYTES_MAX];
    struct key k;

    key_chunk_page(&k, ino, 0);
    damage_put(f, &k, bytes, chunk_page_encode(&page, bytes));
}

/* ---- walks and repairs ---- */

struct fsck_result fsck_found;

void fsck_again(struct fx *f)
{
    struct fsck_progress progress = {0};

    fsck_result_done(&fsck_found);
    assert_int_equal(fsck_walk_sliced(f->kv, SLICE, &progress, &fsck_found), 0);
    assert_int_equal(fsck_found.index, fsm_state(f->fsm)->index);
}

const struct fsck_finding *fsck_find(enum fsck_kind kind)
{
    for (size_t i = 0; i < fsck_found.count; i++) {
        if (fsck_found.findings[i].kind == kind)
            return &fsck_found.findings[i];
    }
    return NULL;
}

int fsck_repair_one(struct fx *f, uint64_t walked, uint64_t number, const Dfs__RepairOp *how)
{
    REQ(REPAIR, repair, *how);

    body.walk = walked;
    body.number = number;
    assert_int_equal(fsm_check_request(&req, true), -EPERM);
    assert_int_equal(fsm_check_request(&req, false), 0);
    assert_int_equal(fsm_format_of(&req), FSM_FORMAT_REPAIR);
    return fx_apply(f, &req);
}

void fsck_repair_found(struct fx *f)
{
    uint64_t number = 0;

    for (size_t i = 0; i < fsck_found.count; i++) {
        if (fsck_found.findings[i].can_repair)
            assert_int_equal(
                fsck_repair_one(f, fsck_found.index, number++, &fsck_found.findings[i].repair), 0);
    }
}

/* Until nothing is left that can be; the number of rounds. */
unsigned fsck_repair_all(struct fx *f)
{
    unsigned rounds = 0;

    for (fsck_again(f); fsck_found.repairable_count > 0; fsck_again(f)) {
        if (rounds == ROUNDS_MAX)
            print_error("%s: %s\n", fsck_words(fsck_found.findings[0].kind)->name,
                        fsck_found.findings[0].detail);
        assert_true(rounds++ < ROUNDS_MAX);
        fsck_repair_found(f);
    }
    return rounds;
}

void fsck_is_told(enum fsck_kind kind, const char *path)
{
    const struct fsck_finding *it = fsck_find(kind);

    if (!it) {
        print_error("not found: %s\n", fsck_words(kind)->name);
        fail();
    }
    assert_true(it->detail[0] != '\0');
    if (path) {
        assert_non_null(it->path);
        assert_string_equal(it->path, path);
    }
}

void fsck_is_mended(struct fx *f)
{
    (void)fsck_repair_all(f);
    assert_int_equal(fsck_found.finding_count, 0);
    assert_false(fsck_found.usage_left_out);
    fx_check_tree(f);
}

void fsck_is_found(struct fx *f, enum fsck_kind kind, const char *path)
{
    fx_reopen(f);
    fsck_again(f);
    fsck_is_told(kind, path);
    fsck_is_mended(f);
}

bool fsck_is_lost(struct fx *f, uint64_t ino)
{
    char name[32];

    assert_int_equal(fx_lookup(f, ROOT, "lost+found"), 0);
    assert_int_equal(f->reply->entry->attr->mode, S_IFDIR | 0700);
    (void)snprintf(name, sizeof(name), "#%lu", (unsigned long)ino);
    return fx_lookup(f, f->reply->entry->attr->ino, name) == 0 && f->reply->entry->attr->ino == ino;
}
