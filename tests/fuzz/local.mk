# What tests/fuzz/ builds.
# Each target fuzz_NAME: linked with libFuzzer by --with-fuzzing, else with a main() that replays
# tests/fuzz/corpus/NAME.
EXTRA_DIST += tests/fuzz/corpus
noinst_HEADERS += tests/fuzz/target.h
if FUZZING
FUZZ_MAIN =
else
FUZZ_MAIN = tests/fuzz/replay_main.c
endif

check_PROGRAMS += tests/fuzz/fuzz_batch
TESTS += tests/fuzz/fuzz_batch
tests_fuzz_fuzz_batch_SOURCES = tests/fuzz/fuzz_batch.c $(FUZZ_MAIN)
tests_fuzz_fuzz_batch_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_batch_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_batch_LDADD = libfsm.la

check_PROGRAMS += tests/fuzz/fuzz_chunk_header
TESTS += tests/fuzz/fuzz_chunk_header
tests_fuzz_fuzz_chunk_header_SOURCES = tests/fuzz/fuzz_chunk_header.c $(FUZZ_MAIN)
tests_fuzz_fuzz_chunk_header_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_chunk_header_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_chunk_header_LDADD = libdatanode.la

check_PROGRAMS += tests/fuzz/fuzz_ctab
TESTS += tests/fuzz/fuzz_ctab
tests_fuzz_fuzz_ctab_SOURCES = tests/fuzz/fuzz_ctab.c $(FUZZ_MAIN)
tests_fuzz_fuzz_ctab_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_ctab_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_ctab_LDADD = libdatanode.la

check_PROGRAMS += tests/fuzz/fuzz_conf
TESTS += tests/fuzz/fuzz_conf
tests_fuzz_fuzz_conf_SOURCES = tests/fuzz/fuzz_conf.c $(FUZZ_MAIN)
tests_fuzz_fuzz_conf_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_conf_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_conf_LDADD = libcommon.la

check_PROGRAMS += tests/fuzz/fuzz_conn
TESTS += tests/fuzz/fuzz_conn
tests_fuzz_fuzz_conn_SOURCES = tests/fuzz/fuzz_conn.c $(FUZZ_MAIN)
tests_fuzz_fuzz_conn_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_conn_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_conn_LDADD = librpc.la

check_PROGRAMS += tests/fuzz/fuzz_frame
TESTS += tests/fuzz/fuzz_frame
tests_fuzz_fuzz_frame_SOURCES = tests/fuzz/fuzz_frame.c $(FUZZ_MAIN)
tests_fuzz_fuzz_frame_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_frame_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_frame_LDADD = librpc.la

check_PROGRAMS += tests/fuzz/fuzz_raft_log
TESTS += tests/fuzz/fuzz_raft_log
tests_fuzz_fuzz_raft_log_SOURCES = tests/fuzz/fuzz_raft_log.c $(FUZZ_MAIN)
tests_fuzz_fuzz_raft_log_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_raft_log_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_raft_log_LDADD = libraftlog.la libraft.la libcommon.la

check_PROGRAMS += tests/fuzz/fuzz_raft_msg
TESTS += tests/fuzz/fuzz_raft_msg
tests_fuzz_fuzz_raft_msg_SOURCES = tests/fuzz/fuzz_raft_msg.c $(FUZZ_MAIN)
tests_fuzz_fuzz_raft_msg_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_raft_msg_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_raft_msg_LDADD = libraft.la

check_PROGRAMS += tests/fuzz/fuzz_records
TESTS += tests/fuzz/fuzz_records
tests_fuzz_fuzz_records_SOURCES = tests/fuzz/fuzz_records.c $(FUZZ_MAIN)
tests_fuzz_fuzz_records_CFLAGS = $(TEST_CFLAGS)
tests_fuzz_fuzz_records_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_records_LDADD = libfsm.la
