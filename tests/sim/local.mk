# What tests/sim/ builds.
SIM_RAFT_SOURCES = tests/sim/sim_raft.h tests/sim/sim_raft_world.c tests/sim/sim_raft_disk.c \
	tests/sim/sim_raft_node.c tests/sim/sim_raft_check.c tests/sim/sim_raft_plan.c

check_PROGRAMS += tests/sim/sim_raft
TESTS += tests/sim/sim_raft
tests_sim_sim_raft_SOURCES = tests/sim/sim_raft.c $(SIM_RAFT_SOURCES)
tests_sim_sim_raft_CFLAGS = $(TEST_CFLAGS)
tests_sim_sim_raft_LDADD = libraft.la

check_PROGRAMS += tests/sim/sim_raft_mutants
TESTS += tests/sim/sim_raft_mutants
tests_sim_sim_raft_mutants_SOURCES = tests/sim/sim_raft_mutants.c $(SIM_RAFT_SOURCES)
tests_sim_sim_raft_mutants_CPPFLAGS = $(AM_CPPFLAGS) -DRAFT_MUTANTS
tests_sim_sim_raft_mutants_CFLAGS = $(TEST_CFLAGS)
tests_sim_sim_raft_mutants_LDADD = libraft_mutants.la
