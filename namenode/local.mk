# What namenode/ builds.

# The metadata state machine and its store.
noinst_LTLIBRARIES += libfsm.la
libfsm_la_SOURCES = namenode/arena.c namenode/arena.h namenode/fsm.c namenode/fsm.h \
	namenode/fsm_check.c namenode/fsm_chunk.c namenode/fsm_cluster.c namenode/fsm_commit.c \
	namenode/fsm_dir.c namenode/fsm_exec.c namenode/fsm_impl.h namenode/fsm_inode.c \
	namenode/fsm_list.c namenode/fsm_ops.h namenode/fsm_read.c namenode/fsm_rename.c \
	namenode/fsm_session.c namenode/fsm_tx.c namenode/fsm_tx.h namenode/fsm_xattr.c \
	namenode/keys.c namenode/keys.h namenode/kv.c namenode/kv.h namenode/kv_mem.c \
	namenode/kv_mem.h namenode/kv_rocks.c namenode/kv_rocks.h namenode/omap.c namenode/omap.h \
	namenode/perm.c namenode/perm.h namenode/records.c namenode/records.h
libfsm_la_LIBADD = libproto.la libcommon.la $(ROCKSDB_LIBS)

# Placement groups: who is in a chain.
noinst_LTLIBRARIES += libpgmgr.la
libpgmgr_la_SOURCES = namenode/pg_mgr.c namenode/pg_mgr.h

# The Raft log on disk.
noinst_LTLIBRARIES += libraftlog.la
libraftlog_la_SOURCES = namenode/raft_log.c namenode/raft_log.h namenode/log_disk.h \
	namenode/log_format.c namenode/log_format.h namenode/log_layout.c namenode/log_recover.c \
	namenode/log_writer.c
