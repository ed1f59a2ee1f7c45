# Power failures: a library to preload, and what turns its record into disks.
check_LTLIBRARIES += tests/shim/libpowerlog.la tests/shim/libpowerlogreplay.la
tests_shim_libpowerlog_la_SOURCES = tests/shim/powerlog.c tests/shim/powerlog.h
tests_shim_libpowerlog_la_CFLAGS = $(TEST_CFLAGS)
# To be loaded, and so never installed: -rpath makes libtool link it as a shared one.
tests_shim_libpowerlog_la_LDFLAGS = -module -avoid-version -shared -rpath /nowhere
tests_shim_libpowerlogreplay_la_SOURCES = tests/shim/powerlog_replay.c tests/shim/powerlog.h
tests_shim_libpowerlogreplay_la_CFLAGS = $(TEST_CFLAGS)
tests_shim_libpowerlogreplay_la_LIBADD = libcommon.la
EXTRA_DIST += tests/shim/README.md
# One of the helpers of the end-to-end tests.
tests_shim_powercut_CFLAGS = $(TEST_CFLAGS)
tests_shim_powercut_LDADD = tests/shim/libpowerlogreplay.la
EXTRA_tests_shim_powercut_DEPENDENCIES = tests/shim/libpowerlog.la
