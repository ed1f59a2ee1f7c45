# What man/ holds.
dist_man_MANS += man/dfs.1 man/dfs.3 man/dfs.conf.5 man/dfs-namenode.8 man/dfs-datanode.8 \
	man/dfs-fuse.8
EXTRA_DIST += man/README.md
