# What fuse/ builds: the mount program, and its second name for mount(8).
sbin_PROGRAMS += dfs-fuse
noinst_LTLIBRARIES += libfusesignals.la
libfusesignals_la_SOURCES = fuse/signals.c fuse/signals.h
dfs_fuse_SOURCES = fuse/counters.c fuse/counters.h fuse/interrupt.c fuse/interrupt.h fuse/main.c \
	fuse/mount.c fuse/mount.h fuse/mount_conf.c fuse/mount_conf.h \
	fuse/ops_dir.c fuse/ops_flush.c fuse/ops_io.c fuse/ops_meta.c fuse/ops_xattr.c \
	fuse/removed.c fuse/removed.h \
	fuse/transport.c fuse/transport.h
dfs_fuse_LDADD = libfusesignals.la libdfs_core.la librpc.la libcommon.la $(FUSE_LIBS)

install-exec-hook:
	cd $(DESTDIR)$(sbindir) && rm -f mount.dfs && $(LN_S) dfs-fuse mount.dfs
uninstall-hook:
	rm -f $(DESTDIR)$(sbindir)/mount.dfs
