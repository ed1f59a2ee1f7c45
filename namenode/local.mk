# What namenode/ builds.

# The metadata state machine and its store.
FSM_SOURCES = namenode/arena.c namenode/arena.h namenode/fsck.c namenode/fsck.h \
	namenode/fsck_impl.h namenode/fsck_chunks.c namenode/fsck_links.c namenode/fsck_names.c namenode/fsck_tree.c \
	namenode/fsck_words.c namenode/fsm.c namenode/fsm.h \
	namenode/fsm_check.c namenode/fsm_chunk.c namenode/fsm_cluster.c namenode/fsm_commit.c \
	namenode/fsm_copies.c namenode/fsm_copies.h namenode/fsm_swap.c \
	namenode/fsm_dir.c namenode/fsm_exec.c namenode/fsm_impl.h namenode/fsm_inode.c \
	namenode/fsm_list.c namenode/fsm_ops.h namenode/fsm_quota.c namenode/fsm_quota.h \
	namenode/fsm_read.c namenode/fsm_rename.c namenode/fsm_repair.c namenode/fsm_repair.h \
	namenode/fsm_repair_chunks.c namenode/fsm_repair_names.c \
	namenode/fsm_session.c namenode/fsm_tree.c namenode/fsm_tx.c namenode/fsm_tx.h \
	namenode/fsm_usage.c namenode/fsm_usage.h namenode/fsm_value.c namenode/fsm_value.h \
	namenode/fsm_xattr.c \
	namenode/keys.c namenode/keys.h namenode/kv.c namenode/kv.h \
	namenode/kv_manifest.c namenode/kv_manifest.h namenode/kv_mem.c \
	namenode/kv_mem.h namenode/kv_rocks.c namenode/kv_rocks.h namenode/mutants.h namenode/omap.c namenode/omap.h \
	namenode/perm.c namenode/perm.h namenode/rec_cache.c namenode/rec_cache.h namenode/records.c namenode/records.h
noinst_LTLIBRARIES += libfsm.la
libfsm_la_SOURCES = $(FSM_SOURCES)
libfsm_la_LIBADD = libproto.la libcommon.la $(ROCKSDB_LIBS)

# Placement groups: who is in a chain.
noinst_LTLIBRARIES += libpgmgr.la
libpgmgr_la_SOURCES = namenode/pg_mgr.c namenode/pg_mgr.h namenode/pg_mgr_impl.h \
	namenode/pg_decide.c namenode/pg_place.c namenode/pg_slow.c

# The Raft log on disk.
RAFT_LOG_SOURCES = namenode/raft_log.c namenode/raft_log.h namenode/log_disk.h \
	namenode/log_format.c namenode/log_format.h namenode/log_layout.c namenode/log_recover.c \
	namenode/log_writer.c
noinst_LTLIBRARIES += libraftlog.la
libraftlog_la_SOURCES = $(RAFT_LOG_SOURCES)

# Once more with their deliberate bugs, to test the tests.
check_LTLIBRARIES += libnamenode_mutants.la
libnamenode_mutants_la_SOURCES = $(FSM_SOURCES) $(RAFT_LOG_SOURCES) namenode/formats.c namenode/log_keep.c \
	namenode/proposals.c namenode/reap_queue.c namenode/sessions.c namenode/space_view.c namenode/disk_space.c
libnamenode_mutants_la_CPPFLAGS = $(AM_CPPFLAGS) -DNAMENODE_MUTANTS
libnamenode_mutants_la_LIBADD = libraft.la libproto.la libcommon.la $(ROCKSDB_LIBS)

# The replica: everything around Raft, snapshots, and the services.
noinst_LTLIBRARIES += libnamenode.la
libnamenode_la_SOURCES = namenode/cluster_view.c namenode/cluster_view.h namenode/data_dir.c \
	namenode/data_dir.h namenode/datanodes.c namenode/datanodes.h namenode/disk_space.c namenode/disk_space.h \
	namenode/formats.c namenode/formats.h namenode/log_keep.c namenode/log_keep.h \
	namenode/node.c \
	namenode/node.h namenode/node_care.c namenode/node_conf.c namenode/node_conf.h namenode/node_convert.c \
	namenode/node_impl.h namenode/node_open.c namenode/node_propose.c namenode/node_scrub.c namenode/node_snap.c \
	namenode/node_space.c namenode/peers.c \
	namenode/peers.h namenode/proposals.c namenode/proposals.h namenode/pg_push.c namenode/pg_push.h namenode/pg_survey.c namenode/pg_survey.h namenode/raft_snap.h \
	namenode/reap_queue.c namenode/reap_queue.h \
	namenode/restore.c namenode/restore.h \
	namenode/service.c namenode/service.h namenode/sessions.c namenode/sessions.h \
	namenode/space_view.c namenode/space_view.h \
	namenode/snap_files.c namenode/snap_files.h namenode/snap_receiver.c \
	namenode/snap_sender.c namenode/svc_backup.c namenode/svc_datanode.c namenode/svc_datanode.h namenode/svc_fsck.c namenode/svc_map.c \
	namenode/svc_map.h namenode/svc_meta.c namenode/svc_meta.h namenode/svc_raft.c \
	namenode/swap_gate.c namenode/swap_gate.h \
	namenode/svc_reaper.c namenode/svc_reaper.h namenode/svc_report.c namenode/svc_report.h \
	namenode/svc_request.c namenode/svc_request.h namenode/svc_session.c \
	namenode/svc_session.h namenode/svc_status.c namenode/svc_target.c namenode/svc_target.h
libnamenode_la_LIBADD = libbackup.la libraftlog.la libpgmgr.la libfsm.la libraft.la librpc.la libcommon.la

sbin_PROGRAMS += dfs-namenode
dfs_namenode_SOURCES = namenode/main.c
dfs_namenode_LDADD = libnamenode.la

EXTRA_DIST += namenode/README.md
