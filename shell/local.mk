# What shell/ builds: the `dfs` command. All but main() is in a library, for the tests.
noinst_LTLIBRARIES += libshell.la
libshell_la_SOURCES = shell/command.h \
	shell/admin.c shell/admin.h \
	shell/backup_fetch.c shell/backup_fetch.h \
	shell/client.c shell/client.h \
	shell/cluster.h shell/cluster_check.c shell/cluster_files.c shell/cluster_proc.c \
	shell/cluster_replace.c shell/cluster_state.c \
	shell/cmd_attr.c shell/cmd_backup.c shell/cmd_cluster.c shell/cmd_copy.c shell/cmd_datanode.c shell/cmd_du.c \
	shell/cmd_find.c \
	shell/cmd_fsck.c shell/cmd_ls.c shell/cmd_mount.c shell/cmd_namenode.c shell/cmd_names.c \
	shell/cmd_pki.c shell/cmd_quota.c \
	shell/cmd_report.c shell/cmd_rm.c shell/cmd_setrep.c shell/cmd_tree.c shell/cmd_why.c \
	shell/copy.c shell/copy.h \
	shell/find.c shell/find.h \
	shell/format.c shell/format.h \
	shell/fsck_files.c shell/fsck_files.h \
	shell/fsck_names.c shell/fsck_names.h \
	shell/interrupts.c shell/interrupts.h \
	shell/listing.c shell/listing.h \
	shell/mode.c shell/mode.h \
	shell/namenodes.c shell/namenodes.h \
	shell/place.h shell/place_dfs.c shell/place_local.c \
	shell/pool.c shell/pool.h \
	shell/progress.c shell/progress.h \
	shell/replicas.c shell/replicas.h \
	shell/recopy.c shell/recopy.h \
	shell/report.c shell/report.h \
	shell/summary.c shell/summary.h \
	shell/walk.c shell/walk.h
libshell_la_LIBADD = libbackup.la libdfs_core.la

bin_PROGRAMS += dfs
dfs_SOURCES = shell/main.c
dfs_LDADD = libshell.la
EXTRA_DIST += shell/README.md
