# What rpc/ builds: the generated messages and librpc.
PROTOS = rpc/meta.proto rpc/chunk.proto rpc/node.proto
PROTO_GENERATED_C = rpc/meta.pb-c.c rpc/chunk.pb-c.c rpc/node.pb-c.c
PROTO_GENERATED_H = rpc/meta.pb-c.h rpc/chunk.pb-c.h rpc/node.pb-c.h
EXTRA_DIST += $(PROTOS)
BUILT_SOURCES += $(PROTO_GENERATED_H)
CLEANFILES += $(PROTO_GENERATED_C) $(PROTO_GENERATED_H)

# As a system header, so that its ..._INIT macros may be used under our warnings.
rpc/%.pb-c.c rpc/%.pb-c.h: $(top_srcdir)/rpc/%.proto
	$(AM_V_GEN)$(MKDIR_P) rpc && $(PROTOC_C) -I$(top_srcdir) --c_out=. $< && \
	sed -i '1i #pragma GCC system_header' rpc/$*.pb-c.h && touch rpc/$*.pb-c.c

# Generated code goes without our warnings.
noinst_LTLIBRARIES += libproto.la
nodist_libproto_la_SOURCES = $(PROTO_GENERATED_C)
libproto_la_CFLAGS = $(BASE_CFLAGS)
libproto_la_LIBADD = $(PROTOBUF_C_LIBS)

noinst_LTLIBRARIES += librpc.la
librpc_la_SOURCES = rpc/frame.c rpc/frame.h rpc/msg.c rpc/msg.h rpc/conn.c rpc/conn.h \
	rpc/conn_impl.h rpc/conn_in.c rpc/conn_out.c rpc/conn_call.c rpc/server.c rpc/server.h \
	rpc/tls.c rpc/tls.h rpc/tls_impl.h rpc/tls_link.c rpc/tls_link.h rpc/token.c rpc/token.h \
	rpc/pki.c rpc/pki.h rpc/role.c rpc/role.h
librpc_la_LIBADD = libproto.la libcommon.la $(OPENSSL_LIBS)
EXTRA_DIST += rpc/README.md
