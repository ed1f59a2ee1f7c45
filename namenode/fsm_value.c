#include "namenode/fsm_value.h"

#include <errno.h>
#include <string.h>

#include "namenode/fsm_ops.h"
#include "namenode/mutants.h"

/* Of these the id is an inode's. */
static bool is_of_inode(char kind)
{
    return kind == 'F' || kind == 'L' || kind == 'X';
}

/* F L X: the inode. R: the session. n t: the first half of the uuid. */
static uint64_t id_of(const struct key *k)
{
    return key_get_u64(k->b + 1);
}

bool value_has_version(const struct state_rec *state, const struct key *k)
{
    const struct convert_pos *at = &state->convert;
    char kind = (char)k->b[0];

    if (state->format < FSM_FORMAT_VALUES || at->kind == 0)
        return state->format >= FSM_FORMAT_VALUES;
    if (is_of_inode(kind) && id_of(k) >= at->ino_end)
        return true;
    return kind == at->kind ? id_of(k) < at->id : kind < at->kind;
}

int value_get(struct tx *tx, const struct key *k, struct kv_value *ret_value)
{
    struct kv_value v;
    int r;

    r = tx_get(tx, k, &v);
    if (r < 0)
        return r;
    if (value_has_version(&tx->state, k) && value_decode(v.data, v.len, &v.data, &v.len) < 0) {
        tx_value_done(tx, &v);
        return tx_damaged(tx, k);
    }
    *ret_value = v;
    return 0;
}

int value_get_copy(struct tx *tx, const struct key *k, const uint8_t **ret_data, size_t *ret_len)
{
    struct kv_value v;
    int r;

    r = value_get(tx, k, &v);
    if (r < 0)
        return r;
    *ret_data = arena_memdup(&tx->arena, v.data, v.len);
    *ret_len = v.len;
    tx_value_done(tx, &v);
    return 0;
}

static void put_with_version(struct tx *tx, const struct key *k, const void *data, size_t len)
{
    uint8_t *room = tx_put_room(tx, k, VALUE_HEADER_SIZE + len);

    value_encode_header(room);
    if (len > 0)
        memcpy(room + VALUE_HEADER_SIZE, data, len);
}

void value_put(struct tx *tx, const struct key *k, const void *data, size_t len)
{
    if (value_has_version(&tx->state, k) ||
        (MUTANT(CONVERT_NOT_AT_WRITE) && tx->state.format >= FSM_FORMAT_VALUES))
        put_with_version(tx, k, data, len);
    else
        tx_put(tx, k, data, len);
}

/* ---- the values of older formats ---- */

struct slice {
    struct tx *tx;
    char kind;
    uint32_t max_values;
    uint64_t max_bytes;
    uint32_t values;
    uint64_t bytes;
    uint64_t last_id;
    bool is_full;
};

static int convert_one(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value,
                       size_t value_len)
{
    struct slice *s = ctx;
    struct convert_pos *at = &s->tx->state.convert;
    struct key k = {.len = key_len};
    uint64_t id;

    if (key_len < 9 || key_len > sizeof(k.b))
        return tx_fail(s->tx, -EBADMSG);
    memcpy(k.b, key, key_len);
    id = id_of(&k);
    if (is_of_inode(s->kind) && id >= at->ino_end)
        return 1;
    if ((s->values == 0 || id != s->last_id) &&
        (s->values >= s->max_values || s->bytes >= s->max_bytes)) {
        s->is_full = true;
        at->id = id;
        return 1;
    }
    /* It may stand where it is to be written to. */
    put_with_version(s->tx, &k, arena_memdup(&s->tx->arena, value, value_len), value_len);
    s->values++;
    s->bytes += value_len;
    s->last_id = id;
    return 0;
}

/* From where the last one ended. Passes over kinds that have nothing. */
static int convert_slice(struct slice *s)
{
    struct convert_pos *at = &s->tx->state.convert;

    while (at->kind != 0) {
        struct key from;
        int r;

        s->kind = at->kind;
        key_id64(&from, at->kind, at->id);
        r = tx_scan(s->tx, &from, 1, convert_one, s);
        if (r < 0 || s->is_full)
            return r;
        at->kind = strchr(VALUE_KINDS, at->kind)[1];
        at->id = 0;
    }
    *at = (struct convert_pos){0};
    return 0;
}

int convert_begin(struct tx *tx)
{
    struct slice nothing = {.tx = tx};

    tx->state.convert = (struct convert_pos){.kind = VALUE_KINDS[0], .ino_end = tx->state.next_ino};
    return convert_slice(&nothing);
}

int op_convert(struct tx *tx, const Dfs__MetaRequest *req, Dfs__MetaReply *reply)
{
    struct slice s = {
        .tx = tx,
        .max_values = req->convert->max_values,
        .max_bytes = req->convert->max_bytes,
    };
    int r = convert_slice(&s);

    if (r == 0)
        reply_id(tx, reply, s.values, 0);
    return r;
}
