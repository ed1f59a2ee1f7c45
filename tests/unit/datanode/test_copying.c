/* Whose turn it is. The clock is the loop's: what must not happen is shown without waiting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/loop.h"
#include "datanode/copying.h"

static const uint64_t slow_rate = 4 << 20;

struct fixture {
    struct loop *loop;
    struct copying *c;
    char ran[32], ended[32];
};

struct turn {
    struct copy_turn t;
    struct fixture *f;
    char name;
};

static void run(struct copy_turn *t, bool is_ended)
{
    struct turn *turn = (struct turn *)t;
    char *list = is_ended ? turn->f->ended : turn->f->ran;

    list[strlen(list)] = turn->name;
}

static void enter(struct fixture *f, struct turn *t, char name, enum copy_kind kind, bool is_urgent,
                  uint64_t bytes)
{
    *t = (struct turn){.t = {.kind = kind, .is_urgent = is_urgent, .bytes = bytes, .run = run},
                       .f = f,
                       .name = name};
    copying_enter(f->c, &t->t);
}

static void begin(struct fixture *f, uint64_t cap)
{
    *f = (struct fixture){0};
    assert_int_equal(loop_new(&f->loop), 0);
    f->c = copying_new(f->loop, cap);
}

static void end(struct fixture *f)
{
    copying_stop(f->c);
    copying_free(f->c);
    loop_free(f->loop);
}

static void run_until(struct fixture *f, const char *ran)
{
    for (unsigned i = 0; i < 1000 && strcmp(f->ran, ran) != 0; i++)
        loop_run_once(f->loop, true);
    assert_string_equal(f->ran, ran);
}

static void stop_waiting(void *ctx)
{
    (void)ctx;
}

static void run_for_a_while(struct fixture *f)
{
    struct loop_timer *t = loop_timer_new(f->loop, stop_waiting, NULL);

    loop_timer_start(t, 10, 0);
    while (loop_timer_is_active(t))
        loop_run_once(f->loop, true);
    loop_timer_free(t);
}

/* Clients read beside it: one of the two readers is theirs. */
static void one_chunk_at_a_time_is_read_whole(void **state)
{
    struct turn t[3];
    struct fixture f;

    (void)state;
    begin(&f, 0);
    enter(&f, &t[0], 'a', COPY_CHECK, false, 1);
    enter(&f, &t[1], 'b', COPY_CHECK, false, 1);
    enter(&f, &t[2], 'c', COPY_SCRUB, false, 1);
    for (unsigned i = 0; i < 5; i++)
        run_for_a_while(&f);
    assert_string_equal(f.ran, "a");
    copying_checked(f.c);
    run_until(&f, "ab");
    copying_checked(f.c);
    run_until(&f, "abc");
    copying_checked(f.c);
    assert_int_equal(copying_waiting(f.c), 0);
    end(&f);
}

static void what_one_copy_is_left_of_comes_first_and_the_scrub_last(void **state)
{
    struct turn t[7];
    struct fixture f;

    (void)state;
    begin(&f, slow_rate);
    enter(&f, &t[0], 'a', COPY_DATA, false, slow_rate / 10); /* Owes a tenth of a second. */
    enter(&f, &t[1], 'b', COPY_SCRUB, false, 1);
    enter(&f, &t[2], 'c', COPY_CHECK, false, 1);
    enter(&f, &t[3], 'd', COPY_DATA, false, 1);
    enter(&f, &t[4], 'e', COPY_CHECK, true, 1);
    enter(&f, &t[5], 'f', COPY_DATA, true, 1);
    assert_string_equal(f.ran, "a");
    assert_int_equal(copying_waiting(f.c), 5);
    run_until(&f, "afed");
    copying_checked(f.c);
    run_until(&f, "afedc");
    copying_checked(f.c);
    run_until(&f, "afedcb");
    copying_checked(f.c);
    end(&f);
}

static void what_waits_is_let_go_at_the_end(void **state)
{
    struct turn t[3];
    struct fixture f;

    (void)state;
    begin(&f, slow_rate);
    enter(&f, &t[0], 'a', COPY_DATA, false, 10 * slow_rate);
    enter(&f, &t[1], 'b', COPY_DATA, false, 1);
    copying_stop(f.c);
    assert_string_equal(f.ran, "a");
    assert_string_equal(f.ended, "b");
    enter(&f, &t[2], 'c', COPY_CHECK, false, 1);
    assert_string_equal(f.ended, "bc");
    copying_free(f.c);
    loop_free(f.loop);
}

static void without_a_pace_all_run_at_once(void **state)
{
    struct turn t[3];
    struct fixture f;

    (void)state;
    begin(&f, COPYING_UNPACED);
    enter(&f, &t[0], 'a', COPY_CHECK, false, UINT64_C(1) << 40);
    enter(&f, &t[1], 'b', COPY_CHECK, false, UINT64_C(1) << 40);
    enter(&f, &t[2], 'c', COPY_DATA, false, UINT64_C(1) << 40);
    assert_string_equal(f.ran, "abc");
    copying_checked(f.c);
    copying_checked(f.c);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_chunk_at_a_time_is_read_whole),
        cmocka_unit_test(what_one_copy_is_left_of_comes_first_and_the_scrub_last),
        cmocka_unit_test(what_waits_is_let_go_at_the_end),
        cmocka_unit_test(without_a_pace_all_run_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
