#include "shell/replicas.h"

#include <assert.h>

/* An empty chunk reads like one that was never made. */
static bool same(const struct replica_item *a, const struct replica_item *b)
{
    bool a_empty = a == NULL || (a->len == 0 && !a->bad);
    bool b_empty = b == NULL || (b->len == 0 && !b->bad);

    if (a_empty || b_empty)
        return a_empty && b_empty;
    return !a->bad && !b->bad && a->digest == b->digest && a->len == b->len;
}

/* The lists are merged by chunk id. */
void replicas_compare(const struct replica_list *lists, unsigned list_count,
                      void (*differs)(void *ctx, const struct replica_difference *d), void *ctx)
{
    size_t at[REPLICA_MEMBERS_MAX] = {0};

    assert(list_count <= REPLICA_MEMBERS_MAX);
    for (;;) {
        struct replica_difference d = {.chunk = UINT64_MAX, .member_count = list_count};
        const struct replica_item *here[REPLICA_MEMBERS_MAX] = {NULL};
        bool any = false, differ = false;

        for (unsigned i = 0; i < list_count; i++) {
            if (at[i] == lists[i].count || lists[i].items[at[i]].chunk > d.chunk)
                continue;
            any = true;
            d.chunk = lists[i].items[at[i]].chunk;
        }
        if (!any)
            return;
        for (unsigned i = 0; i < list_count; i++) {
            if (at[i] < lists[i].count && lists[i].items[at[i]].chunk == d.chunk)
                here[i] = &lists[i].items[at[i]++];
            d.members[i].target = lists[i].target;
            d.members[i].present = here[i] != NULL;
            if (here[i] != NULL)
                d.members[i].item = *here[i];
            differ |= !same(here[0], here[i]) || (here[i] != NULL && here[i]->bad);
        }
        if (differ)
            differs(ctx, &d);
    }
}
