# What namenode/ builds.

# The metadata state machine.
noinst_HEADERS += namenode/fsm.h namenode/kv.h namenode/kv_mem.h namenode/kv_rocks.h namenode/records.h

# Placement groups: who is in a chain.
noinst_LTLIBRARIES += libpgmgr.la
libpgmgr_la_SOURCES = namenode/pg_mgr.c namenode/pg_mgr.h

# The Raft log on disk.
noinst_LTLIBRARIES += libraftlog.la
libraftlog_la_SOURCES = namenode/raft_log.c namenode/raft_log.h namenode/log_disk.h \
	namenode/log_format.c namenode/log_format.h namenode/log_layout.c namenode/log_recover.c \
	namenode/log_writer.c
