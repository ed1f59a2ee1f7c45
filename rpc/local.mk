# What rpc/ builds: the generated messages and librpc.
PROTOS = rpc/meta.proto rpc/chunk.proto rpc/node.proto
PROTO_GENERATED_C = rpc/meta.pb-c.c rpc/chunk.pb-c.c rpc/node.pb-c.c
PROTO_GENERATED_H = rpc/meta.pb-c.h rpc/chunk.pb-c.h rpc/node.pb-c.h
EXTRA_DIST += $(PROTOS)
BUILT_SOURCES += $(PROTO_GENERATED_H)
CLEANFILES += $(PROTO_GENERATED_C) $(PROTO_GENERATED_H)

rpc/%.pb-c.c rpc/%.pb-c.h: $(top_srcdir)/rpc/%.proto
	$(AM_V_GEN)$(MKDIR_P) rpc && $(PROTOC_C) -I$(top_srcdir) --c_out=. $<

# Generated code goes without our warnings.
noinst_LTLIBRARIES += libproto.la
nodist_libproto_la_SOURCES = $(PROTO_GENERATED_C)
libproto_la_CFLAGS = $(BASE_CFLAGS)
libproto_la_LIBADD = $(PROTOBUF_C_LIBS)
