# The checker of histories of a name space, for tests/sim and tests/e2e, and its own test.
check_LTLIBRARIES += tests/lin/liblin.la
tests_lin_liblin_la_SOURCES = tests/lin/lin.h tests/lin/history.c tests/lin/history.h tests/lin/model.c \
	tests/lin/model.h tests/lin/component.c tests/lin/component.h tests/lin/check.c
tests_lin_liblin_la_CFLAGS = $(TEST_CFLAGS)
tests_lin_liblin_la_LIBADD = libcommon.la

check_PROGRAMS += tests/lin/lin_check
tests_lin_lin_check_CFLAGS = $(TEST_CFLAGS)
tests_lin_lin_check_LDADD = tests/lin/liblin.la

EXTRA_DIST += tests/lin/README.md

check_PROGRAMS += tests/unit/lin/test_lin
TESTS += tests/unit/lin/test_lin
tests_unit_lin_test_lin_SOURCES = tests/unit/lin/test_lin.c tests/unit/lin/stories.c tests/unit/lin/stories.h \
	tests/unit/lin/random_history.c tests/unit/lin/random_history.h
tests_unit_lin_test_lin_CFLAGS = $(TEST_CFLAGS)
tests_unit_lin_test_lin_LDADD = tests/lin/liblin.la $(CMOCKA_LIBS)

# Plays rounds on a real cluster: tests/e2e/linear.sh.
tests_lin_lin_load_SOURCES = tests/lin/lin_load.c tests/lin/load.h tests/lin/load_client.c \
	tests/lin/load_mount.c
tests_lin_lin_load_CFLAGS = $(TEST_CFLAGS)
tests_lin_lin_load_LDADD = tests/lin/liblin.la libdfs_core.la

check_PROGRAMS += tests/unit/lin/test_model
TESTS += tests/unit/lin/test_model
tests_unit_lin_test_model_CFLAGS = $(TEST_CFLAGS)
tests_unit_lin_test_model_LDADD = tests/lin/liblin.la $(CMOCKA_LIBS)
