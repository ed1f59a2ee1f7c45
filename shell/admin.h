/* One question to a namenode, answered while the caller waits: for operators' commands. */
#ifndef SHELL_ADMIN_H
#define SHELL_ADMIN_H

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

struct admin;
struct client;

/* Certificates as for every client; all NULL: plain (tests). Complains on stderr. */
int admin_new(const char *ca, const char *cert, const char *key, struct admin **ret_admin);
void admin_free(struct admin *a);

/*
 * Asks the server at addr. *ret_reply is unpacked as `type` and freed by
 * protobuf_c_message_free_unpacked(). Codes: what the server answered (DFS_ENOTLEADER...),
 * -ECONNREFUSED, -ETIMEDOUT, -EACCES, ...
 */
int admin_call(struct admin *a, const char *addr, uint16_t msg, const ProtobufCMessage *request,
               const ProtobufCMessageDescriptor *type, unsigned timeout_ms,
               ProtobufCMessage **ret_reply);

/*
 * The same; reply and payload are given to `data` before the call returns. data returns 0, or -errno,
 * which the call returns.
 */
typedef int (*admin_data_fn)(void *ctx, const ProtobufCMessage *reply, const void *data,
                             size_t len);
int admin_call_data(struct admin *a, const char *addr, uint16_t msg,
                    const ProtobufCMessage *request, const ProtobufCMessageDescriptor *type,
                    unsigned timeout_ms, admin_data_fn data, void *ctx);

/* What the server said with the last error; "" when it said nothing. Until the next call. */
const char *admin_error_text(const struct admin *a);

/* The same, to whichever of "host:port,host:port" leads, or to the leader that they name. */
int admin_call_leader(struct admin *a, const char *addrs, uint16_t msg,
                      const ProtobufCMessage *request, const ProtobufCMessageDescriptor *type,
                      unsigned timeout_ms, ProtobufCMessage **ret_reply);

enum { ADMIN_WHY_MAX = 320 };

/*
 * For a command with the client's options: reads the configuration. *ret_addrs are its namenodes,
 * malloc'ed. A negative code comes with a sentence in why.
 */
int admin_open(const struct client *c, struct admin **ret_admin, char **ret_addrs,
               char why[ADMIN_WHY_MAX]);

/*
 * All of it, for a command with the client's options: reads the configuration, asks the leader.
 * A negative code comes with a sentence in why: the server's own where it gave one.
 */
int admin_ask(const struct client *c, uint16_t msg, const ProtobufCMessage *request,
              const ProtobufCMessageDescriptor *type, unsigned timeout_ms,
              ProtobufCMessage **ret_reply, char why[ADMIN_WHY_MAX]);
/* What the program then ends with. */
int admin_exit_code(int r);

#endif
