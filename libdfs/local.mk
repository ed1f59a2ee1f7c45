# What libdfs/ builds.
noinst_LTLIBRARIES += libdfs_core.la
libdfs_core_la_SOURCES = \
	libdfs/chunk_op.c libdfs/chunk_read.c \
	libdfs/data.c \
	libdfs/dirty.c libdfs/dirty.h \
	libdfs/dn.c libdfs/dn.h libdfs/dn_internal.h \
	libdfs/errseq.h \
	libdfs/extent.c libdfs/extent.h \
	libdfs/fallocate.c libdfs/file.c libdfs/file.h \
	libdfs/inode.c libdfs/inode.h \
	libdfs/layout.c libdfs/layout.h \
	libdfs/ll.c libdfs/ll_internal.h \
	libdfs/nn.c libdfs/nn.h \
	libdfs/pgmap.c libdfs/pgmap.h \
	libdfs/publish.c libdfs/writeback.c libdfs/writeback.h \
	libdfs/read.c libdfs/read.h \
	libdfs/readahead.c libdfs/readahead.h \
	libdfs/truncate.c libdfs/truncate.h \
	libdfs/wire.c
libdfs_core_la_LIBADD = librpc.la libcommon.la
