/* What a handle remembers of a directory: every entry once, in order, in bounded memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "fuse/dir_list.h"

enum { PAGE = 10, NAMES_MAX = 1000, NAME_SIZE = 16 };

/* A directory of n0000, n0001, ...; is_there says which. */
struct fixture {
    struct dir_list list;
    bool is_there[NAMES_MAX];
    unsigned pages_read;
};

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct fixture));
    return *state == NULL;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    dir_list_clear(&f->list);
    free(f);
    return 0;
}

static void make(struct fixture *f, unsigned count, unsigned step)
{
    for (unsigned i = 0; i < count * step; i += step)
        f->is_there[i] = true;
}

/* The namenode's part. */
static void read_page(struct fixture *f, const struct dir_want *want)
{
    struct ll_dirent entries[PAGE];
    char names[PAGE][NAME_SIZE];
    unsigned count = 0, i;

    for (i = 0; i < NAMES_MAX && count < PAGE; i++) {
        (void)snprintf(names[count], NAME_SIZE, "n%04u", i);
        if (!f->is_there[i] || strcmp(names[count], want->after) <= 0)
            continue;
        entries[count] =
            (struct ll_dirent){.name = names[count], .ino = {100 + i}, .type = S_IFREG};
        count++;
    }
    f->pages_read++;
    dir_list_add(&f->list, want->page, entries, count, i == NAMES_MAX);
}

/* The kernel's part: the entry at or behind the position, -1: the end. */
static int at(struct fixture *f, size_t *position)
{
    const struct dir_entry *e;
    struct dir_want want;
    size_t page;

    for (;;) {
        e = dir_list_get(&f->list, position, &page);
        if (e != NULL)
            break;
        if (!dir_list_missing(&f->list, *position, &want))
            return -1;
        read_page(f, &want);
    }
    assert_int_equal(e->attr.ino.v, 100 + strtoul(e->name + 1, NULL, 10));
    return (int)strtoul(e->name + 1, NULL, 10);
}

static unsigned held_count(const struct fixture *f)
{
    unsigned n = 0;

    for (unsigned i = 0; i < DIR_LIST_PAGES; i++)
        n += f->list.held[i] != NULL;
    return n;
}

static void reads_every_entry_once_and_in_order(void **state)
{
    static const unsigned counts[] = {0, 1, 9, 10, 11, 500};
    struct fixture *f = *state;

    for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
        unsigned n = 0;
        size_t position = 0;
        int seen;

        memset(f->is_there, 0, sizeof(f->is_there));
        make(f, counts[k], 2);
        f->pages_read = 0;
        while ((seen = at(f, &position)) >= 0) {
            assert_int_equal(seen, 2 * n);
            n++;
            position++;
        }
        assert_int_equal(n, counts[k]);
        assert_in_range(f->pages_read, (n + PAGE - 1) / PAGE, n / PAGE + 1);
        assert_true(held_count(f) <= DIR_LIST_PAGES);
        dir_list_clear(&f->list);
    }
}

/* rm -r by the kernel: what was read goes away behind the reader's back. */
static void removing_while_reading_misses_nothing(void **state)
{
    struct fixture *f = *state;
    size_t position = 0;
    unsigned n = 0;
    int seen;

    make(f, 200, 1);
    while ((seen = at(f, &position)) >= 0) {
        assert_int_equal(seen, n++);
        f->is_there[seen] = false;
        position++;
    }
    assert_int_equal(n, 200);
}

/* Where entries come faster than they are read, in front and behind: each position goes forward. */
static void a_directory_that_grows_all_the_time_has_an_end(void **state)
{
    struct fixture *f = *state;
    size_t position = 0;
    unsigned n = 0;
    int seen, last = -1;

    make(f, 100, 2);
    while ((seen = at(f, &position)) >= 0) {
        assert_true(seen > last);
        last = seen;
        f->is_there[(unsigned)seen / 2] = true;
        if (seen + 3 < NAMES_MAX)
            f->is_there[seen + 3] = true;
        position++;
        assert_true(++n <= NAMES_MAX);
    }
}

static void going_back_reads_an_old_page_again(void **state)
{
    struct fixture *f = *state;
    size_t position;

    make(f, 300, 1);
    for (position = 0; at(f, &position) >= 0; position++)
        continue;
    for (size_t to = 0; to < 300; to += 7) {
        position = to;
        assert_int_equal(at(f, &position), to);
        assert_int_equal(position, to);
        position = 299 - to;
        assert_int_equal(at(f, &position), 299 - to);
    }
    position = 300;
    assert_int_equal(at(f, &position), -1);
    assert_true(held_count(f) <= DIR_LIST_PAGES);
}

/* What was in the old page and is gone leaves a gap; what came is not put in front of others. */
static void an_old_page_that_changed_keeps_to_its_place(void **state)
{
    struct fixture *f = *state;
    size_t position;

    make(f, 100, 2);
    for (position = 0; at(f, &position) >= 0; position++)
        continue;
    for (unsigned i = 0; i < 20; i += 2)
        f->is_there[i] = i >= 14; /* n0014, n0016, n0018 are left of the first page. */
    f->is_there[21] = true;       /* And the second is fuller than it was. */
    position = 0;
    assert_int_equal(at(f, &position), 14);
    position = 3;
    assert_int_equal(at(f, &position), 20); /* Nothing is there: the next page is. */
    assert_int_equal(position, 10);
    position = 19;
    (void)at(f, &position);
    position = 20;
    assert_int_equal(at(f, &position), 40);
}

static void an_answer_from_before_a_rewind_is_ignored(void **state)
{
    struct fixture *f = *state;
    struct dir_want want;
    size_t position = 0;

    make(f, 100, 1);
    for (; position < 25; position++)
        (void)at(f, &position);
    position = 40;
    assert_true(dir_list_missing(&f->list, position, &want));
    dir_list_clear(&f->list);
    want.after = "n0029";
    read_page(f, &want);
    assert_int_equal(f->list.count, 0);
    position = 0;
    assert_int_equal(at(f, &position), 0);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(reads_every_entry_once_and_in_order),
        T(removing_while_reading_misses_nothing),
        T(a_directory_that_grows_all_the_time_has_an_end),
        T(going_back_reads_an_old_page_again),
        T(an_old_page_that_changed_keeps_to_its_place),
        T(an_answer_from_before_a_rewind_is_ignored),
    };
#undef T

    return cmocka_run_group_tests(tests, NULL, NULL);
}
