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

# ---- the chain ----
check_PROGRAMS += tests/sim/sim_chain tests/sim/sim_chain_mutants
TESTS += tests/sim/sim_chain tests/sim/sim_chain_mutants
tests_sim_sim_chain_SOURCES = tests/sim/sim_chain.c $(BOX_SOURCES)
tests_sim_sim_chain_CFLAGS = $(TEST_CFLAGS)
tests_sim_sim_chain_LDADD = libdatanode.la libcommon.la
check_PROGRAMS += tests/sim/explore_chain
TESTS += tests/sim/explore_chain
tests_sim_explore_chain_SOURCES = tests/sim/explore_chain.c $(BOX_SOURCES)
tests_sim_explore_chain_CFLAGS = $(TEST_CFLAGS)
tests_sim_explore_chain_LDADD = libdatanode.la libcommon.la
# The same with deliberate bugs built in, each of which must be found.
tests_sim_sim_chain_mutants_SOURCES = tests/sim/sim_chain.c $(BOX_SOURCES) $(CHAIN_SOURCES)
tests_sim_sim_chain_mutants_CFLAGS = $(TEST_CFLAGS) -DCHAIN_MUTANTS
tests_sim_sim_chain_mutants_LDADD = libcommon.la
# ---- end of the chain ----
EXTRA_DIST += tests/sim/README.md
