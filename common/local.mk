# What common/ builds: the convenience library that every other part links.
noinst_LTLIBRARIES += libcommon.la
libcommon_la_SOURCES = \
	common/args.h \
	common/buf.h \
	common/bytes.h \
	common/clock.h \
	common/compiler.h \
	common/conf.h \
	common/crc32c.h \
	common/daemon.h \
	common/error.h \
	common/hash.h \
	common/http.h \
	common/ids.h common/limits.h \
	common/log.h \
	common/loop.h \
	common/mem.h \
	common/metrics.h \
	common/rng.h \
	common/slab.h \
	common/strutil.h \
	common/uuid.h \
	common/version.c \
	common/vfs.h \
	common/vfs_fake.h \
	common/worker.h
libcommon_la_LIBADD = $(UV_LIBS) $(ISAL_LIBS) $(XXHASH_LIBS) $(MICROHTTPD_LIBS) $(INIH_LIBS)
