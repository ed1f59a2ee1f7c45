# What tests/ builds.

# ---- datanode/chain ----
BOX_SOURCES = tests/sim/box.c tests/sim/box.h tests/sim/box_disk.c tests/sim/box_client.c \
	tests/sim/box_moves.c tests/sim/box_hash.c tests/sim/box_nn.c \
	tests/sim/box_store.c tests/sim/box_store.h \
	namenode/pg_mgr.c namenode/pg_mgr.h namenode/pg_mgr_impl.h namenode/pg_decide.c \
	namenode/pg_place.c namenode/pg_slow.c

check_PROGRAMS += tests/unit/datanode/test_chain
TESTS += tests/unit/datanode/test_chain
tests_unit_datanode_test_chain_SOURCES = tests/unit/datanode/test_chain.c \
	tests/unit/datanode/chain_story.c tests/unit/datanode/chain_story.h $(BOX_SOURCES)
tests_unit_datanode_test_chain_CFLAGS = $(TEST_CFLAGS)
tests_unit_datanode_test_chain_LDADD = libdatanode.la libcommon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/datanode/test_chain_restored
TESTS += tests/unit/datanode/test_chain_restored
tests_unit_datanode_test_chain_restored_SOURCES = tests/unit/datanode/test_chain_restored.c \
	tests/unit/datanode/chain_story.c tests/unit/datanode/chain_story.h $(BOX_SOURCES)
tests_unit_datanode_test_chain_restored_CFLAGS = $(TEST_CFLAGS)
tests_unit_datanode_test_chain_restored_LDADD = libdatanode.la libcommon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/datanode/test_service
TESTS += tests/unit/datanode/test_service
tests_unit_datanode_test_service_SOURCES = tests/unit/datanode/test_service.c \
	tests/unit/datanode/service_cluster.c tests/unit/datanode/service_cluster.h
tests_unit_datanode_test_service_CFLAGS = $(TEST_CFLAGS)
tests_unit_datanode_test_service_LDADD = libdnservice.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/datanode/test_damage
TESTS += tests/unit/datanode/test_damage
tests_unit_datanode_test_damage_SOURCES = tests/unit/datanode/test_damage.c \
	tests/unit/datanode/service_cluster.c tests/unit/datanode/service_cluster.h
tests_unit_datanode_test_damage_CFLAGS = $(TEST_CFLAGS)
tests_unit_datanode_test_damage_LDADD = libdnservice.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/datanode/test_scrub
TESTS += tests/unit/datanode/test_scrub
tests_unit_datanode_test_scrub_SOURCES = tests/unit/datanode/test_scrub.c \
	tests/unit/datanode/service_cluster.c tests/unit/datanode/service_cluster.h
tests_unit_datanode_test_scrub_CFLAGS = $(TEST_CFLAGS)
tests_unit_datanode_test_scrub_LDADD = libdnservice.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/datanode/test_chain_dedup
TESTS += tests/unit/datanode/test_chain_dedup
tests_unit_datanode_test_chain_dedup_CFLAGS = $(TEST_CFLAGS)
tests_unit_datanode_test_chain_dedup_LDADD = libdatanode.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/datanode/test_pace
TESTS += tests/unit/datanode/test_pace
tests_unit_datanode_test_pace_CFLAGS = $(TEST_CFLAGS)
tests_unit_datanode_test_pace_LDADD = libdnservice.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/datanode/test_copying
TESTS += tests/unit/datanode/test_copying
tests_unit_datanode_test_copying_CFLAGS = $(TEST_CFLAGS)
tests_unit_datanode_test_copying_LDADD = libdnservice.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/datanode/test_join
TESTS += tests/unit/datanode/test_join
tests_unit_datanode_test_join_CFLAGS = $(TEST_CFLAGS)
tests_unit_datanode_test_join_LDADD = libdatanode.la libcommon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/datanode/test_join_progress
TESTS += tests/unit/datanode/test_join_progress
tests_unit_datanode_test_join_progress_CFLAGS = $(TEST_CFLAGS)
tests_unit_datanode_test_join_progress_LDADD = libdatanode.la libcommon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/datanode/test_wire
TESTS += tests/unit/datanode/test_wire
tests_unit_datanode_test_wire_CFLAGS = $(TEST_CFLAGS)
tests_unit_datanode_test_wire_LDADD = libdnservice.la $(CMOCKA_LIBS)
# ---- end of datanode/chain ----

# ---- datanode/store ----
# The tests of the chunk store share a fixture.
check_LTLIBRARIES += tests/unit/datanode/libstorefixture.la
tests_unit_datanode_libstorefixture_la_SOURCES = tests/unit/datanode/store_fixture.c \
	tests/unit/datanode/store_fixture.h
tests_unit_datanode_libstorefixture_la_CFLAGS = $(TEST_CFLAGS)
tests_unit_datanode_libstorefixture_la_LIBADD = libdatanode.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/datanode/test_chunk_table
TESTS += tests/unit/datanode/test_chunk_table
tests_unit_datanode_test_chunk_table_CFLAGS = $(TEST_CFLAGS)
tests_unit_datanode_test_chunk_table_LDADD = libdatanode.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/datanode/test_ctab
TESTS += tests/unit/datanode/test_ctab
tests_unit_datanode_test_ctab_CFLAGS = $(TEST_CFLAGS)
tests_unit_datanode_test_ctab_LDADD = libdatanode.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/datanode/test_store
TESTS += tests/unit/datanode/test_store
tests_unit_datanode_test_store_CFLAGS = $(TEST_CFLAGS)
tests_unit_datanode_test_store_LDADD = tests/unit/datanode/libstorefixture.la

check_PROGRAMS += tests/unit/datanode/test_store_crash
TESTS += tests/unit/datanode/test_store_crash
tests_unit_datanode_test_store_crash_CFLAGS = $(TEST_CFLAGS)
tests_unit_datanode_test_store_crash_LDADD = tests/unit/datanode/libstorefixture.la

check_PROGRAMS += tests/unit/datanode/test_store_faults
TESTS += tests/unit/datanode/test_store_faults
tests_unit_datanode_test_store_faults_CFLAGS = $(TEST_CFLAGS)
tests_unit_datanode_test_store_faults_LDADD = tests/unit/datanode/libstorefixture.la
# ---- end of datanode/store ----

# ---- libdfs: the data path ----
check_PROGRAMS += tests/unit/libdfs/test_dirty
TESTS += tests/unit/libdfs/test_dirty
tests_unit_libdfs_test_dirty_CFLAGS = $(TEST_CFLAGS)
tests_unit_libdfs_test_dirty_LDADD = libdfs_core.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/libdfs/test_hedge
TESTS += tests/unit/libdfs/test_hedge
tests_unit_libdfs_test_hedge_CFLAGS = $(TEST_CFLAGS)
tests_unit_libdfs_test_hedge_LDADD = libdfs_core.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/libdfs/test_extent
TESTS += tests/unit/libdfs/test_extent
tests_unit_libdfs_test_extent_CFLAGS = $(TEST_CFLAGS)
tests_unit_libdfs_test_extent_LDADD = libdfs_core.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/libdfs/test_layout
TESTS += tests/unit/libdfs/test_layout
tests_unit_libdfs_test_layout_CFLAGS = $(TEST_CFLAGS)
tests_unit_libdfs_test_layout_LDADD = libdfs_core.la $(CMOCKA_LIBS)
FAKE_CLUSTER_SOURCES = tests/unit/libdfs/fake_cluster.c tests/unit/libdfs/fake_cluster.h \
	tests/unit/libdfs/fake_namenode.c
FILE_CALLS_SOURCES = tests/unit/libdfs/file_calls.c tests/unit/libdfs/file_calls.h

check_PROGRAMS += tests/unit/libdfs/test_dn
TESTS += tests/unit/libdfs/test_dn
tests_unit_libdfs_test_dn_SOURCES = tests/unit/libdfs/test_dn.c $(FAKE_CLUSTER_SOURCES)
tests_unit_libdfs_test_dn_CFLAGS = $(TEST_CFLAGS)
tests_unit_libdfs_test_dn_LDADD = libdfs_core.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/libdfs/test_file
TESTS += tests/unit/libdfs/test_file
tests_unit_libdfs_test_file_SOURCES = tests/unit/libdfs/test_file.c $(FAKE_CLUSTER_SOURCES) $(FILE_CALLS_SOURCES)
tests_unit_libdfs_test_file_CFLAGS = $(TEST_CFLAGS)
tests_unit_libdfs_test_file_LDADD = libdfs_core.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/libdfs/test_truncate
TESTS += tests/unit/libdfs/test_truncate
tests_unit_libdfs_test_truncate_SOURCES = tests/unit/libdfs/test_truncate.c $(FAKE_CLUSTER_SOURCES) $(FILE_CALLS_SOURCES)
tests_unit_libdfs_test_truncate_CFLAGS = $(TEST_CFLAGS)
tests_unit_libdfs_test_truncate_LDADD = libdfs_core.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/libdfs/test_interrupt
TESTS += tests/unit/libdfs/test_interrupt
tests_unit_libdfs_test_interrupt_SOURCES = tests/unit/libdfs/test_interrupt.c $(FAKE_CLUSTER_SOURCES) $(FILE_CALLS_SOURCES)
tests_unit_libdfs_test_interrupt_CFLAGS = $(TEST_CFLAGS)
tests_unit_libdfs_test_interrupt_LDADD = libdfs_core.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/libdfs/test_nn
TESTS += tests/unit/libdfs/test_nn
tests_unit_libdfs_test_nn_CFLAGS = $(TEST_CFLAGS)
tests_unit_libdfs_test_nn_LDADD = libdfs_core.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/libdfs/test_writeback
TESTS += tests/unit/libdfs/test_writeback
tests_unit_libdfs_test_writeback_SOURCES = tests/unit/libdfs/test_writeback.c $(FAKE_CLUSTER_SOURCES) $(FILE_CALLS_SOURCES)
tests_unit_libdfs_test_writeback_CFLAGS = $(TEST_CFLAGS)
tests_unit_libdfs_test_writeback_LDADD = libdfs_core.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/libdfs/test_path
TESTS += tests/unit/libdfs/test_path
tests_unit_libdfs_test_path_CFLAGS = $(TEST_CFLAGS)
tests_unit_libdfs_test_path_LDADD = libdfs_core.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/libdfs/test_removal
TESTS += tests/unit/libdfs/test_removal
tests_unit_libdfs_test_removal_CFLAGS = $(TEST_CFLAGS)
tests_unit_libdfs_test_removal_LDADD = libdfs_core.la $(CMOCKA_LIBS)
# ---- end of libdfs: the data path ----

# ---- common ----
check_PROGRAMS += tests/unit/common/test_args
TESTS += tests/unit/common/test_args
tests_unit_common_test_args_CFLAGS = $(TEST_CFLAGS)
tests_unit_common_test_args_LDADD = libcommon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/common/test_buf
TESTS += tests/unit/common/test_buf
tests_unit_common_test_buf_CFLAGS = $(TEST_CFLAGS)
tests_unit_common_test_buf_LDADD = libcommon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/common/test_conf
TESTS += tests/unit/common/test_conf
tests_unit_common_test_conf_CFLAGS = $(TEST_CFLAGS)
tests_unit_common_test_conf_LDADD = libcommon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/common/test_crc32c
TESTS += tests/unit/common/test_crc32c
tests_unit_common_test_crc32c_CFLAGS = $(TEST_CFLAGS)
tests_unit_common_test_crc32c_LDADD = libcommon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/common/test_daemon
TESTS += tests/unit/common/test_daemon
tests_unit_common_test_daemon_CFLAGS = $(TEST_CFLAGS)
tests_unit_common_test_daemon_LDADD = libcommon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/common/test_error
TESTS += tests/unit/common/test_error
tests_unit_common_test_error_CFLAGS = $(TEST_CFLAGS)
tests_unit_common_test_error_LDADD = libcommon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/common/test_log
TESTS += tests/unit/common/test_log
tests_unit_common_test_log_CFLAGS = $(TEST_CFLAGS)
tests_unit_common_test_log_LDADD = libcommon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/common/test_loop
TESTS += tests/unit/common/test_loop
tests_unit_common_test_loop_CFLAGS = $(TEST_CFLAGS)
tests_unit_common_test_loop_LDADD = libcommon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/common/test_latency
TESTS += tests/unit/common/test_latency
tests_unit_common_test_latency_CFLAGS = $(TEST_CFLAGS)
tests_unit_common_test_latency_LDADD = libcommon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/common/test_metrics
TESTS += tests/unit/common/test_metrics
tests_unit_common_test_metrics_CFLAGS = $(TEST_CFLAGS)
tests_unit_common_test_metrics_LDADD = libcommon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/common/test_slab
TESTS += tests/unit/common/test_slab
tests_unit_common_test_slab_CFLAGS = $(TEST_CFLAGS)
tests_unit_common_test_slab_LDADD = libcommon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/common/test_strutil
TESTS += tests/unit/common/test_strutil
tests_unit_common_test_strutil_CFLAGS = $(TEST_CFLAGS)
tests_unit_common_test_strutil_LDADD = libcommon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/common/test_backup_file
TESTS += tests/unit/common/test_backup_file
tests_unit_common_test_backup_file_CFLAGS = $(TEST_CFLAGS)
tests_unit_common_test_backup_file_LDADD = libbackup.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/common/test_values
TESTS += tests/unit/common/test_values
tests_unit_common_test_values_CFLAGS = $(TEST_CFLAGS)
tests_unit_common_test_values_LDADD = libcommon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/common/test_vfs
TESTS += tests/unit/common/test_vfs
tests_unit_common_test_vfs_CFLAGS = $(TEST_CFLAGS)
tests_unit_common_test_vfs_LDADD = libcommon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/common/test_vfs_fake
TESTS += tests/unit/common/test_vfs_fake
tests_unit_common_test_vfs_fake_CFLAGS = $(TEST_CFLAGS)
tests_unit_common_test_vfs_fake_LDADD = libcommon.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/common/test_worker
TESTS += tests/unit/common/test_worker
tests_unit_common_test_worker_CFLAGS = $(TEST_CFLAGS)
tests_unit_common_test_worker_LDADD = libcommon.la $(CMOCKA_LIBS)

TESTS += tests/tidy.sh
EXTRA_DIST += tests/tidy.sh tests/lsan.supp tests/tsan.supp .clang-format tests/README.md tests/unit/README.md

TESTS += tests/configure.sh tests/dist.sh
EXTRA_DIST += tests/configure.sh tests/dist.sh tests/install.sh
# ---- end of common ----

# ---- namenode/fsm ----
# The tests of the state machine share a fixture.
check_LTLIBRARIES += tests/unit/namenode/libfsmfixture.la
tests_unit_namenode_libfsmfixture_la_SOURCES = tests/unit/namenode/fsm_fixture.c \
	tests/unit/namenode/fsm_fixture.h tests/unit/namenode/usage_walk.c tests/unit/namenode/usage_walk.h
tests_unit_namenode_libfsmfixture_la_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_libfsmfixture_la_LIBADD = libfsm.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/namenode/test_fsck
TESTS += tests/unit/namenode/test_fsck
tests_unit_namenode_test_fsck_SOURCES = tests/unit/namenode/test_fsck.c \
	tests/unit/namenode/fsck_fixture.c tests/unit/namenode/fsck_fixture.h
tests_unit_namenode_test_fsck_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_fsck_LDADD = tests/unit/namenode/libfsmfixture.la

check_PROGRAMS += tests/unit/namenode/test_fsck_repair
TESTS += tests/unit/namenode/test_fsck_repair
tests_unit_namenode_test_fsck_repair_SOURCES = tests/unit/namenode/test_fsck_repair.c \
	tests/unit/namenode/fsck_fixture.c tests/unit/namenode/fsck_fixture.h
tests_unit_namenode_test_fsck_repair_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_fsck_repair_LDADD = tests/unit/namenode/libfsmfixture.la

check_PROGRAMS += tests/unit/namenode/test_fsm
TESTS += tests/unit/namenode/test_fsm
tests_unit_namenode_test_fsm_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_fsm_LDADD = tests/unit/namenode/libfsmfixture.la

check_PROGRAMS += tests/unit/namenode/test_fsm_chunk
TESTS += tests/unit/namenode/test_fsm_chunk
tests_unit_namenode_test_fsm_chunk_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_fsm_chunk_LDADD = tests/unit/namenode/libfsmfixture.la

check_PROGRAMS += tests/unit/namenode/test_fsm_cluster
TESTS += tests/unit/namenode/test_fsm_cluster
tests_unit_namenode_test_fsm_cluster_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_fsm_cluster_LDADD = tests/unit/namenode/libfsmfixture.la

check_PROGRAMS += tests/unit/namenode/test_fsm_dir
TESTS += tests/unit/namenode/test_fsm_dir
tests_unit_namenode_test_fsm_dir_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_fsm_dir_LDADD = tests/unit/namenode/libfsmfixture.la

check_PROGRAMS += tests/unit/namenode/test_fsm_inode
TESTS += tests/unit/namenode/test_fsm_inode
tests_unit_namenode_test_fsm_inode_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_fsm_inode_LDADD = tests/unit/namenode/libfsmfixture.la

check_PROGRAMS += tests/unit/namenode/test_fsm_model
TESTS += tests/unit/namenode/test_fsm_model
tests_unit_namenode_test_fsm_model_SOURCES = tests/unit/namenode/test_fsm_model.c \
	tests/unit/namenode/posix_model.c tests/unit/namenode/posix_model.h
tests_unit_namenode_test_fsm_model_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_fsm_model_LDADD = tests/unit/namenode/libfsmfixture.la

check_PROGRAMS += tests/unit/namenode/test_fsm_quota
TESTS += tests/unit/namenode/test_fsm_quota
tests_unit_namenode_test_fsm_quota_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_fsm_quota_LDADD = tests/unit/namenode/libfsmfixture.la

check_PROGRAMS += tests/unit/namenode/test_fsm_read
TESTS += tests/unit/namenode/test_fsm_read
tests_unit_namenode_test_fsm_read_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_fsm_read_LDADD = tests/unit/namenode/libfsmfixture.la

check_PROGRAMS += tests/unit/namenode/test_fsm_rename
TESTS += tests/unit/namenode/test_fsm_rename
tests_unit_namenode_test_fsm_rename_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_fsm_rename_LDADD = tests/unit/namenode/libfsmfixture.la

check_PROGRAMS += tests/unit/namenode/test_fsm_session
TESTS += tests/unit/namenode/test_fsm_session
tests_unit_namenode_test_fsm_session_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_fsm_session_LDADD = tests/unit/namenode/libfsmfixture.la

# ---- trees ----
check_PROGRAMS += tests/unit/namenode/test_fsm_tree
TESTS += tests/unit/namenode/test_fsm_tree
tests_unit_namenode_test_fsm_tree_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_fsm_tree_LDADD = tests/unit/namenode/libfsmfixture.la
# ---- end of trees ----

check_PROGRAMS += tests/unit/namenode/test_fsm_usage
TESTS += tests/unit/namenode/test_fsm_usage
tests_unit_namenode_test_fsm_usage_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_fsm_usage_LDADD = tests/unit/namenode/libfsmfixture.la

check_PROGRAMS += tests/unit/namenode/test_fsm_value
TESTS += tests/unit/namenode/test_fsm_value
tests_unit_namenode_test_fsm_value_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_fsm_value_LDADD = tests/unit/namenode/libfsmfixture.la

check_PROGRAMS += tests/unit/namenode/test_fsm_copies
TESTS += tests/unit/namenode/test_fsm_copies
tests_unit_namenode_test_fsm_copies_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_fsm_copies_LDADD = tests/unit/namenode/libfsmfixture.la

check_PROGRAMS += tests/unit/namenode/test_fsm_xattr
TESTS += tests/unit/namenode/test_fsm_xattr
tests_unit_namenode_test_fsm_xattr_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_fsm_xattr_LDADD = tests/unit/namenode/libfsmfixture.la

check_PROGRAMS += tests/unit/namenode/test_kv
TESTS += tests/unit/namenode/test_kv
tests_unit_namenode_test_kv_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_kv_LDADD = libfsm.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/namenode/test_perm
TESTS += tests/unit/namenode/test_perm
tests_unit_namenode_test_perm_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_perm_LDADD = libfsm.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/namenode/test_rec_cache
TESTS += tests/unit/namenode/test_rec_cache
tests_unit_namenode_test_rec_cache_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_rec_cache_LDADD = libfsm.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/namenode/test_records
TESTS += tests/unit/namenode/test_records
tests_unit_namenode_test_records_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_records_LDADD = libfsm.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/shim/test_powerlog
TESTS += tests/unit/shim/test_powerlog
tests_unit_shim_test_powerlog_CFLAGS = $(TEST_CFLAGS)
tests_unit_shim_test_powerlog_LDADD = tests/shim/libpowerlogreplay.la $(CMOCKA_LIBS)
EXTRA_tests_unit_shim_test_powerlog_DEPENDENCIES = tests/shim/libpowerlog.la

POWER_SOURCES = tests/unit/namenode/power_story.c tests/unit/namenode/power_story.h
check_PROGRAMS += tests/unit/namenode/test_power
TESTS += tests/unit/namenode/test_power
tests_unit_namenode_test_power_SOURCES = tests/unit/namenode/test_power.c $(POWER_SOURCES)
tests_unit_namenode_test_power_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_power_LDADD = tests/shim/libpowerlogreplay.la \
	tests/unit/namenode/libfsmfixture.la libnamenode.la
EXTRA_tests_unit_namenode_test_power_DEPENDENCIES = tests/shim/libpowerlog.la

# The same with deliberate bugs built in, each of which must be found.
check_PROGRAMS += tests/unit/namenode/test_power_mutants
TESTS += tests/unit/namenode/test_power_mutants
tests_unit_namenode_test_power_mutants_SOURCES = tests/unit/namenode/test_power_mutants.c \
	tests/unit/namenode/fsm_fixture.c tests/unit/namenode/usage_walk.c namenode/data_dir.c \
	namenode/snap_files.c $(POWER_SOURCES)
tests_unit_namenode_test_power_mutants_CPPFLAGS = $(AM_CPPFLAGS) -DNAMENODE_MUTANTS
tests_unit_namenode_test_power_mutants_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_power_mutants_LDADD = tests/shim/libpowerlogreplay.la \
	libnamenode_mutants.la $(CMOCKA_LIBS)
EXTRA_tests_unit_namenode_test_power_mutants_DEPENDENCIES = tests/shim/libpowerlog.la
# ---- end of namenode/fsm ----

check_PROGRAMS += tests/unit/namenode/test_pg_mgr
TESTS += tests/unit/namenode/test_pg_mgr
tests_unit_namenode_test_pg_mgr_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_pg_mgr_LDADD = libpgmgr.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/namenode/test_pg_slow
TESTS += tests/unit/namenode/test_pg_slow
tests_unit_namenode_test_pg_slow_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_pg_slow_LDADD = libpgmgr.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/namenode/test_pg_moves
TESTS += tests/unit/namenode/test_pg_moves
tests_unit_namenode_test_pg_moves_SOURCES = tests/unit/namenode/test_pg_moves.c \
	tests/unit/namenode/pg_fleet.c tests/unit/namenode/pg_fleet.h
tests_unit_namenode_test_pg_moves_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_pg_moves_LDADD = libpgmgr.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/namenode/test_pg_pools
TESTS += tests/unit/namenode/test_pg_pools
tests_unit_namenode_test_pg_pools_SOURCES = tests/unit/namenode/test_pg_pools.c \
	tests/unit/namenode/pg_fleet.c tests/unit/namenode/pg_fleet.h
tests_unit_namenode_test_pg_pools_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_pg_pools_LDADD = libpgmgr.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/namenode/test_data_dir
TESTS += tests/unit/namenode/test_data_dir
tests_unit_namenode_test_data_dir_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_data_dir_LDADD = libnamenode.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/namenode/test_data_dir_crash
TESTS += tests/unit/namenode/test_data_dir_crash
tests_unit_namenode_test_data_dir_crash_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_data_dir_crash_LDADD = libnamenode.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/namenode/test_snap_crash
TESTS += tests/unit/namenode/test_snap_crash
tests_unit_namenode_test_snap_crash_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_snap_crash_LDADD = libnamenode.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/namenode/test_rot
TESTS += tests/unit/namenode/test_rot
tests_unit_namenode_test_rot_SOURCES = tests/unit/namenode/test_rot.c $(LOG_FIXTURE_SOURCES)
tests_unit_namenode_test_rot_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_rot_LDADD = libnamenode.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/namenode/test_disk_space
TESTS += tests/unit/namenode/test_disk_space
tests_unit_namenode_test_disk_space_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_disk_space_LDADD = libnamenode.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/namenode/test_node
TESTS += tests/unit/namenode/test_node
tests_unit_namenode_test_node_SOURCES = tests/unit/namenode/test_node.c \
	tests/unit/namenode/node_group.c tests/unit/namenode/node_group.h
tests_unit_namenode_test_node_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_node_LDADD = libnamenode.la $(CMOCKA_LIBS)

# ---- mixed versions ----
check_PROGRAMS += tests/unit/namenode/test_node_format
TESTS += tests/unit/namenode/test_node_format
tests_unit_namenode_test_node_format_SOURCES = tests/unit/namenode/test_node_format.c \
	tests/unit/namenode/node_group.c tests/unit/namenode/node_group.h
tests_unit_namenode_test_node_format_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_node_format_LDADD = libnamenode.la $(CMOCKA_LIBS)
# ---- end of mixed versions ----

check_PROGRAMS += tests/unit/namenode/test_node_replay
TESTS += tests/unit/namenode/test_node_replay
tests_unit_namenode_test_node_replay_SOURCES = tests/unit/namenode/test_node_replay.c \
	tests/unit/namenode/node_group.c tests/unit/namenode/node_group.h
tests_unit_namenode_test_node_replay_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_node_replay_LDADD = libnamenode.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/namenode/test_snapshot
TESTS += tests/unit/namenode/test_snapshot
tests_unit_namenode_test_snapshot_SOURCES = tests/unit/namenode/test_snapshot.c \
	tests/unit/namenode/node_group.c tests/unit/namenode/node_group.h
tests_unit_namenode_test_snapshot_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_snapshot_LDADD = libnamenode.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/namenode/test_node_scrub
TESTS += tests/unit/namenode/test_node_scrub
tests_unit_namenode_test_node_scrub_SOURCES = tests/unit/namenode/test_node_scrub.c \
	tests/unit/namenode/node_group.c tests/unit/namenode/node_group.h
tests_unit_namenode_test_node_scrub_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_node_scrub_LDADD = libnamenode.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/namenode/test_node_ids
TESTS += tests/unit/namenode/test_node_ids
tests_unit_namenode_test_node_ids_SOURCES = tests/unit/namenode/test_node_ids.c \
	tests/unit/namenode/node_group.c tests/unit/namenode/node_group.h
tests_unit_namenode_test_node_ids_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_node_ids_LDADD = libnamenode.la $(CMOCKA_LIBS)

# The tests of the services share a cluster of namenodes and fake datanodes.
check_LTLIBRARIES += tests/unit/namenode/libsvccluster.la
tests_unit_namenode_libsvccluster_la_SOURCES = tests/unit/namenode/svc_cluster.c \
	tests/unit/namenode/svc_cluster.h tests/unit/namenode/node_group.c \
	tests/unit/namenode/node_group.h
tests_unit_namenode_libsvccluster_la_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_libsvccluster_la_LIBADD = libnamenode.la $(CMOCKA_LIBS)

# ---- backup ----
check_PROGRAMS += tests/unit/namenode/test_restore
TESTS += tests/unit/namenode/test_restore
tests_unit_namenode_test_restore_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_restore_LDADD = tests/unit/namenode/libfsmfixture.la libnamenode.la

check_PROGRAMS += tests/unit/namenode/test_pg_survey
TESTS += tests/unit/namenode/test_pg_survey
tests_unit_namenode_test_pg_survey_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_pg_survey_LDADD = libnamenode.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/namenode/test_svc_fsck
TESTS += tests/unit/namenode/test_svc_fsck
tests_unit_namenode_test_svc_fsck_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_svc_fsck_LDADD = tests/unit/namenode/libsvccluster.la

check_PROGRAMS += tests/unit/namenode/test_svc_backup
TESTS += tests/unit/namenode/test_svc_backup
tests_unit_namenode_test_svc_backup_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_svc_backup_LDADD = tests/unit/namenode/libsvccluster.la
# ---- end of backup ----

check_PROGRAMS += tests/unit/namenode/test_svc_datanode
TESTS += tests/unit/namenode/test_svc_datanode
tests_unit_namenode_test_svc_datanode_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_svc_datanode_LDADD = tests/unit/namenode/libsvccluster.la

check_PROGRAMS += tests/unit/namenode/test_svc_target
TESTS += tests/unit/namenode/test_svc_target
tests_unit_namenode_test_svc_target_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_svc_target_LDADD = tests/unit/namenode/libsvccluster.la

check_PROGRAMS += tests/unit/namenode/test_svc_meta
TESTS += tests/unit/namenode/test_svc_meta
tests_unit_namenode_test_svc_meta_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_svc_meta_LDADD = tests/unit/namenode/libsvccluster.la

check_PROGRAMS += tests/unit/namenode/test_svc_reaper
TESTS += tests/unit/namenode/test_svc_reaper
tests_unit_namenode_test_svc_reaper_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_svc_reaper_LDADD = tests/unit/namenode/libsvccluster.la

check_PROGRAMS += tests/unit/namenode/test_svc_session
TESTS += tests/unit/namenode/test_svc_session
tests_unit_namenode_test_svc_session_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_svc_session_LDADD = tests/unit/namenode/libsvccluster.la

check_PROGRAMS += tests/unit/namenode/test_node_conf
TESTS += tests/unit/namenode/test_node_conf
tests_unit_namenode_test_node_conf_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_node_conf_LDADD = libnamenode.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/namenode/test_log_keep
TESTS += tests/unit/namenode/test_log_keep
tests_unit_namenode_test_log_keep_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_log_keep_LDADD = libnamenode.la $(CMOCKA_LIBS)

LOG_FIXTURE_SOURCES = tests/unit/namenode/log_fixture.c tests/unit/namenode/log_fixture.h
check_PROGRAMS += tests/unit/namenode/test_raft_log
TESTS += tests/unit/namenode/test_raft_log
tests_unit_namenode_test_raft_log_SOURCES = tests/unit/namenode/test_raft_log.c $(LOG_FIXTURE_SOURCES)
tests_unit_namenode_test_raft_log_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_raft_log_LDADD = libraftlog.la libraft.la libcommon.la $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/namenode/test_raft_log_crash
TESTS += tests/unit/namenode/test_raft_log_crash
tests_unit_namenode_test_raft_log_crash_SOURCES = tests/unit/namenode/test_raft_log_crash.c \
	$(LOG_FIXTURE_SOURCES)
tests_unit_namenode_test_raft_log_crash_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_raft_log_crash_LDADD = libraftlog.la libraft.la libcommon.la $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/namenode/test_raft_log_again
TESTS += tests/unit/namenode/test_raft_log_again
tests_unit_namenode_test_raft_log_again_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_raft_log_again_LDADD = libraftlog.la libraft.la libcommon.la $(CMOCKA_LIBS)

# ---- raft ----
# The stories of the core share replicas that are moved by hand.
check_LTLIBRARIES += tests/unit/raft/libraftgroup.la
tests_unit_raft_libraftgroup_la_SOURCES = tests/unit/raft/group.c tests/unit/raft/group.h
tests_unit_raft_libraftgroup_la_CFLAGS = $(TEST_CFLAGS)
tests_unit_raft_libraftgroup_la_LIBADD = libraft.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/raft/test_election
TESTS += tests/unit/raft/test_election
tests_unit_raft_test_election_CFLAGS = $(TEST_CFLAGS)
tests_unit_raft_test_election_LDADD = tests/unit/raft/libraftgroup.la

check_PROGRAMS += tests/unit/raft/test_entries
TESTS += tests/unit/raft/test_entries
tests_unit_raft_test_entries_CFLAGS = $(TEST_CFLAGS)
tests_unit_raft_test_entries_LDADD = tests/unit/raft/libraftgroup.la

check_PROGRAMS += tests/unit/raft/test_members
TESTS += tests/unit/raft/test_members
tests_unit_raft_test_members_CFLAGS = $(TEST_CFLAGS)
tests_unit_raft_test_members_LDADD = tests/unit/raft/libraftgroup.la

check_PROGRAMS += tests/unit/raft/test_msg
TESTS += tests/unit/raft/test_msg
tests_unit_raft_test_msg_CFLAGS = $(TEST_CFLAGS)
tests_unit_raft_test_msg_LDADD = tests/unit/raft/libraftgroup.la

check_PROGRAMS += tests/unit/raft/test_read
TESTS += tests/unit/raft/test_read
tests_unit_raft_test_read_CFLAGS = $(TEST_CFLAGS)
tests_unit_raft_test_read_LDADD = tests/unit/raft/libraftgroup.la

check_PROGRAMS += tests/unit/raft/test_replicate
TESTS += tests/unit/raft/test_replicate
tests_unit_raft_test_replicate_CFLAGS = $(TEST_CFLAGS)
tests_unit_raft_test_replicate_LDADD = tests/unit/raft/libraftgroup.la

check_PROGRAMS += tests/unit/raft/test_snapshot
TESTS += tests/unit/raft/test_snapshot
tests_unit_raft_test_snapshot_CFLAGS = $(TEST_CFLAGS)
tests_unit_raft_test_snapshot_LDADD = tests/unit/raft/libraftgroup.la
# ---- end of raft ----

noinst_HEADERS += tests/unit/rpc/scratch.h tests/unit/rpc/pair.h

check_PROGRAMS += tests/unit/rpc/test_role
TESTS += tests/unit/rpc/test_role
tests_unit_rpc_test_role_CFLAGS = $(TEST_CFLAGS)
tests_unit_rpc_test_role_LDADD = librpc.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/rpc/test_conn
TESTS += tests/unit/rpc/test_conn
tests_unit_rpc_test_conn_SOURCES = tests/unit/rpc/test_conn.c tests/unit/rpc/pair.c
tests_unit_rpc_test_conn_CFLAGS = $(TEST_CFLAGS)
tests_unit_rpc_test_conn_LDADD = librpc.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/rpc/test_frame
TESTS += tests/unit/rpc/test_frame
tests_unit_rpc_test_frame_CFLAGS = $(TEST_CFLAGS)
tests_unit_rpc_test_frame_LDADD = librpc.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/rpc/test_msg
TESTS += tests/unit/rpc/test_msg
tests_unit_rpc_test_msg_CFLAGS = $(TEST_CFLAGS)
tests_unit_rpc_test_msg_LDADD = librpc.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/rpc/test_pki
TESTS += tests/unit/rpc/test_pki
tests_unit_rpc_test_pki_CFLAGS = $(TEST_CFLAGS)
tests_unit_rpc_test_pki_LDADD = librpc.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/rpc/test_server
TESTS += tests/unit/rpc/test_server
tests_unit_rpc_test_server_SOURCES = tests/unit/rpc/test_server.c tests/unit/rpc/pair.c
tests_unit_rpc_test_server_CFLAGS = $(TEST_CFLAGS)
tests_unit_rpc_test_server_LDADD = librpc.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/rpc/test_token
TESTS += tests/unit/rpc/test_token
tests_unit_rpc_test_token_CFLAGS = $(TEST_CFLAGS)
tests_unit_rpc_test_token_LDADD = librpc.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/namenode/test_space_view
TESTS += tests/unit/namenode/test_space_view
tests_unit_namenode_test_space_view_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_space_view_LDADD = libnamenode.la $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/namenode/test_sessions
TESTS += tests/unit/namenode/test_sessions
tests_unit_namenode_test_sessions_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_sessions_LDADD = libnamenode.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/namenode/test_datanodes
TESTS += tests/unit/namenode/test_datanodes
tests_unit_namenode_test_datanodes_CFLAGS = $(TEST_CFLAGS)
tests_unit_namenode_test_datanodes_LDADD = libnamenode.la $(CMOCKA_LIBS)

# ---- shell ----
check_PROGRAMS += tests/unit/shell/test_find
TESTS += tests/unit/shell/test_find
tests_unit_shell_test_find_CFLAGS = $(TEST_CFLAGS)
tests_unit_shell_test_find_LDADD = libshell.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/shell/test_format
TESTS += tests/unit/shell/test_format
tests_unit_shell_test_format_CFLAGS = $(TEST_CFLAGS)
tests_unit_shell_test_format_LDADD = libshell.la $(CMOCKA_LIBS) $(JANSSON_LIBS)

check_PROGRAMS += tests/unit/shell/test_mode
TESTS += tests/unit/shell/test_mode
tests_unit_shell_test_mode_CFLAGS = $(TEST_CFLAGS)
tests_unit_shell_test_mode_LDADD = libshell.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/shell/test_namenodes
TESTS += tests/unit/shell/test_namenodes
tests_unit_shell_test_namenodes_CFLAGS = $(TEST_CFLAGS)
tests_unit_shell_test_namenodes_LDADD = libshell.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/shell/test_replicas
TESTS += tests/unit/shell/test_replicas
tests_unit_shell_test_replicas_CFLAGS = $(TEST_CFLAGS)
tests_unit_shell_test_replicas_LDADD = libshell.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/shell/test_summary
TESTS += tests/unit/shell/test_summary
tests_unit_shell_test_summary_CFLAGS = $(TEST_CFLAGS)
tests_unit_shell_test_summary_LDADD = libshell.la $(CMOCKA_LIBS) $(JANSSON_LIBS)

check_PROGRAMS += tests/unit/shell/test_copy
TESTS += tests/unit/shell/test_copy
tests_unit_shell_test_copy_CFLAGS = $(TEST_CFLAGS)
tests_unit_shell_test_copy_LDADD = libshell.la $(CMOCKA_LIBS)
# ---- end of shell ----

# ---- fuse ----
check_PROGRAMS += tests/unit/fuse/test_signals
TESTS += tests/unit/fuse/test_signals
tests_unit_fuse_test_signals_CFLAGS = $(TEST_CFLAGS)
tests_unit_fuse_test_signals_LDADD = libfuse_core.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/fuse/test_init_answer
TESTS += tests/unit/fuse/test_init_answer
tests_unit_fuse_test_init_answer_CFLAGS = $(TEST_CFLAGS)
tests_unit_fuse_test_init_answer_LDADD = libfuse_core.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/fuse/test_mount_conf
TESTS += tests/unit/fuse/test_mount_conf
tests_unit_fuse_test_mount_conf_CFLAGS = $(TEST_CFLAGS)
tests_unit_fuse_test_mount_conf_LDADD = libfuse_core.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/fuse/test_removed
TESTS += tests/unit/fuse/test_removed
tests_unit_fuse_test_removed_CFLAGS = $(TEST_CFLAGS)
tests_unit_fuse_test_removed_LDADD = libfuse_core.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/fuse/test_dir_list
TESTS += tests/unit/fuse/test_dir_list
tests_unit_fuse_test_dir_list_CFLAGS = $(TEST_CFLAGS)
tests_unit_fuse_test_dir_list_LDADD = libfuse_core.la $(CMOCKA_LIBS)
# ---- end of fuse ----

# ---- man ----
TESTS += tests/man.sh
EXTRA_DIST += tests/man.sh
# ---- end of man ----
