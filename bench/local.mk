# What bench/ builds.

noinst_PROGRAMS += bench/rpc_bench
bench_rpc_bench_LDADD = librpc.la
