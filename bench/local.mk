# What bench/ builds.

noinst_PROGRAMS += bench/rpc_bench
bench_rpc_bench_LDADD = librpc.la

noinst_PROGRAMS += bench/store_bench
bench_store_bench_LDADD = libdatanode.la

noinst_PROGRAMS += bench/tree_bench
bench_tree_bench_LDADD = libdfs.la libcommon.la

noinst_PROGRAMS += bench/io_bench
noinst_PROGRAMS += bench/meta_load

EXTRA_DIST += bench/run bench/failover bench/rmtree bench/README.md
