#include "datanode/chain_dedup.h"

#include <stdlib.h>
#include <string.h>

#include "common/compiler.h"
#include "common/mem.h"

void dedup_init(struct dedup *d)
{
    d->sessions = NULL;
}

void dedup_done(struct dedup *d)
{
    struct dedup_session *s, *tmp;

    HASH_ITER (hh, d->sessions, s, tmp) {
        HASH_DEL(d->sessions, s);
        free(s);
    }
}

static struct dedup_session *find(const struct dedup *d, struct session_id session)
{
    struct dedup_session *s = NULL;

    HASH_FIND(hh, d->sessions, &session.v, sizeof(session.v), s);
    return s;
}

static struct dedup_session *find_or_add(struct dedup *d, struct session_id session, uint64_t floor)
{
    struct dedup_session *s = find(d, session);

    if (s != NULL)
        return s;
    s = MEM_NEW(struct dedup_session);
    s->session = session;
    s->floor = floor;
    HASH_ADD(hh, d->sessions, session.v, sizeof(s->session.v), s);
    return s;
}

static void raise_floor(struct dedup_session *s, uint64_t floor)
{
    uint64_t shift = floor > s->floor ? floor - s->floor : 0;
    uint8_t moved[DEDUP_BYTES] = {0};

    if (shift == 0)
        return;
    s->floor = floor;
    for (uint64_t i = shift; i < DEDUP_WINDOW; i++) {
        if (s->executed[i / 8] & (1u << (i % 8)))
            moved[(i - shift) / 8] |= (uint8_t)(1u << ((i - shift) % 8));
    }
    memcpy(s->executed, moved, sizeof(moved));
}

enum dedup_answer dedup_look(const struct dedup *d, struct session_id session, uint64_t opseq,
                             uint64_t floor)
{
    const struct dedup_session *s = find(d, session);
    uint64_t base = s != NULL ? MAX(s->floor, floor) : floor;
    uint64_t i;

    if (s != NULL && opseq < s->floor)
        return DEDUP_LATE;
    if (opseq < base || opseq - base >= DEDUP_WINDOW)
        return opseq < base ? DEDUP_LATE : DEDUP_BEYOND;
    if (s == NULL)
        return DEDUP_NEW;
    i = opseq - s->floor;
    if (i >= DEDUP_WINDOW) /* Comes into the window only once the floor is raised. */
        return DEDUP_NEW;
    return s->executed[i / 8] & (1u << (i % 8)) ? DEDUP_SEEN : DEDUP_NEW;
}

void dedup_mark(struct dedup *d, struct session_id session, uint64_t opseq, uint64_t floor,
                uint64_t now_ms)
{
    struct dedup_session *s = find_or_add(d, session, floor);
    uint64_t i;

    raise_floor(s, floor);
    s->used_ms = now_ms;
    i = opseq - s->floor;
    if (opseq >= s->floor && i < DEDUP_WINDOW)
        s->executed[i / 8] |= (uint8_t)(1u << (i % 8));
}

void dedup_put(struct dedup *d, struct session_id session, uint64_t floor,
               const uint8_t executed[DEDUP_BYTES], uint64_t now_ms)
{
    struct dedup_session *s = find_or_add(d, session, floor);

    s->floor = floor;
    s->used_ms = now_ms;
    memcpy(s->executed, executed, DEDUP_BYTES);
}

void dedup_forget_idle(struct dedup *d, uint64_t now_ms, uint64_t idle_ms)
{
    struct dedup_session *s, *tmp;

    HASH_ITER (hh, d->sessions, s, tmp) {
        if (now_ms - s->used_ms < idle_ms)
            continue;
        HASH_DEL(d->sessions, s);
        free(s);
    }
}
