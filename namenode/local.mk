# What namenode/ builds.

# The metadata state machine.
noinst_HEADERS += namenode/fsm.h namenode/kv.h namenode/kv_mem.h namenode/kv_rocks.h namenode/records.h

# Placement groups: who is in a chain.
noinst_LTLIBRARIES += libpgmgr.la
libpgmgr_la_SOURCES = namenode/pg_mgr.c namenode/pg_mgr.h
