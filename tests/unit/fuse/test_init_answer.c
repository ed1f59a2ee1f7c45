/* What the kernel is told about the features we want, whatever libfuse made of its answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fuse/init_answer.h"

#define ALLOW_MMAP (UINT64_C(1) << 36) /* FUSE_DIRECT_IO_ALLOW_MMAP of Linux 6.6 */

enum { WANTED = FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2 };

/* A kernel that has them all. */
static const uint64_t newest = WANTED | FUSE_INIT_EXT | ALLOW_MMAP;

static void what_libfuse_drops_is_asked_for(void **state)
{
    struct fuse_init_out out = {.flags = FUSE_BIG_WRITES, .max_write = 1 << 20};

    (void)state;
    init_answer_fix(newest, &out, sizeof(out));
    assert_int_equal(out.flags, FUSE_BIG_WRITES | WANTED | FUSE_INIT_EXT);
    assert_int_equal(out.flags2, ALLOW_MMAP >> 32);
    assert_int_equal(out.max_write, 1 << 20);
}

/* A bit that was not offered means something else to that kernel, or nothing. */
static void only_what_the_kernel_offers_is_asked_for(void **state)
{
    struct fuse_init_out out = {.flags = FUSE_BIG_WRITES};

    (void)state;
    init_answer_fix(0, &out, sizeof(out));
    assert_int_equal(out.flags, FUSE_BIG_WRITES);
    assert_int_equal(out.flags2, 0);
    init_answer_fix(FUSE_PARALLEL_DIROPS | FUSE_ATOMIC_O_TRUNC, &out, sizeof(out));
    assert_int_equal(out.flags, FUSE_BIG_WRITES | FUSE_PARALLEL_DIROPS);
    init_answer_fix(~UINT64_C(0) & ~ALLOW_MMAP, &out, sizeof(out));
    assert_int_equal(out.flags2, 0);
    assert_int_equal(out.flags & FUSE_INIT_EXT, 0);
}

/* With the kernel's write-back cache, size and times would be the kernel's, not the cluster's. */
static void the_kernels_write_back_and_splice_stay_off(void **state)
{
    const uint32_t unwanted =
        FUSE_WRITEBACK_CACHE | FUSE_SPLICE_READ | FUSE_SPLICE_WRITE | FUSE_SPLICE_MOVE;
    struct fuse_init_out out = {.flags = unwanted | FUSE_ASYNC_READ};

    (void)state;
    init_answer_fix(newest | unwanted, &out, sizeof(out));
    assert_int_equal(out.flags & unwanted, 0);
    assert_true(out.flags & FUSE_ASYNC_READ);
}

/* What libfuse answers to a kernel of before 7.23: nothing is written behind it. */
static void a_short_answer_gets_no_second_word_of_flags(void **state)
{
    struct fuse_init_out out = {.flags2 = 0};

    (void)state;
    init_answer_fix(newest, &out, FUSE_COMPAT_22_INIT_OUT_SIZE);
    assert_int_equal(out.flags, WANTED);
    assert_int_equal(out.flags2, 0);
}

static void flags_of_libfuses_own_second_word_stay(void **state)
{
    struct fuse_init_out out = {.flags = FUSE_INIT_EXT, .flags2 = 1};

    (void)state;
    init_answer_fix(newest, &out, sizeof(out));
    assert_int_equal(out.flags2, 1 | ALLOW_MMAP >> 32);
}

static void the_offer_is_read_as_far_as_it_goes(void **state)
{
    struct fuse_init_in in = {.major = 7, .minor = 39, .flags = FUSE_INIT_EXT | 1, .flags2 = 16};

    (void)state;
    assert_int_equal(init_kernel_flags(&in, sizeof(in)), FUSE_INIT_EXT | 1 | ALLOW_MMAP);
    /* The rest of a message that ends early is not the kernel's. */
    assert_int_equal(init_kernel_flags(&in, sizeof(in) - 1), FUSE_INIT_EXT | 1);
    assert_int_equal(init_kernel_flags(&in, 16), FUSE_INIT_EXT | 1);
    assert_int_equal(init_kernel_flags(&in, 15), 0);
    /* A kernel that doesn't say FUSE_INIT_EXT has no second word: what lies there is not one. */
    in.flags = 1;
    assert_int_equal(init_kernel_flags(&in, sizeof(in)), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_libfuse_drops_is_asked_for),
        cmocka_unit_test(only_what_the_kernel_offers_is_asked_for),
        cmocka_unit_test(the_kernels_write_back_and_splice_stay_off),
        cmocka_unit_test(a_short_answer_gets_no_second_word_of_flags),
        cmocka_unit_test(flags_of_libfuses_own_second_word_stay),
        cmocka_unit_test(the_offer_is_read_as_far_as_it_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
