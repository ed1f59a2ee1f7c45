# End-to-end tests: real clusters and real mounts. They speak TAP; helpers are small programs.
E2E_HELPERS = tests/e2e/chaos_io tests/e2e/differential tests/e2e/doctor tests/e2e/mktree \
	tests/e2e/netswitch tests/e2e/posix tests/e2e/signals tests/e2e/threads tests/lin/lin_load \
	tests/shim/powercut
check_PROGRAMS += $(E2E_HELPERS)
tests_e2e_chaos_io_CFLAGS = $(TEST_CFLAGS)
tests_e2e_differential_SOURCES = tests/e2e/differential.c tests/e2e/differential.h \
	tests/e2e/differential_attr.c tests/e2e/differential_compare.c tests/e2e/differential_data.c
tests_e2e_differential_CFLAGS = $(TEST_CFLAGS)
tests_e2e_doctor_CFLAGS = $(TEST_CFLAGS)
tests_e2e_doctor_LDADD = libfsm.la
tests_e2e_mktree_CFLAGS = $(TEST_CFLAGS)
tests_e2e_netswitch_CFLAGS = $(TEST_CFLAGS)
tests_e2e_posix_SOURCES = tests/e2e/posix.c tests/e2e/posix.h tests/e2e/posix_data.c \
	tests/e2e/posix_names.c tests/e2e/posix_perm.c
tests_e2e_posix_CFLAGS = $(TEST_CFLAGS)
tests_e2e_signals_CFLAGS = $(TEST_CFLAGS)
# Linked with the shared library, as an application is.
tests_e2e_threads_CFLAGS = $(TEST_CFLAGS)
tests_e2e_threads_LDADD = libdfs.la

E2E_TESTS = \
	tests/e2e/backup.sh \
	tests/e2e/bad_disks.sh \
	tests/e2e/bad_input.sh \
	tests/e2e/bit_flips.sh \
	tests/e2e/chaos.sh \
	tests/e2e/cluster.sh \
	tests/e2e/datanodes.sh \
	tests/e2e/differential.sh \
	tests/e2e/failover.sh \
	tests/e2e/fsck.sh \
	tests/e2e/interrupts.sh \
	tests/e2e/linear.sh \
	tests/e2e/lost_copy.sh \
	tests/e2e/many_files.sh \
	tests/e2e/members.sh \
	tests/e2e/mounting.sh \
	tests/e2e/posix.sh \
	tests/e2e/powercut.sh \
	tests/e2e/powerfail.sh \
	tests/e2e/programs.sh \
	tests/e2e/setrep.sh \
	tests/e2e/shell.sh \
	tests/e2e/slow.sh \
	tests/e2e/smoke.sh \
	tests/e2e/threads.sh \
	tests/e2e/two_mounts.sh
TESTS += $(E2E_TESTS)
EXTRA_DIST += tests/e2e/README.md tests/e2e/faults.sh tests/e2e/hosts.sh tests/e2e/lib.sh tests/e2e/bad_peer.py $(E2E_TESTS)
