# What common/ builds: the convenience library that every other part links.
noinst_LTLIBRARIES += libcommon.la
libcommon_la_SOURCES = common/compiler.h common/version.c
libcommon_la_LIBADD = $(UV_LIBS) $(ISAL_LIBS) $(XXHASH_LIBS) $(MICROHTTPD_LIBS) $(INIH_LIBS)
