/*
 * What a target's directory holds beside chunks: records of the chunk table, checkpoints, logs and
 * superblocks. The first byte chooses which; with 16 added, checksums are made right first, so that
 * what is behind them is reached.
 */
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/crc32c.h"
#include "datanode/ctab.h"
#include "datanode/superblock.h"
#include "tests/fuzz/target.h"

enum { NUMBER = 3 };

static void on_record(void *ctx, const struct chunk_state *c)
{
    if (c->len > CHUNK_SIZE || c->id.v == 0)
        abort();
    ++*(size_t *)ctx;
}

static void fuzz_record(const uint8_t *data, size_t size)
{
    uint8_t again[CTAB_RECORD_SIZE];
    struct ctab_record r;

    if (size < CTAB_RECORD_SIZE || ctab_record_decode(data, &r) < 0)
        return;
    ctab_record_encode(&r, again);
    if (memcmp(data, again, sizeof(again)) != 0)
        abort();
}

static void fuzz_superblock(uint8_t *data, size_t size, bool fix)
{
    uint8_t again[SUPERBLOCK_SIZE];
    struct superblock a, b;

    if (fix && size >= SUPERBLOCK_SIZE) {
        put_le32(data + SUPERBLOCK_SIZE - 4, crc32c(data, SUPERBLOCK_SIZE - 4));
        size = SUPERBLOCK_SIZE;
    }
    if (superblock_decode(data, size, &a) < 0)
        return;
    superblock_encode(&a, again);
    if (superblock_decode(again, sizeof(again), &b) < 0 || a.serial != b.serial ||
        a.target_id != b.target_id || a.is_clean != b.is_clean || a.checkpoint != b.checkpoint)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctab_log_result result;
    size_t count = 0;
    uint8_t *bytes;
    bool fix;

    if (size < 1)
        return 0;
    bytes = malloc(size);
    if (!bytes)
        return 0;
    memcpy(bytes, data + 1, size - 1);
    size--;
    fix = data[0] & 16;
    for (size_t i = 0; fix && (i + 1) * CTAB_RECORD_SIZE <= size; i++)
        ctab_record_place(bytes + i * CTAB_RECORD_SIZE, i, 0, NUMBER);
    switch (data[0] & 15) {
    case 0:
        fuzz_record(bytes, size);
        break;
    case 1:
        (void)ctab_checkpoint_parse(bytes, size, NUMBER, on_record, &count);
        break;
    case 2:
        ctab_log_parse(bytes, size, NUMBER, on_record, &count, &result);
        if (result.count != count || count > size / CTAB_RECORD_SIZE)
            abort();
        break;
    case 3:
        memcpy(bytes, data + 1, size);
        fuzz_superblock(bytes, size, fix);
        break;
    }
    free(bytes);
    return 0;
}
