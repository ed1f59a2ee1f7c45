/*
 * Chunks of a placement group that has filled our place with another target: a spare took it while
 * we were away. Nobody will ask for them again. They stay for as long as the group is not whole
 * without us; then they go, a few at a time, and leave no tombstones: we may be asked back, as a
 * joiner who has nothing, and would refuse what lives.
 *
 * Why this loses nothing, however old the configuration is: in its epoch as many members as there
 * shall be copies served without us, and whatever came later, a target that is not listed comes
 * back only as a joiner, whose chunks count for nothing.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "datanode/dn.h"

enum { AT_ONCE = 16 };

static bool is_stray(const struct dn_pg *pg)
{
    const struct chain_config *c = chain_config_of(pg->chain);
    uint32_t serving = 0;

    if (c->epoch == 0 || c->copies == 0 || pg->joiner != NULL || target_is_failed(pg->target))
        return false;
    for (uint32_t i = 0; i < c->member_count; i++) {
        if (c->members[i].target.v == pg->key.target)
            return false;
        serving += c->members[i].state == MEMBER_SERVING;
    }
    return serving >= c->copies;
}

struct stray {
    struct dn_pg *pg;
    struct chunk_id chunk;
};

static void dropped(void *ctx, int status, uint32_t crc)
{
    struct stray s = *(struct stray *)ctx;

    (void)crc;
    free(ctx);
    s.pg->strays_in_hand--;
    if (status < 0) /* The target failed, or is being closed. */
        return;
    store_forget(s.pg->target, s.chunk, NULL, NULL);
    metric_inc(s.pg->dn->m.strays);
}

static void drop_some(struct dn_pg *pg)
{
    struct chunk_state states[AT_ONCE];
    size_t count = store_pick(pg->target, (struct pg_id){pg->key.pg}, AT_ONCE, states);

    if (count > 0 && !pg->tells_strays)
        log_info("another target has taken the place here: its chunks are dropped",
                 "pg=%" PRIu32 " target=%" PRIu32 " epoch=%" PRIu64, pg->key.pg, pg->key.target,
                 pg_epoch(pg));
    pg->tells_strays = count > 0;
    for (size_t i = 0; i < count; i++) {
        struct stray *s;

        if (states[i].flags & CHUNK_DELETED) {
            store_forget(pg->target, states[i].id, NULL, NULL);
            continue;
        }
        s = MEM_NEW(struct stray);
        *s = (struct stray){pg, states[i].id};
        pg->strays_in_hand++;
        store_delete(pg->target, states[i].id, (struct pg_id){pg->key.pg}, dropped, s);
    }
}

void strays_tick(struct dn *dn)
{
    struct dn_pg *pg, *tmp;

    HASH_ITER (hh, dn->pgs, pg, tmp) {
        if (pg->strays_in_hand >
            0) /* One group after the other: unlinking takes the disk's time. */
            return;
    }
    HASH_ITER (hh, dn->pgs, pg, tmp) {
        if (!is_stray(pg))
            continue;
        drop_some(pg);
        if (pg->strays_in_hand > 0)
            return;
    }
}
