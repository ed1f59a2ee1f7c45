# What datanode/ builds.
noinst_LTLIBRARIES += libdatanode.la
CHAIN_SOURCES = \
	datanode/chain.c datanode/chain.h datanode/chain_private.h datanode/chain_mutant.h \
	datanode/chain_adopt.c datanode/chain_link.c datanode/chain_join.c \
	datanode/chain_config.c datanode/chain_config.h datanode/chain_dedup.c \
	datanode/chain_dedup.h datanode/chain_window.c datanode/chain_window.h \
	datanode/chain_op.c datanode/chain_op.h datanode/join.c datanode/join.h
libdatanode_la_SOURCES = $(CHAIN_SOURCES)
