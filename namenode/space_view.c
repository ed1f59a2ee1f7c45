#include "namenode/space_view.h"

#include <stddef.h>

#include "common/clock.h"
#include "namenode/mutants.h"

enum { SILENT_S = 10 };

/* Of a member now, heard not long ago. */
static bool counts(const struct raft_conf *conf, const struct peer_space *s, uint64_t now_ns)
{
    return raft_conf_find(conf, s->id) != NULL && now_ns - s->heard_ns < SILENT_S * CLOCK_NS_PER_S;
}

static struct peer_space *place_of(struct space_view *v, const struct raft_conf *conf,
                                   const struct peer_space *told)
{
    struct peer_space *left = NULL;

    for (unsigned i = 0; i < v->count; i++) {
        if (v->spaces[i].id.v == told->id.v)
            return &v->spaces[i];
        if (!counts(conf, &v->spaces[i], told->heard_ns))
            left = &v->spaces[i];
    }
    /* The places of those who have left are free again; but last, as the log may take that back. */
    return v->count < RAFT_MEMBERS_MAX ? &v->spaces[v->count++] : left;
}

const struct peer_space *space_view_find(const struct space_view *v, const struct raft_conf *conf,
                                         struct raft_id id, uint64_t now_ns)
{
    for (unsigned i = 0; i < v->count; i++) {
        if (v->spaces[i].id.v == id.v && counts(conf, &v->spaces[i], now_ns))
            return &v->spaces[i];
    }
    return NULL;
}

void space_view_note(struct space_view *v, const struct raft_conf *conf,
                     const struct peer_space *told)
{
    struct peer_space *place;

    if (raft_conf_find(conf, told->id) == NULL)
        return;
    place = place_of(v, conf, told);
    if (place != NULL)
        *place = *told;
}

bool space_view_is_short(const struct space_view *v, const struct raft_conf *conf, uint64_t now_ns)
{
    for (unsigned i = 0; i < v->count && !MUTANT(SPACE_OF_OTHERS_IGNORED); i++) {
        if (v->spaces[i].is_short && counts(conf, &v->spaces[i], now_ns))
            return true;
    }
    return false;
}
