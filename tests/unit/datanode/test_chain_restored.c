/* What a restore of the namenodes means for a chain whose members live on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/datanode/chain_story.h"

/* A restore ends sessions of which the namenodes know nothing, by their number. */
static void sessions_of_the_time_before_a_restore_are_refused(void **state)
{
    struct box *b = box_with(3, "0S 1S 2S");
    uint64_t first = b->clients[0].session.v, floor = b->clients[1].session.v;
    int op;

    (void)state;
    assert_true(first < floor);
    for (int i = 0; i < 3; i++)
        box_step(b, i,
                 &(struct chain_event){.kind = CHAIN_EV_CONFIG,
                                       .config = &b->config,
                                       .from_namenode = true,
                                       .session_floor = floor});
    /* It never goes down again. */
    box_step(b, 0,
             &(struct chain_event){
                 .kind = CHAIN_EV_CONFIG, .config = &b->config, .from_namenode = true});
    op = box_write(b, 0, 0, 0, 1);
    box_settle(b);
    assert_true(b->ops[op].refused);
    op = box_write(b, 1, 0, 0, 1);
    box_settle(b);
    assert_true(b->ops[op].acked);
    box_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_of_the_time_before_a_restore_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
