/* See sessions.h. Two tables: sessions by id, and for each the count of its opens by inode; a third
 * sums the opens of all sessions by inode, since that is what the reaper asks. */
#include "namenode/sessions.h"

#include <stdlib.h>

#include <uthash.h>

#include "common/mem.h"
#include "namenode/mutants.h"

struct open_count {
    uint64_t ino;
    uint64_t count;
    UT_hash_handle hh;
};

struct session {
    uint64_t id;
    uint64_t heard_ns;
    uint64_t seq_max; /* proposed */
    bool attached;
    uint64_t via; /* where it told last what it has open; 0: it has not */
    struct open_count *opens;
    UT_hash_handle hh;
};

struct sessions {
    uint64_t term; /* of the leader whose memory it is */
    struct session *by_id;
    struct open_count *by_ino;
    struct open_count *reaped; /* being taken apart; each counts once */
    size_t detached_count;
};

static void count_add(struct open_count **table, uint64_t ino)
{
    struct open_count *c;

    HASH_FIND(hh, *table, &ino, sizeof(ino), c);
    if (c == NULL) {
        c = MEM_NEW(struct open_count);
        c->ino = ino;
        HASH_ADD(hh, *table, ino, sizeof(c->ino), c);
    }
    c->count++;
}

/* Takes n away; false when fewer are there. */
static bool count_sub(struct open_count **table, uint64_t ino, uint64_t n)
{
    struct open_count *c;

    HASH_FIND(hh, *table, &ino, sizeof(ino), c);
    if (c == NULL || c->count < n)
        return false;
    c->count -= n;
    if (c->count == 0) {
        HASH_DEL(*table, c);
        free(c);
    }
    return true;
}

static struct session *session_find(const struct sessions *s, uint64_t id)
{
    struct session *x;

    HASH_FIND(hh, s->by_id, &id, sizeof(id), x);
    return x;
}

static void session_drop_opens(struct sessions *s, struct session *x)
{
    struct open_count *c, *next;

    HASH_ITER (hh, x->opens, c, next) {
        count_sub(&s->by_ino, c->ino, c->count);
        HASH_DEL(x->opens, c);
        free(c);
    }
}

struct sessions *sessions_new(uint64_t term)
{
    struct sessions *s = MEM_NEW(struct sessions);

    s->term = term;
    return s;
}

void sessions_free(struct sessions *s)
{
    struct open_count *r, *r_next;
    struct session *x, *next;

    if (s == NULL)
        return;
    HASH_ITER (hh, s->by_id, x, next) {
        session_drop_opens(s, x);
        HASH_DEL(s->by_id, x);
        free(x);
    }
    HASH_ITER (hh, s->reaped, r, r_next) {
        HASH_DEL(s->reaped, r);
        free(r);
    }
    free(s);
}

void sessions_add(struct sessions *s, uint64_t session, bool attached, uint64_t now_ns)
{
    struct session *x = session_find(s, session);

    if (x != NULL)
        return;
    x = MEM_NEW(struct session);
    x->id = session;
    x->heard_ns = now_ns;
    x->attached = attached;
    s->detached_count += !attached;
    HASH_ADD(hh, s->by_id, id, sizeof(x->id), x);
}

void sessions_remove(struct sessions *s, uint64_t session)
{
    struct session *x = session_find(s, session);

    if (x == NULL)
        return;
    session_drop_opens(s, x);
    s->detached_count -= !x->attached;
    HASH_DEL(s->by_id, x);
    free(x);
}

bool sessions_renew(struct sessions *s, uint64_t session, uint64_t now_ns)
{
    struct session *x = session_find(s, session);

    if (x == NULL)
        return false;
    x->heard_ns = now_ns;
    return true;
}

void sessions_attach(struct sessions *s, uint64_t session, uint64_t term, uint64_t via,
                     const uint64_t *inos, size_t count)
{
    struct session *x = session_find(s, session);

    if (term != 0 && term != s->term)
        return;
    if (x == NULL || (via < x->via && !MUTANT(LATE_CLOSE_COUNTS)))
        return;
    session_drop_opens(s, x);
    x->via = via;
    for (size_t i = 0; i < count; i++)
        sessions_open_inode(s, session, via, inos[i]);
    s->detached_count -= !x->attached;
    x->attached = true;
}

/* What was held up on a connection that is given up is in what was told since, or comes again. */
static bool is_held_up(const struct session *x, uint64_t via)
{
    return x->via != 0 && x->via != via && !MUTANT(LATE_CLOSE_COUNTS);
}

void sessions_open_inode(struct sessions *s, uint64_t session, uint64_t via, uint64_t ino)
{
    struct session *x = session_find(s, session);

    if (x == NULL || is_held_up(x, via))
        return;
    count_add(&x->opens, ino);
    count_add(&s->by_ino, ino);
}

void sessions_close_inode(struct sessions *s, uint64_t session, uint64_t via, uint64_t ino)
{
    struct session *x = session_find(s, session);

    if (x == NULL || is_held_up(x, via))
        return;
    if (count_sub(&x->opens, ino, 1))
        count_sub(&s->by_ino, ino, 1);
}

bool sessions_is_open(const struct sessions *s, uint64_t ino)
{
    struct open_count *c;

    HASH_FIND(hh, s->by_ino, &ino, sizeof(ino), c);
    return c != NULL;
}

bool sessions_may_reap(const struct sessions *s, uint64_t ino)
{
    return (s->detached_count == 0 || MUTANT(REAP_BEFORE_TOLD)) && !sessions_is_open(s, ino);
}

bool sessions_is_reaped(const struct sessions *s, uint64_t ino)
{
    struct open_count *c;

    HASH_FIND(hh, s->reaped, &ino, sizeof(ino), c);
    return c != NULL;
}

bool sessions_may_open(const struct sessions *s, uint64_t ino, uint32_t nlink)
{
    return nlink > 0 || (sessions_is_open(s, ino) && !sessions_is_reaped(s, ino)) ||
           MUTANT(OPEN_WHILE_REAPED);
}

void sessions_reap_begins(struct sessions *s, uint64_t ino)
{
    if (!sessions_is_reaped(s, ino))
        count_add(&s->reaped, ino);
}

void sessions_reap_ends(struct sessions *s, uint64_t ino)
{
    (void)count_sub(&s->reaped, ino, 1);
}

void sessions_note_seq(struct sessions *s, uint64_t session, uint64_t seq)
{
    struct session *x = session_find(s, session);

    if (x != NULL && seq > x->seq_max)
        x->seq_max = seq;
}

bool sessions_may_be_done(const struct sessions *s, uint64_t session, uint64_t seq)
{
    const struct session *x = session_find(s, session);

    return x == NULL || (seq <= x->seq_max && !MUTANT(REFUSES_WHAT_IS_DONE));
}

size_t sessions_detached_count(const struct sessions *s)
{
    return s->detached_count;
}

size_t sessions_count(const struct sessions *s)
{
    return HASH_COUNT(s->by_id);
}

size_t sessions_expired(const struct sessions *s, uint64_t now_ns, uint64_t silence_ns,
                        uint64_t *out, size_t max)
{
    struct session *x, *next;
    size_t n = 0;

    HASH_ITER (hh, s->by_id, x, next) {
        if (n == max)
            break;
        if (now_ns - x->heard_ns >= silence_ns)
            out[n++] = x->id;
    }
    return n;
}
