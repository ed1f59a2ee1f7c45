# What shell/ builds: the `dfs` command.
bin_PROGRAMS += dfs
dfs_SOURCES = shell/main.c shell/command.h \
	shell/admin.c shell/admin.h \
	shell/cluster.h shell/cluster_files.c shell/cluster_proc.c shell/cluster_state.c \
	shell/cmd_cluster.c \
	shell/cmd_pki.c
dfs_LDADD = librpc.la libcommon.la $(JANSSON_LIBS)
