# What fuse/ builds: the mount program, and its second name for mount(8).
sbin_PROGRAMS += dfs-fuse
# What decides without libfuse, for the tests to have.
noinst_LTLIBRARIES += libfuse_core.la
libfuse_core_la_SOURCES = fuse/dir_list.c fuse/dir_list.h fuse/init_answer.c fuse/init_answer.h fuse/mount_conf.c fuse/mount_conf.h \
	fuse/removed.c fuse/removed.h fuse/signals.c fuse/signals.h
libfuse_core_la_LIBADD = libdfs_core.la
dfs_fuse_SOURCES = fuse/counters.c fuse/counters.h fuse/interrupt.c fuse/interrupt.h fuse/main.c \
	fuse/mount.c fuse/mount.h \
	fuse/ops_dir.c fuse/ops_flush.c fuse/ops_io.c fuse/ops_meta.c fuse/ops_xattr.c \
	fuse/transport.c fuse/transport.h
EXTRA_DIST += fuse/README.md
dfs_fuse_LDADD = libfuse_core.la $(FUSE_LIBS)

# mount(8) runs mount.dfs for `mount -t dfs` and for fstab, and mount.fuse.dfs, the type as the kernel
# has it, to remount what is mounted.
install-exec-hook:
	$(MKDIR_P) $(DESTDIR)$(mounthelperdir)
	cd $(DESTDIR)$(mounthelperdir) && rm -f mount.dfs mount.fuse.dfs && \
		$(LN_S) $(sbindir)/dfs-fuse mount.dfs && $(LN_S) mount.dfs mount.fuse.dfs
install-data-hook:
	cd $(DESTDIR)$(man8dir) && rm -f mount.dfs.8 && $(LN_S) dfs-fuse.8 mount.dfs.8
uninstall-hook:
	rm -f $(DESTDIR)$(mounthelperdir)/mount.dfs $(DESTDIR)$(mounthelperdir)/mount.fuse.dfs \
		$(DESTDIR)$(man8dir)/mount.dfs.8
