# What namenode/ builds.

# The metadata state machine.
noinst_HEADERS += namenode/fsm.h namenode/kv.h namenode/kv_mem.h namenode/kv_rocks.h namenode/records.h
