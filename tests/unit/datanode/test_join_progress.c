/* How far a joiner is, while it copies one chunk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/compiler.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/mem.h"
#include "datanode/chunk_file.h"
#include "datanode/join.h"

enum { BLOCKS = 2048, CHUNK = 5 };

/* A source with one chunk, and a joiner that has nothing of it until it is copied. */
struct side {
    struct chunk_state state;
    uint32_t slots[BLOCKS];
    uint64_t hashes[BLOCKS];
    uint8_t *bytes;
    bool is_copied;
};

static void answer(const struct side *s, struct join *j, const struct join_action *a,
                   struct join_actions *out)
{
    struct join_event ev = {.state = s->state, .slots = s->slots, .hashes = s->hashes};

    ev.count = BLOCKS;
    switch (a->kind) {
    case JOIN_ACT_ASK_LIST:
        ev.kind = JOIN_EV_LIST;
        ev.states = &s->state;
        ev.count = 1;
        ev.end = true;
        break;
    case JOIN_ACT_ASK_CRCS:
        ev.kind = JOIN_EV_CRCS;
        break;
    case JOIN_ACT_OWN_CRCS:
        ev.kind = JOIN_EV_OWN;
        ev.status = s->is_copied ? 0 : DFS_ENOCHUNK;
        ev.count = s->is_copied ? BLOCKS : 0;
        break;
    case JOIN_ACT_ASK_DATA:
        ev.kind = JOIN_EV_DATA;
        ev.offset = a->offset;
        ev.len = a->len;
        ev.count = a->len / CHUNK_BLOCK_SIZE;
        ev.slots = s->slots + a->offset / CHUNK_BLOCK_SIZE;
        ev.bytes_len = a->len;
        ev.bytes = s->bytes + a->offset;
        break;
    case JOIN_ACT_COPY:
    case JOIN_ACT_TRUNCATE:
    case JOIN_ACT_MARK_COMPLETE:
        ev.kind = JOIN_EV_STORED;
        break;
    case JOIN_ACT_MARK_INCOMPLETE:
    case JOIN_ACT_DONE:
        return;
    case JOIN_ACT_DELETE:
    case JOIN_ACT_FORGET:
    case JOIN_ACT_FAILED:
        fail_msg("nobody asked for that");
    }
    join_step(j, &ev, out);
}

/* A chunk is 64 MiB, and on a busy disk takes a while: who looks is to see that it goes on. */
static void progress_moves_within_a_chunk(void **state)
{
    CLEANUP(join) struct join *j = join_new((struct pg_id){1}, NULL, 0, 0);
    struct side s = {.state = {.id = {CHUNK}, .len = BLOCKS * CHUNK_BLOCK_SIZE - 100}};
    struct join_actions asked = {0};
    struct join_progress p, last = {0};
    unsigned moves = 0;

    (void)state;
    s.state.pg.v = 1;
    s.bytes = mem_zalloc(BLOCKS, CHUNK_BLOCK_SIZE);
    for (unsigned i = 0; i < BLOCKS; i++) {
        s.slots[i] = i + 1;
        s.hashes[i] = i + 1000;
    }
    join_start(j, &asked);
    for (size_t i = 0; i < asked.count; i++) {
        struct join_action a = asked.items[i];

        s.is_copied = s.is_copied || a.kind == JOIN_ACT_TRUNCATE;
        answer(&s, j, &a, &asked);
        join_progress(j, &p);
        assert_true(p.bytes_done >= last.bytes_done);
        assert_true(p.bytes_done <= s.state.len);
        moves += p.bytes_done > last.bytes_done;
        last = p;
    }
    assert_true(join_is_over(j));
    assert_int_equal(last.bytes_done, s.state.len);
    assert_int_equal(last.bytes_total, s.state.len);
    assert_int_equal(moves, BLOCKS * CHUNK_BLOCK_SIZE / CHUNK_OP_MAX);
    join_actions_done(&asked);
    free(s.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(progress_moves_within_a_chunk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
