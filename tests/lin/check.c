/*
 * Wing and Gong's search, "Testing and Verifying Concurrent Objects" (1993), with Lowe's memory of what
 * was tried, "Testing for Linearizability" (2017): an operation may be the next to take effect if it was
 * called before any other that has not yet taken effect returned; if its answer is the model's, the
 * rest is searched from there. A pair of (what has taken effect, state) is searched from once.
 *
 * Two things keep it short. A read or a refusal that fits is put in its place at once and for good, as
 * it changes nothing, here or anywhere: whatever order the others can have later, they can have with it
 * here. (A rename that is done may change nothing here, and something elsewhere.) And what has no answer
 * is tried only where it would change something: to do nothing and never to be done are the same.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/mem.h"
#include "tests/lin/component.h"

enum { STATES_MAX_DEFAULT = 2000000, MEMO_ROOM_MIN = 1024 };

/* What was searched from, by 128 bits of hash: two that are taken for one could only make a right history
 * look wrong. */
struct memo {
    struct memo_key {
        uint64_t a, b;
    } * keys; /* {0, 0}: free */
    uint64_t count, room;
};

struct search {
    const struct component *c;
    struct memo memo;
    uint64_t states_max;
    bool undecided;
    struct model_set done;
    struct model_set once; /* LIN_MUTANT_UNKNOWN_TWICE */
    unsigned answered_done;
    unsigned order[2 * LIN_OPS_MAX];
    unsigned order_count;
};

static bool memo_put(struct memo *m, struct memo_key key)
{
    uint64_t i = key.a & (m->room - 1);

    while (m->keys[i].a | m->keys[i].b) {
        if (m->keys[i].a == key.a && m->keys[i].b == key.b)
            return false;
        i = (i + 1) & (m->room - 1);
    }
    m->keys[i] = key;
    m->count++;
    return true;
}

static void memo_grow(struct memo *m)
{
    struct memo old = *m;

    m->room = old.room ? 2 * old.room : MEMO_ROOM_MIN;
    m->keys = mem_zalloc(m->room, sizeof(m->keys[0]));
    m->count = 0;
    for (uint64_t i = 0; i < old.room; i++)
        if (old.keys[i].a | old.keys[i].b)
            (void)memo_put(m, old.keys[i]);
    free(old.keys);
}

/* True: not been here before. */
static bool remember(struct search *s, const struct model_state *state)
{
    struct {
        struct model_set done, once;
        struct model_state state;
    } all = {.done = s->done, .once = s->once};
    enum lin_mutant mutant = s->c->model.mutant;
    struct memo_key key;

    if (mutant != LIN_MUTANT_MEMO_OPS_ONLY) {
        all.state.born = state->born;
        all.state.dirs = state->dirs;
        all.state.count = state->count;
        memcpy(all.state.entries, state->entries, state->count * sizeof(state->entries[0]));
    }
    if (mutant == LIN_MUTANT_MEMO_STATE_ONLY)
        memset(&all.done, 0, sizeof(all.done));
    if (2 * s->memo.count >= s->memo.room)
        memo_grow(&s->memo);
    key.a = hash64(&all, sizeof(all), 1);
    key.b = hash64(&all, sizeof(all), 2) | 1;
    return memo_put(&s->memo, key);
}

static bool is_done(const struct search *s, unsigned i)
{
    return model_set_has(&s->done, i);
}

static void put_next(struct search *s, unsigned i)
{
    const struct model_op *op = &s->c->ops[i];

    s->order[s->order_count++] = i;
    s->answered_done += op->answered;
    if (s->c->model.mutant == LIN_MUTANT_UNKNOWN_TWICE && !op->answered &&
        !model_set_has(&s->once, i))
        model_set_put(&s->once, i, true);
    else
        model_set_put(&s->done, i, true);
}

static void take_back(struct search *s, unsigned order_count)
{
    while (s->order_count > order_count) {
        unsigned i = s->order[--s->order_count];

        if (is_done(s, i))
            model_set_put(&s->done, i, false);
        else
            model_set_put(&s->once, i, false);
        s->answered_done -= s->c->ops[i].answered;
    }
}

/* What is called later than this must wait: somebody has returned by then. */
static uint64_t horizon(const struct search *s)
{
    uint64_t min = UINT64_MAX;

    if (s->c->model.mutant == LIN_MUTANT_NO_REAL_TIME)
        return min;
    for (unsigned i = 0; i < s->c->count; i++)
        if (!is_done(s, i) && s->c->returned[i] < min)
            min = s->c->returned[i];
    return min;
}

static bool may_be_next(const struct search *s, unsigned i, uint64_t until)
{
    if (is_done(s, i) || s->c->called[i] > until)
        return false;
    return s->c->ops[i].answered || s->c->model.mutant != LIN_MUTANT_UNKNOWN_NEVER;
}

/* What changes nothing, whenever it is done. */
static bool is_idle(const struct search *s, const struct model_op *op)
{
    if (!op->answered)
        return s->c->model.mutant == LIN_MUTANT_UNKNOWN_ALWAYS;
    return op->error || op->kind == LIN_LOOKUP || op->kind == LIN_READDIR ||
           s->c->model.mutant == LIN_MUTANT_GREEDY_RENAMES;
}

/* Idle ones that fit, until there is none. */
static void absorb(struct search *s, struct model_state *state)
{
    const struct component *c = s->c;
    bool greedy = c->model.mutant == LIN_MUTANT_GREEDY_CHANGES;
    bool found = true;

    while (found) {
        uint64_t until = horizon(s);

        found = false;
        for (unsigned i = 0; i < c->count && !found; i++) {
            struct model_state next = *state;
            enum model_step step;

            if (!may_be_next(s, i, until))
                continue;
            step = model_step(&c->model, &next, &c->ops[i]);
            found = (step == MODEL_SAME && is_idle(s, &c->ops[i])) ||
                    (step == MODEL_CHANGED && greedy && c->ops[i].answered);
            if (found) {
                put_next(s, i);
                *state = next;
            }
        }
    }
}

static bool search(struct search *s, const struct model_state *from)
{
    const struct component *c = s->c;
    struct model_state state = *from;
    unsigned order_count = s->order_count;
    uint64_t until;

    absorb(s, &state);
    if (s->answered_done == c->answered)
        return true;
    s->undecided = s->undecided || s->memo.count >= s->states_max;
    if (s->undecided || !remember(s, &state)) {
        take_back(s, order_count);
        return false;
    }
    until = horizon(s);
    for (unsigned i = 0; i < c->count; i++) {
        struct model_state next = state;
        unsigned before = s->order_count;
        enum model_step step;

        if (!may_be_next(s, i, until))
            continue;
        step = model_step(&c->model, &next, &c->ops[i]);
        if (step == MODEL_REFUTED || (step == MODEL_SAME && !c->ops[i].answered))
            continue;
        put_next(s, i);
        if (search(s, &next))
            return true;
        take_back(s, before);
    }
    take_back(s, order_count);
    return false;
}

/* One component as it was at the time `until`; s->order has the order when it is LIN_OK. */
static enum lin_verdict check_until(struct search *s, struct component *c,
                                    const struct lin_history *h, const unsigned *events,
                                    unsigned count, uint64_t until,
                                    const struct lin_options *options)
{
    enum lin_mutant mutant = options ? options->mutant : LIN_MUTANT_NONE;
    enum lin_verdict verdict = LIN_UNDECIDED;

    *s = (struct search){.c = c, .states_max = options ? options->states_max : 0};
    if (s->states_max == 0)
        s->states_max = STATES_MAX_DEFAULT;
    if (component_init(c, h, events, count, until, mutant))
        verdict = search(s, &c->start) ? LIN_OK : s->undecided ? LIN_UNDECIDED : LIN_VIOLATION;
    free(s->memo.keys);
    return verdict;
}

/* ---- what is told about a violation ---- */

static void print_event(const struct lin_event *e, FILE *file)
{
    fprintf(file, "    %" PRIu64 "..", e->called);
    if (e->has_return)
        fprintf(file, "%" PRIu64, e->returned);
    fprintf(file, "  client %u  ", e->op.client);
    lin_print_op(&e->op, file);
    fputs(" -> ", file);
    lin_print_result(e, file);
    fputc('\n', file);
}

static int compare_returns(const void *a, const void *b, void *ctx)
{
    const struct lin_history *h = ctx;
    uint64_t x = h->events[*(const unsigned *)a].returned;
    uint64_t y = h->events[*(const unsigned *)b].returned;

    return x < y ? -1 : x > y;
}

/*
 * What has an order keeps it when the end is cut off: so there is a first return up to which there is
 * none, found by halving.
 */
static void report_violation(const struct lin_history *h, const unsigned *events, unsigned count,
                             const struct lin_options *options, FILE *report)
{
    struct search *s = MEM_NEW(struct search);
    struct component *c = MEM_NEW(struct component);
    unsigned *returns = mem_zalloc(count, sizeof(returns[0]));
    unsigned return_count = 0, good = 0, bad;
    uint64_t until;

    for (unsigned i = 0; i < count; i++)
        if (h->events[events[i]].has_return)
            returns[return_count++] = events[i];
    qsort_r(returns, return_count, sizeof(returns[0]), compare_returns, (void *)(uintptr_t)h);
    /* So many returns: has an order, has none. */
    for (bad = return_count; bad - good > 1;) {
        unsigned middle = (good + bad) / 2;
        enum lin_verdict v =
            check_until(s, c, h, events, count, h->events[returns[middle - 1]].returned, options);

        component_done(c);
        if (v == LIN_OK)
            good = middle;
        else
            bad = middle;
    }

    fprintf(report, "not linearizable: no order of these %u operations explains\n", count);
    print_event(&h->events[returns[bad - 1]], report);
    until = good > 0 ? h->events[returns[good - 1]].returned : 0;
    if (check_until(s, c, h, events, count, until, options) == LIN_OK) {
        fputs("  an order of what returned before:\n", report);
        for (unsigned i = 0; i < s->order_count; i++)
            print_event(&h->events[c->event[s->order[i]]], report);
    }
    fputs("  called before, but in no order yet:\n", report);
    for (unsigned i = 0; i < count; i++) {
        const struct lin_event *e = &h->events[events[i]];
        bool placed = false;

        for (unsigned k = 0; k < s->order_count && !placed; k++)
            placed = c->event[s->order[k]] == events[i];
        if (!placed && e->called <= h->events[returns[bad - 1]].returned)
            print_event(e, report);
    }
    component_done(c);
    free(returns);
    free(c);
    free(s);
}

enum lin_verdict lin_check(const struct lin_history *h, const struct lin_options *options,
                           FILE *report)
{
    struct search *s = MEM_NEW(struct search);
    struct component *c = MEM_NEW(struct component);
    enum lin_verdict worst = LIN_OK;
    struct partition p;

    partition_init(&p, h, options ? options->mutant : LIN_MUTANT_NONE);
    for (unsigned i = 0; i < p.count && worst != LIN_VIOLATION; i++) {
        const unsigned *events = &p.events[p.starts[i]];
        unsigned count = p.starts[i + 1] - p.starts[i];
        enum lin_verdict v = check_until(s, c, h, events, count, UINT64_MAX, options);

        component_done(c);
        if (v == LIN_OK)
            continue;
        worst = v;
        if (report && v == LIN_VIOLATION)
            report_violation(h, events, count, options, report);
        else if (report)
            fprintf(report, "undecided: %u operations, %" PRIu64 " states looked at\n", count,
                    s->memo.count);
    }
    partition_done(&p);
    free(c);
    free(s);
    return worst;
}
