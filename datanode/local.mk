# What datanode/ builds.
EXTRA_DIST += datanode/README.md
noinst_LTLIBRARIES += libdatanode.la
CHAIN_SOURCES = \
	datanode/chain.c datanode/chain.h datanode/chain_private.h datanode/chain_mutant.h \
	datanode/chain_adopt.c datanode/chain_link.c datanode/chain_join.c \
	datanode/chain_config.c datanode/chain_config.h datanode/chain_dedup.c \
	datanode/chain_dedup.h datanode/chain_window.c datanode/chain_window.h \
	datanode/chain_op.c datanode/chain_op.h datanode/join.c datanode/join.h \
	datanode/join_list.c datanode/join_private.h
STORE_SOURCES = \
	datanode/chunk_check.c \
	datanode/chunk_file.c \
	datanode/chunk_file.h \
	datanode/chunk_file_priv.h \
	datanode/chunk_table.c \
	datanode/chunk_table.h \
	datanode/ctab.c \
	datanode/ctab.h \
	datanode/disk.c \
	datanode/disk.h \
	datanode/live.c \
	datanode/store.c \
	datanode/store.h \
	datanode/store_join.c \
	datanode/store_life.c \
	datanode/store_priv.h \
	datanode/store_read.c \
	datanode/store_sync.c \
	datanode/superblock.c \
	datanode/superblock.h \
	datanode/table_log.c \
	datanode/table_log.h \
	datanode/target.c \
	datanode/target_open.c
libdatanode_la_SOURCES = $(CHAIN_SOURCES) $(STORE_SOURCES)
libdatanode_la_LIBADD = libcommon.la

# Around them: connections, the leader, the disk.
noinst_LTLIBRARIES += libdnservice.la
libdnservice_la_SOURCES = datanode/copying.c datanode/copying.h datanode/dn.h datanode/dn_conf.c datanode/dn_conf.h datanode/forward.c \
	datanode/heartbeat.c datanode/holdings.c datanode/inventory.c datanode/joiner.c datanode/lateness.c datanode/pace.c datanode/pace.h datanode/pg.c \
	datanode/read.c datanode/repair.c datanode/scrub.c datanode/scrub.h datanode/service.c datanode/service.h datanode/strays.c \
	datanode/wire.c datanode/wire.h \
	datanode/write.c
libdnservice_la_LIBADD = libdatanode.la librpc.la

sbin_PROGRAMS += dfs-datanode
dfs_datanode_SOURCES = datanode/main.c
dfs_datanode_LDADD = libdnservice.la
