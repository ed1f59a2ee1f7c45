# What bench/ builds.

noinst_PROGRAMS += bench/rpc_bench
bench_rpc_bench_LDADD = librpc.la

noinst_PROGRAMS += bench/store_bench
bench_store_bench_LDADD = libdatanode.la

noinst_PROGRAMS += bench/tree_bench
bench_tree_bench_LDADD = libdfs.la libcommon.la

noinst_PROGRAMS += bench/io_bench
noinst_PROGRAMS += bench/meta_load

noinst_PROGRAMS += bench/meta_fill
bench_meta_fill_LDADD = libnamenode.la

noinst_PROGRAMS += bench/meta_clients
bench_meta_clients_LDADD = libdfs_core.la libcommon.la

EXTRA_DIST += bench/run bench/failover bench/meta_memory bench/meta_scale bench/repair bench/rmtree bench/README.md
