# What raft/ builds.
noinst_HEADERS += raft/raft.h raft/msg.h raft/types.h
