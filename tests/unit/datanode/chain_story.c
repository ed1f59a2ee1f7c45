/* What the stories of test_chain.c are told with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/datanode/chain_story.h"

struct box *box_with(unsigned members, const char *config)
{
    struct box *b =
        box_new(&(struct box_options){.members = members, .min_write = 2, .clients = 2});

    box_config(b, config);
    box_settle(b);
    return b;
}

void assert_sound(struct box *b)
{
    if (b->violation != NULL)
        fail_msg("%s: %s", b->violation, b->what);
    box_check_quiet(b);
    if (b->violation != NULL)
        fail_msg("%s: %s", b->violation, b->what);
}

void run_until_applied(struct box *b, int op, int member)
{
    struct box_choice moves[BOX_CHOICES_MAX];

    for (int i = 0; i < 1000 && !b->members[member].applied[op]; i++) {
        assert_true(box_moves(b, moves) > 0);
        box_do(b, moves[0]);
    }
    assert_true(b->members[member].applied[op]);
}

void deliver_all(struct box *b, int from, int to)
{
    while (b->conns[from][to].forth != NULL)
        box_do(b, (struct box_choice){BOX_DELIVER_FORTH, from, to, 0});
}

void ask_head(struct box *b, int op, int member)
{
    box_send(b, op, member, b->config.epoch);
    b->ops[op].sent_epoch = b->config.epoch;
    box_do(b, (struct box_choice){BOX_MAIL, 0, 0, 0});
}
