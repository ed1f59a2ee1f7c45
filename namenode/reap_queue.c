#include "namenode/reap_queue.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/mem.h"
#include "namenode/fsm.h"
#include "namenode/sessions.h"

enum { WAITING_MAX = 1 << 16 }; /* remembered; a power of two */

struct reap_queue {
    uint64_t *waiting; /* a ring */
    uint32_t at, count;
    bool walk_pending;   /* the store's list may hold others */
    uint64_t walk_after; /* where the walk through it stands */
};

struct reap_queue *reap_queue_new(void)
{
    struct reap_queue *q = MEM_NEW(struct reap_queue);

    q->waiting = mem_zalloc(WAITING_MAX, sizeof(*q->waiting));
    return q;
}

void reap_queue_free(struct reap_queue *q)
{
    if (q == NULL)
        return;
    free(q->waiting);
    free(q);
}

void reap_queue_begin(struct reap_queue *q)
{
    q->at = q->count = 0;
    q->walk_after = 0;
    q->walk_pending = true;
}

void reap_queue_add(struct reap_queue *q, uint64_t ino)
{
    if (q->count == WAITING_MAX) {
        q->walk_pending = true;
        return;
    }
    q->waiting[(q->at + q->count++) % WAITING_MAX] = ino;
}

static uint64_t next_waiting(struct reap_queue *q)
{
    uint64_t ino = q->waiting[q->at];

    q->at = (q->at + 1) % WAITING_MAX;
    q->count--;
    return ino;
}

static void walk_list(struct reap_queue *q, struct fsm *fsm)
{
    uint64_t inos[REAP_ROUND_MAX];
    size_t n;

    if (fsm_list_reap(fsm, q->walk_after, REAP_ROUND_MAX, inos, &n) < 0)
        return;
    q->walk_pending = n == REAP_ROUND_MAX;
    q->walk_after = q->walk_pending ? inos[n - 1] : 0;
    for (size_t i = 0; i < n; i++)
        reap_queue_add(q, inos[i]); /* When there is no room the walk begins again. */
}

size_t reap_queue_round(struct reap_queue *q, struct fsm *fsm, const struct sessions *sessions,
                        uint32_t chunks, struct reap_slice ret_slices[REAP_ROUND_MAX])
{
    size_t slices = 0;
    uint32_t count;

    if (q->walk_pending && q->count < REAP_ROUND_MAX)
        walk_list(q, fsm);
    count = MIN(q->count, (uint32_t)REAP_ROUND_MAX);
    while (count-- > 0 && chunks > 0) {
        uint64_t ino = next_waiting(q);
        struct inode_rec rec;
        uint32_t now;

        if (fsm_inode_get(fsm, ino, &rec) < 0)
            continue; /* It was walked over, and remembered too. */
        if (!sessions_may_reap(sessions, ino)) {
            reap_queue_add(q, ino);
            continue;
        }
        now = MIN(rec.chunk_count, chunks);
        chunks -= now;
        ret_slices[slices++] = (struct reap_slice){.ino = ino, .max_chunks = MAX(now, UINT32_C(1))};
    }
    return slices;
}
