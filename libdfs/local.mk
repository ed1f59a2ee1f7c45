# What libdfs/ builds.
noinst_LTLIBRARIES += libdfs_core.la
libdfs_core_la_SOURCES = \
	libdfs/blocking.c libdfs/blocking.h libdfs/blocking_file.c libdfs/dfs.h libdfs/dfs_ll.h libdfs/path.c \
	libdfs/chunk_op.c libdfs/chunk_read.c \
	libdfs/data.c \
	libdfs/dirty.c libdfs/dirty.h \
	libdfs/dn.c libdfs/dn.h libdfs/dn_internal.h \
	libdfs/errseq.h \
	libdfs/extent.c libdfs/extent.h \
	libdfs/fallocate.c libdfs/file.c libdfs/file.h libdfs/hedge.c libdfs/hedge.h \
	libdfs/inode.c libdfs/inode.h \
	libdfs/layout.c libdfs/layout.h \
	libdfs/ll.c libdfs/ll_internal.h \
	libdfs/nn.c libdfs/nn.h libdfs/nn_impl.h libdfs/nn_seek.c \
	libdfs/pgmap.c libdfs/pgmap.h \
	libdfs/publish.c libdfs/writeback.c libdfs/writeback.h \
	libdfs/read.c libdfs/read.h \
	libdfs/readahead.c libdfs/readahead.h \
	libdfs/removal.c libdfs/removal.h libdfs/remove_tree.c \
	libdfs/report.c \
	libdfs/truncate.c libdfs/truncate.h \
	libdfs/swap.c libdfs/usage.c \
	libdfs/wire.c
# librpc.la brings libcommon.la: named twice, libdfs.so would hold it twice.
libdfs_core_la_LIBADD = librpc.la $(JANSSON_LIBS)

EXTRA_DIST += libdfs/README.md

# The library for applications: the same objects, with only dfs_*() of dfs.h to be seen.
lib_LTLIBRARIES += libdfs.la
libdfs_la_SOURCES =
libdfs_la_LIBADD = libdfs_core.la
libdfs_la_LDFLAGS = -version-info 0:0:0 -Wl,--version-script=$(top_srcdir)/libdfs/libdfs.map
libdfs_la_DEPENDENCIES = libdfs_core.la libdfs/libdfs.map
include_HEADERS += libdfs/dfs.h
pkgconfig_DATA += libdfs/libdfs.pc
EXTRA_DIST += libdfs/libdfs.map

# The program of dfs(3): linked with the shared library, as an application is.
noinst_PROGRAMS += libdfs/example
libdfs_example_CPPFLAGS = -I$(top_srcdir)/libdfs $(AM_CPPFLAGS)
libdfs_example_LDADD = libdfs.la
