/* Data tokens by OpenSSL's one-call HMAC. */
#include "rpc/token.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

static const char token_label[] = "session";
enum { LABEL_BYTES = sizeof(token_label) - 1 };

int token_make(const void *key, size_t key_len, uint64_t session, uint8_t ret_token[TOKEN_BYTES])
{
    uint8_t text[LABEL_BYTES + sizeof(uint64_t)];
    uint8_t mac[EVP_MAX_MD_SIZE];
    uint64_t id = htole64(session);
    unsigned mac_len = 0;

    if (key == NULL || key_len == 0 || key_len > INT_MAX)
        return -EINVAL;
    memcpy(text, token_label, LABEL_BYTES);
    memcpy(text + LABEL_BYTES, &id, sizeof(id));
    if (HMAC(EVP_sha256(), key, (int)key_len, text, sizeof(text), mac, &mac_len) == NULL ||
        mac_len != TOKEN_BYTES)
        return -EIO;
    memcpy(ret_token, mac, TOKEN_BYTES);
    return 0;
}

bool token_check(const void *key, size_t key_len, uint64_t session, const void *token,
                 size_t token_len)
{
    uint8_t want[TOKEN_BYTES];

    if (token == NULL || token_len != TOKEN_BYTES || token_make(key, key_len, session, want) < 0)
        return false;
    return CRYPTO_memcmp(want, token, TOKEN_BYTES) == 0;
}
