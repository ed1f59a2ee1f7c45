# What tests/sim/ builds.
LAST_WORDS_SOURCES = tests/sim/last_words.c tests/sim/last_words.h
SIM_RAFT_SOURCES = tests/sim/sim_raft.h tests/sim/sim_raft_world.c tests/sim/sim_raft_disk.c \
	tests/sim/sim_raft_node.c tests/sim/sim_raft_check.c tests/sim/sim_raft_plan.c \
	tests/sim/sim_main.h

# What the rim decides is the namenode's own; of libnamenode the toy needs no more than that.
RIM_SOURCES = namenode/log_keep.c namenode/log_keep.h

check_PROGRAMS += tests/sim/sim_raft
TESTS += tests/sim/sim_raft
tests_sim_sim_raft_SOURCES = tests/sim/sim_raft.c tests/sim/sim_toy.c tests/sim/sim_main.c \
	$(LAST_WORDS_SOURCES) $(RIM_SOURCES) $(SIM_RAFT_SOURCES)
tests_sim_sim_raft_CFLAGS = $(TEST_CFLAGS)
tests_sim_sim_raft_LDADD = libraft.la

check_PROGRAMS += tests/sim/sim_raft_mutants
TESTS += tests/sim/sim_raft_mutants
tests_sim_sim_raft_mutants_SOURCES = tests/sim/sim_raft_mutants.c tests/sim/sim_toy.c \
	tests/sim/sim_hunt.c $(RIM_SOURCES) $(SIM_RAFT_SOURCES)
tests_sim_sim_raft_mutants_CPPFLAGS = $(AM_CPPFLAGS) -DRAFT_MUTANTS
tests_sim_sim_raft_mutants_CFLAGS = $(TEST_CFLAGS)
tests_sim_sim_raft_mutants_LDADD = libraft_mutants.la

# ---- namenodes ----
# Two models of POSIX, that of the state machine's test and that of liblin, meet in one program.
SIM_NN_CPPFLAGS = -Dmodel_init=posix_model_init
SIM_NN_SOURCES = tests/sim/sim_nn.h tests/sim/sim_nn.c tests/sim/sim_nn_serve.c \
	tests/sim/sim_nn_client.c tests/sim/sim_nn_request.c tests/sim/sim_nn_content.c \
	tests/sim/sim_nn_data.c tests/sim/sim_nn_open.c tests/sim/sim_nn_check.c \
	tests/sim/sim_nn_tree.c tests/sim/sim_nn_log.c tests/sim/sim_nn_history.c tests/unit/namenode/posix_model.c tests/unit/namenode/posix_model.h \
	$(SIM_RAFT_SOURCES)
check_PROGRAMS += tests/sim/sim_namenode
TESTS += tests/sim/sim_namenode
tests_sim_sim_namenode_SOURCES = tests/sim/sim_namenode.c tests/sim/sim_main.c \
	$(LAST_WORDS_SOURCES) $(SIM_NN_SOURCES)
tests_sim_sim_namenode_CPPFLAGS = $(AM_CPPFLAGS) $(SIM_NN_CPPFLAGS)
tests_sim_sim_namenode_CFLAGS = $(TEST_CFLAGS)
tests_sim_sim_namenode_LDADD = tests/lin/liblin.la libnamenode.la

check_PROGRAMS += tests/sim/sim_namenode_mutants
TESTS += tests/sim/sim_namenode_mutants
tests_sim_sim_namenode_mutants_SOURCES = tests/sim/sim_namenode_mutants.c tests/sim/sim_hunt.c \
	$(SIM_NN_SOURCES)
tests_sim_sim_namenode_mutants_CPPFLAGS = $(AM_CPPFLAGS) $(SIM_NN_CPPFLAGS) -DNAMENODE_MUTANTS
tests_sim_sim_namenode_mutants_CFLAGS = $(TEST_CFLAGS)
tests_sim_sim_namenode_mutants_LDADD = tests/lin/liblin.la libnamenode_mutants.la
# ---- end of namenodes ----

# ---- the chain ----
check_PROGRAMS += tests/sim/sim_chain tests/sim/sim_chain_mutants
TESTS += tests/sim/sim_chain tests/sim/sim_chain_mutants
tests_sim_sim_chain_SOURCES = tests/sim/sim_chain.c $(LAST_WORDS_SOURCES) $(BOX_SOURCES)
tests_sim_sim_chain_CFLAGS = $(TEST_CFLAGS)
tests_sim_sim_chain_LDADD = libdatanode.la libcommon.la
check_PROGRAMS += tests/sim/explore_chain
TESTS += tests/sim/explore_chain
# Allocations are led into an arena, which is copied as a whole.
LINK_TO_ARENA = -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free
EXPLORE_SOURCES = tests/sim/explore_chain.c tests/sim/arena.c tests/sim/arena.h $(BOX_SOURCES)
tests_sim_explore_chain_SOURCES = $(EXPLORE_SOURCES)
tests_sim_explore_chain_CFLAGS = $(TEST_CFLAGS) -DBOX_SMALL
tests_sim_explore_chain_LDFLAGS = $(LINK_TO_ARENA)
tests_sim_explore_chain_LDADD = libdatanode.la libcommon.la
check_PROGRAMS += tests/sim/explore_chain_mutants
TESTS += tests/sim/explore_chain_mutants
tests_sim_explore_chain_mutants_SOURCES = $(EXPLORE_SOURCES) $(CHAIN_SOURCES) $(STORE_SOURCES)
tests_sim_explore_chain_mutants_CFLAGS = $(TEST_CFLAGS) -DBOX_SMALL -DCHAIN_MUTANTS
tests_sim_explore_chain_mutants_LDFLAGS = $(LINK_TO_ARENA)
tests_sim_explore_chain_mutants_LDADD = libcommon.la
# The same with deliberate bugs built in, each of which must be found.
tests_sim_sim_chain_mutants_SOURCES = tests/sim/sim_chain.c $(LAST_WORDS_SOURCES) $(BOX_SOURCES) $(CHAIN_SOURCES) \
	$(STORE_SOURCES)
tests_sim_sim_chain_mutants_CFLAGS = $(TEST_CFLAGS) -DCHAIN_MUTANTS
tests_sim_sim_chain_mutants_LDADD = libcommon.la
# ---- end of the chain ----
# What they say when they die.
TESTS += tests/sim/seed.sh
# A share of seeds that nobody has run.
TESTS += tests/sim/fresh.sh
EXTRA_DIST += tests/sim/README.md tests/sim/seed.sh tests/sim/fresh.sh
