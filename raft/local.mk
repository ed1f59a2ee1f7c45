# What raft/ builds: the core, and once more with its deliberate bugs, to test the tests.
RAFT_SOURCES = raft/raft.c raft/election.c raft/transfer.c raft/replicate.c raft/follow.c \
	raft/read.c raft/snapshot.c raft/progress.c raft/members.c raft/entries.c raft/outbox.c \
	raft/query.c raft/msg.c raft/types.c raft/raft.h raft/msg.h raft/types.h raft/internal.h raft/progress.h \
	raft/members.h raft/entries.h raft/outbox.h raft/bytes.h raft/mem.h

noinst_LTLIBRARIES += libraft.la
libraft_la_SOURCES = $(RAFT_SOURCES)

check_LTLIBRARIES += libraft_mutants.la
libraft_mutants_la_SOURCES = $(RAFT_SOURCES)
libraft_mutants_la_CPPFLAGS = $(AM_CPPFLAGS) -DRAFT_MUTANTS

EXTRA_DIST += raft/README.md
