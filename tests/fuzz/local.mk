# What tests/fuzz/ builds.
# Each target fuzz_NAME: linked with libFuzzer by --with-fuzzing, else with a main() that replays
# tests/fuzz/corpus/NAME.
EXTRA_DIST += tests/fuzz/corpus tests/fuzz/README.md
noinst_HEADERS += tests/fuzz/target.h
FUZZ_TARGETS =
if FUZZING
FUZZ_MAIN =
else
FUZZ_MAIN = tests/fuzz/replay_main.c
TESTS += $(FUZZ_TARGETS)
endif

check_PROGRAMS += tests/fuzz/fuzz_backup
FUZZ_TARGETS += tests/fuzz/fuzz_backup
tests_fuzz_fuzz_backup_SOURCES = tests/fuzz/fuzz_backup.c $(FUZZ_MAIN)
tests_fuzz_fuzz_backup_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_backup_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_backup_LDADD = libbackup.la

check_PROGRAMS += tests/fuzz/fuzz_batch
FUZZ_TARGETS += tests/fuzz/fuzz_batch
tests_fuzz_fuzz_batch_SOURCES = tests/fuzz/fuzz_batch.c $(FUZZ_MAIN)
tests_fuzz_fuzz_batch_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_batch_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_batch_LDADD = libfsm.la

check_PROGRAMS += tests/fuzz/fuzz_chunk_header
FUZZ_TARGETS += tests/fuzz/fuzz_chunk_header
tests_fuzz_fuzz_chunk_header_SOURCES = tests/fuzz/fuzz_chunk_header.c $(FUZZ_MAIN)
tests_fuzz_fuzz_chunk_header_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_chunk_header_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_chunk_header_LDADD = libdatanode.la

check_PROGRAMS += tests/fuzz/fuzz_ctab
FUZZ_TARGETS += tests/fuzz/fuzz_ctab
tests_fuzz_fuzz_ctab_SOURCES = tests/fuzz/fuzz_ctab.c $(FUZZ_MAIN)
tests_fuzz_fuzz_ctab_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_ctab_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_ctab_LDADD = libdatanode.la

check_PROGRAMS += tests/fuzz/fuzz_conf
FUZZ_TARGETS += tests/fuzz/fuzz_conf
tests_fuzz_fuzz_conf_SOURCES = tests/fuzz/fuzz_conf.c $(FUZZ_MAIN)
tests_fuzz_fuzz_conf_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_conf_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_conf_LDADD = libcommon.la

check_PROGRAMS += tests/fuzz/fuzz_conn
FUZZ_TARGETS += tests/fuzz/fuzz_conn
tests_fuzz_fuzz_conn_SOURCES = tests/fuzz/fuzz_conn.c $(FUZZ_MAIN)
tests_fuzz_fuzz_conn_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_conn_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_conn_LDADD = librpc.la

check_PROGRAMS += tests/fuzz/fuzz_data_dir
FUZZ_TARGETS += tests/fuzz/fuzz_data_dir
tests_fuzz_fuzz_data_dir_SOURCES = tests/fuzz/fuzz_data_dir.c $(FUZZ_MAIN)
tests_fuzz_fuzz_data_dir_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_data_dir_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_data_dir_LDADD = libnamenode.la

check_PROGRAMS += tests/fuzz/fuzz_frame
FUZZ_TARGETS += tests/fuzz/fuzz_frame
tests_fuzz_fuzz_frame_SOURCES = tests/fuzz/fuzz_frame.c $(FUZZ_MAIN)
tests_fuzz_fuzz_frame_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_frame_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_frame_LDADD = librpc.la

check_PROGRAMS += tests/fuzz/fuzz_fsm_read
FUZZ_TARGETS += tests/fuzz/fuzz_fsm_read
tests_fuzz_fuzz_fsm_read_SOURCES = tests/fuzz/fuzz_fsm_read.c $(FUZZ_MAIN)
tests_fuzz_fuzz_fsm_read_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_fsm_read_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_fsm_read_LDADD = libfsm.la

check_PROGRAMS += tests/fuzz/fuzz_raft_log
FUZZ_TARGETS += tests/fuzz/fuzz_raft_log
tests_fuzz_fuzz_raft_log_SOURCES = tests/fuzz/fuzz_raft_log.c $(FUZZ_MAIN)
tests_fuzz_fuzz_raft_log_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_raft_log_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_raft_log_LDADD = libraftlog.la libraft.la libcommon.la

check_PROGRAMS += tests/fuzz/fuzz_raft_msg
FUZZ_TARGETS += tests/fuzz/fuzz_raft_msg
tests_fuzz_fuzz_raft_msg_SOURCES = tests/fuzz/fuzz_raft_msg.c $(FUZZ_MAIN)
tests_fuzz_fuzz_raft_msg_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_raft_msg_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_raft_msg_LDADD = libraft.la

check_PROGRAMS += tests/fuzz/fuzz_records
FUZZ_TARGETS += tests/fuzz/fuzz_records
tests_fuzz_fuzz_records_SOURCES = tests/fuzz/fuzz_records.c $(FUZZ_MAIN)
tests_fuzz_fuzz_records_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_records_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_records_LDADD = libfsm.la

check_PROGRAMS += tests/fuzz/fuzz_snap
FUZZ_TARGETS += tests/fuzz/fuzz_snap
tests_fuzz_fuzz_snap_SOURCES = tests/fuzz/fuzz_snap.c $(FUZZ_MAIN)
tests_fuzz_fuzz_snap_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_snap_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_snap_LDADD = libnamenode.la

check_PROGRAMS += tests/fuzz/fuzz_wire
FUZZ_TARGETS += tests/fuzz/fuzz_wire
tests_fuzz_fuzz_wire_SOURCES = tests/fuzz/fuzz_wire.c $(FUZZ_MAIN)
tests_fuzz_fuzz_wire_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_wire_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_wire_LDADD = libdnservice.la

if FUZZING
# make fuzz: each target for FUZZ_SECONDS, from the corpus on. A finding ends it and is left in
# fuzz-findings/; with its fix it joins the corpus, where every make check replays it.
FUZZ_SECONDS = 60
fuzz: $(FUZZ_TARGETS)
	@for target in $(FUZZ_TARGETS); do \
	    name=$${target##*/fuzz_}; \
	    $(MKDIR_P) fuzz-findings/corpus/$$name || exit 1; \
	    echo "== $$name: $(FUZZ_SECONDS) s"; \
	    $$target -max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1 -verbosity=0 \
	        -artifact_prefix=fuzz-findings/$$name- fuzz-findings/corpus/$$name \
	        $(srcdir)/tests/fuzz/corpus/$$name || exit 1; \
	done
clean-local:
	rm -rf fuzz-findings
else
fuzz:
	@echo "make fuzz needs ./configure --with-fuzzing" >&2; exit 1
endif
