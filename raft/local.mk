# What raft/ builds.
