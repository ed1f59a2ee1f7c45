# What tests/ builds.

check_PROGRAMS += tests/unit/namenode/test_pg_mgr
TESTS += tests/unit/namenode/test_pg_mgr
tests_unit_namenode_test_pg_mgr_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_pg_mgr_LDADD = libpgmgr.la $(CMOCKA_LIBS)
