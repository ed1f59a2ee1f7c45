#include "tests/unit/namenode/log_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/limits.h"
#include "common/mem.h"

static void on_durable(void *ctx, uint64_t write_id)
{
    struct log_fixture *f = ctx;

    assert_true(write_id > f->durable);
    f->durable = write_id;
    f->acked = f->want;
}

static void on_fatal(void *ctx, const char *what, int error)
{
    struct log_fixture *f = ctx;

    assert_non_null(what);
    f->fatal = error;
    f->failed = what;
}

int open_log(struct log_fixture *f)
{
    f->durable = 0;
    f->next_write = 1;
    f->fatal = 0;
    f->failed = NULL;
    return raft_log_open(&f->config, &f->boot, &f->log);
}

int log_setup(void **state)
{
    struct log_fixture *f = MEM_NEW(struct log_fixture);

    f->disk = vfs_fake_new();
    raft_log_config_init(&f->config);
    f->config.vfs = vfs_fake_vfs(f->disk);
    f->config.dir = "/log";
    f->config.segment_bytes = SEGMENT;
    f->config.segments_min = 1;
    f->config.direct = false;
    rng_seed(&f->seeds, 1);
    f->config.seeds = &f->seeds;
    f->config.durable = on_durable;
    f->config.fatal = on_fatal;
    f->config.ctx = f;
    *state = f;
    return 0;
}

int log_teardown(void **state)
{
    struct log_fixture *f = *state;

    raft_log_close(f->log);
    vfs_fake_free(f->disk);
    free(f);
    return 0;
}

void reopen_log(struct log_fixture *f)
{
    raft_log_close(f->log);
    f->log = NULL;
    assert_int_equal(open_log(f), 0);
}

static uint8_t content_byte(uint64_t index, uint64_t term, uint32_t at)
{
    return (uint8_t)(index * 31 + term * 7 + at);
}

void ask_log(struct log_fixture *f, const struct ask *a)
{
    struct raft_update up = {.write_id = f->next_write++};
    struct raft_entry entries[64];
    struct model *m = &f->want;

    if (a->term) {
        up.hard_state_changed = true;
        up.hard_state = (struct raft_hard_state){.term = a->term, .vote = {a->vote}};
        m->hard = up.hard_state;
    }
    if (a->reset_to) {
        up.log_reset = true;
        up.log_base.index = a->reset_to;
        m->base = m->last = a->reset_to;
    }
    if (a->truncate_from) {
        up.truncate_from = a->truncate_from;
        m->last = a->truncate_from - 1;
    }
    m->kept = m->last;
    assert_true(a->count <= 64);
    for (unsigned i = 0; i < a->count; i++) {
        struct raft_buf *b = raft_buf_new(a->len);
        uint64_t index = ++m->last;

        for (uint32_t k = 0; k < a->len; k++)
            b->data[k] = content_byte(index, a->entry_term, k);
        entries[i] = (struct raft_entry){
            .index = index, .term = a->entry_term, .type = RAFT_ENTRY_NORMAL, .buf = b};
        m->entries[index].term = a->entry_term;
        m->entries[index].len = a->len;
    }
    up.entries = entries;
    up.entry_count = a->count;
    raft_log_append_async(f->log, &up);
    for (unsigned i = 0; i < a->count; i++)
        raft_buf_unref(entries[i].buf);
}

void append_log(struct log_fixture *f, unsigned count, uint32_t len, uint64_t term)
{
    ask_log(f, &(struct ask){.count = count, .len = len, .entry_term = term});
}

struct seen {
    struct model m;
    uint64_t next;
};

static int on_entry(void *ctx, const struct raft_entry *e)
{
    struct seen *s = ctx;

    if (s->next == 0)
        s->next = e->index;
    assert_int_equal(e->index, s->next);
    s->next++;
    s->m.last = e->index;
    s->m.entries[e->index].term = e->term;
    s->m.entries[e->index].len = e->buf->len;
    for (uint32_t k = 0; k < e->buf->len; k++)
        assert_int_equal(e->buf->data[k], content_byte(e->index, e->term, k));
    return 0;
}

void look_at_log(struct log_fixture *f, struct model *ret)
{
    struct seen s = {0};

    s.m.base = s.m.last = raft_log_first_index(f->log) - 1;
    assert_int_equal(raft_log_replay(f->log, on_entry, &s), 0);
    assert_int_equal(s.m.last, raft_log_last_index(f->log));
    s.m.hard = f->boot.hard_state;
    *ret = s.m;
}

bool same_entries(const struct model *a, const struct model *b, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i <= to; i++) {
        if (a->entries[i].term != b->entries[i].term || a->entries[i].len != b->entries[i].len)
            return false;
    }
    return true;
}

void assert_log_is(struct log_fixture *f, const struct model *want)
{
    struct model got;

    look_at_log(f, &got);
    assert_int_equal(got.last, want->last);
    assert_true(same_entries(&got, want, got.base + 1, got.last));
    assert_int_equal(got.hard.term, want->hard.term);
    assert_int_equal(got.hard.vote.v, want->hard.vote.v);
}
