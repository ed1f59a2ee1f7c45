/* What chmod is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/stat.h>

#include "shell/mode.h"

static uint32_t changed(const char *text, uint32_t mode, uint32_t umask_bits)
{
    struct mode_change c;

    assert_int_equal(mode_parse(text, &c), 0);
    return mode_apply(&c, mode, umask_bits);
}

static void octal_replaces_everything(void **state)
{
    (void)state;
    assert_int_equal(changed("640", S_IFREG | 04777, 022), 0640);
    assert_int_equal(changed("0", S_IFREG | 0777, 022), 0);
    assert_int_equal(changed("01777", S_IFDIR | 0700, 022), 01777);
}

static void letters_add_remove_and_set(void **state)
{
    (void)state;
    assert_int_equal(changed("u+x", S_IFREG | 0644, 022), 0744);
    assert_int_equal(changed("go-rw", S_IFREG | 0666, 022), 0600);
    assert_int_equal(changed("g=rx", S_IFREG | 0642, 022), 0652);
    assert_int_equal(changed("a=r", S_IFREG | 0777, 022), 0444);
    assert_int_equal(changed("u=rwx,go=", S_IFREG | 0644, 022), 0700);
    assert_int_equal(changed("u+r-w", S_IFREG | 0200, 022), 0400);
}

/* "+w" must not make a file writable for those whom the umask shuts out. */
static void without_a_class_the_umask_counts(void **state)
{
    (void)state;
    assert_int_equal(changed("+w", S_IFREG | 0444, 022), 0644);
    assert_int_equal(changed("a+w", S_IFREG | 0444, 022), 0666);
    assert_int_equal(changed("-w", S_IFREG | 0666, 022), 0466);
}

static void big_x_is_for_directories_and_programs(void **state)
{
    (void)state;
    assert_int_equal(changed("a+X", S_IFREG | 0644, 0), 0644);
    assert_int_equal(changed("a+X", S_IFREG | 0744, 0), 0755);
    assert_int_equal(changed("a+X", S_IFDIR | 0600, 0), 0711);
}

static void a_class_is_copied(void **state)
{
    (void)state;
    assert_int_equal(changed("g=u", S_IFREG | 0740, 022), 0770);
    assert_int_equal(changed("o+g", S_IFREG | 0750, 022), 0755);
}

static void set_id_and_sticky_bits(void **state)
{
    (void)state;
    assert_int_equal(changed("u+s", S_IFREG | 0755, 022), 04755);
    assert_int_equal(changed("g+s", S_IFREG | 0755, 022), 02755);
    assert_int_equal(changed("+t", S_IFDIR | 0777, 022), 01777);
    assert_int_equal(changed("u=rwx", S_IFREG | 04755, 022), 0755);
    assert_int_equal(changed("u=rwx", S_IFDIR | 06755, 022), 06755);
}

static void nonsense_is_refused(void **state)
{
    static const char *const texts[] = {"",    "8",    "77777", "10000", "u",     "rwx",
                                        "u+q", "u+r,", ",u+r",  "z+r",   "u+r g", "0x1ff"};
    struct mode_change c;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(mode_parse(texts[i], &c), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(octal_replaces_everything),
        cmocka_unit_test(letters_add_remove_and_set),
        cmocka_unit_test(without_a_class_the_umask_counts),
        cmocka_unit_test(big_x_is_for_directories_and_programs),
        cmocka_unit_test(a_class_is_copied),
        cmocka_unit_test(set_id_and_sticky_bits),
        cmocka_unit_test(nonsense_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
