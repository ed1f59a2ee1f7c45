/*
 * Data tokens: how a client proves to a datanode, on a plain data connection, that the namenode
 * opened its session. HMAC-SHA256(data_key, "session" | session id, little-endian). The key is made
 * at cluster init, kept in the Raft state and told to datanodes over TLS only.
 */
#ifndef RPC_TOKEN_H
#define RPC_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TOKEN_BYTES = 32, TOKEN_KEY_BYTES = 32 };

/* Fails with -EINVAL for an empty key, -EIO when OpenSSL can't (no SHA-256 in this provider). */
int token_make(const void *key, size_t key_len, uint64_t session, uint8_t ret_token[TOKEN_BYTES]);

/* In constant time. False also for a token of the wrong length and an empty key. */
bool token_check(const void *key, size_t key_len, uint64_t session, const void *token,
                 size_t token_len);

#endif
