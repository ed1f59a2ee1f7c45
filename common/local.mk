# What common/ builds: the convenience library that every other part links.
noinst_LTLIBRARIES += libcommon.la
libcommon_la_SOURCES = \
	common/args.c common/args.h \
	common/buf.c common/buf.h \
	common/bytes.h \
	common/clock.c common/clock.h \
	common/compiler.h \
	common/conf.c common/conf.h \
	common/crc32c.c common/crc32c.h \
	common/daemon.c common/daemon.h \
	common/error.c common/error.h \
	common/hash.c common/hash.h \
	common/http.c common/http.h \
	common/ids.h common/limits.h \
	common/latency.c common/latency.h \
	common/log.c common/log.h \
	common/loop.c common/loop.h \
	common/mem.c common/mem.h \
	common/metrics.c common/metrics.h \
	common/mount_ioctl.h \
	common/rng.c common/rng.h \
	common/slab.c common/slab.h \
	common/strutil.c common/strutil.h \
	common/uuid.c common/uuid.h \
	common/version.c \
	common/vfs.c common/vfs.h common/vfs_posix.c \
	common/vfs_fake.c common/vfs_fake.h common/vfs_fake_image.c common/vfs_fake_image.h common/vfs_fake_tree.c common/vfs_fake_tree.h \
	common/worker.c common/worker.h

# Backups: apart, because only those who handle them need a JSON library.
noinst_LTLIBRARIES += libbackup.la
libbackup_la_SOURCES = common/backup_file.c common/backup_file.h
libbackup_la_LIBADD = libcommon.la $(JANSSON_LIBS)
EXTRA_DIST += common/README.md
libcommon_la_LIBADD = $(UV_LIBS) $(ISAL_LIBS) $(XXHASH_LIBS) $(MICROHTTPD_LIBS) $(INIH_LIBS)
