/*
 * The chain core, all ways: three members, two clients that write the same cells, a crash at any
 * moment, a wrong suspicion (an epoch race) at any moment, a doubled request at any moment, and
 * every order in which messages, disks and configurations can come. States are told apart by a hash
 * over everything that decides the future; a state is reached again by replaying the choices that
 * led to it.
 *
 *   explore_chain [--states N]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "datanode/chain_private.h"
#include "tests/sim/box.h"

enum { DEPTH_MAX = 400, VISITED_BITS = 23 };

struct scope {
    int writes[2]; /* of each client */
    int crashes;
    int suspicions; /* members dropped although they live */
    int doubles;
};

struct budget {
    int writes[2], crashes, suspicions, doubles;
};

struct explore {
    struct scope scope;
    uint64_t *visited; /* open addressing; 0: free */
    uint64_t visited_count, states_max, quiet, replays;
    struct box_choice path[DEPTH_MAX];
    int depth, deepest;
    char why[512];
};

static struct box *start(void)
{
    struct box *b = box_new(&(struct box_options){.members = 3, .min_write = 2, .clients = 2});

    box_config(b, "0S 1S 2S");
    box_settle(b);
    return b;
}

/* True when it is new. */
static bool visit(struct explore *x, uint64_t hash)
{
    uint64_t mask = (UINT64_C(1) << VISITED_BITS) - 1, i;

    hash |= 1;
    for (i = hash >> 20 & mask; x->visited[i] != 0; i = (i + 1) & mask) {
        if (x->visited[i] == hash)
            return false;
    }
    x->visited[i] = hash;
    x->visited_count++;
    return true;
}

static const struct chain_member *listed(const struct box *b, int m)
{
    for (uint32_t i = 0; i < b->config.member_count; i++) {
        if (ID_EQUAL(b->config.members[i].target, b->members[m].target))
            return &b->config.members[i];
    }
    return NULL;
}

static unsigned live_serving(const struct box *b)
{
    unsigned n = 0;

    for (int m = 0; m < 3; m++)
        n += b->members[m].alive && listed(b, m)->state == MEMBER_SERVING;
    return n;
}

/* A dead member that is still listed keeps the others from the end. */
static bool is_whole(const struct box *b)
{
    for (int m = 0; m < 3; m++) {
        if (!b->members[m].alive && listed(b, m)->state == MEMBER_SERVING)
            return false;
    }
    return live_serving(b) > 1;
}

static void add(struct box_choice *out, unsigned *count, enum box_choice_kind kind, int a, int n)
{
    if (*count < BOX_CHOICES_MAX)
        out[(*count)++] = (struct box_choice){kind, a, 0, n};
}

static unsigned choices(struct box *b, const struct budget *left, struct box_choice *out)
{
    unsigned count = box_moves(b, out);

    for (int c = 0; c < 2; c++) {
        if (left->writes[c] > 0 && b->clients[c].current < 0 && b->clients[c].config.epoch != 0)
            add(out, &count, BOX_WRITE, c, 0);
        if (left->doubles > 0 && b->clients[c].current >= 0)
            add(out, &count, BOX_SEND, c, 1);
    }
    for (int m = 0; m < 3; m++) {
        bool serving = listed(b, m)->state == MEMBER_SERVING;

        if (!serving)
            continue;
        if (b->members[m].alive && live_serving(b) == 1)
            continue; /* The last one that has everything. */
        if (b->members[m].alive && left->crashes > 0) {
            add(out, &count, BOX_CRASH, m, 0);
            if (box_io_possible(b, m) > 0)
                add(out, &count, BOX_CRASH, m, 9); /* Its page cache had them. */
        }
        if (!b->members[m].alive || left->suspicions > 0)
            add(out, &count, BOX_REMOVE, m, 0);
    }
    return count;
}

static void spend(struct budget *left, const struct box *b, struct box_choice c)
{
    if (c.kind == BOX_WRITE)
        left->writes[c.a]--;
    if (c.kind == BOX_CRASH)
        left->crashes--;
    if (c.kind == BOX_SEND && c.n == 1)
        left->doubles--;
    if (c.kind == BOX_REMOVE && b->members[c.a].alive)
        left->suspicions--;
}

static void take(struct box *b, struct budget *left, struct box_choice c)
{
    spend(left, b, c);
    if (c.kind == BOX_WRITE) {
        b->now++;
        /* Both write cell 1: half a block each, and one they share. */
        (void)box_write(b, c.a, 0, (uint32_t)c.a, 2);
        return;
    }
    box_do(b, c);
}

static struct budget full_budget(const struct scope *s)
{
    return (struct budget){{s->writes[0], s->writes[1]}, s->crashes, s->suspicions, s->doubles};
}

static struct box *replay(struct explore *x, struct budget *ret_left)
{
    struct box *b = start();

    *ret_left = full_budget(&x->scope);
    for (int i = 0; i < x->depth; i++)
        take(b, ret_left, x->path[i]);
    x->replays++;
    return b;
}

static uint64_t state_hash(const struct box *b, const struct budget *left)
{
    uint64_t spent = (uint64_t)left->writes[0] | (uint64_t)left->writes[1] << 8 |
                     (uint64_t)left->crashes << 16 | (uint64_t)left->suspicions << 24 |
                     (uint64_t)left->doubles << 32;

    return box_hash(b) ^ spent * UINT64_C(0x9e3779b97f4a7c15);
}

static void fail_at(struct explore *x, const struct box *b)
{
    int n = snprintf(x->why, sizeof(x->why), "%s: %s, after", b->violation, b->what);

    for (int i = 0; i < x->depth && n > 0 && (size_t)n < sizeof(x->why) - 20; i++)
        n += snprintf(x->why + n, sizeof(x->why) - (size_t)n, " %d:%d,%d,%d", (int)x->path[i].kind,
                      x->path[i].a, x->path[i].b, x->path[i].n);
}

/* Depth first; `b` is consumed. False: an invariant broke. */
static bool explore(struct explore *x, struct box *b, struct budget left)
{
    struct box_choice out[BOX_CHOICES_MAX], moves[BOX_CHOICES_MAX];
    unsigned count;

    if (b->violation != NULL) {
        fail_at(x, b);
        box_free(b);
        return false;
    }
    if (!visit(x, state_hash(b, &left)) || x->visited_count >= x->states_max ||
        x->depth == DEPTH_MAX) {
        box_free(b);
        return true;
    }
    count = choices(b, &left, out);
    if (box_moves(b, moves) == 0) { /* At rest, whatever else may still be begun. */
        x->quiet++;
        if (is_whole(b))
            box_check_quiet(b);
        if (b->violation != NULL) {
            fail_at(x, b);
            box_free(b);
            return false;
        }
    }
    x->deepest = MAX(x->deepest, x->depth);
    for (unsigned i = 0; i < count; i++) {
        struct budget next = left;
        struct box *child = b;

        if (x->visited_count >= x->states_max)
            break;
        /* The last child may have the box itself; the others need their own. */
        if (i + 1 < count)
            child = replay(x, &next);
        else
            b = NULL;
        x->path[x->depth] = out[i];
        take(child, &next, out[i]);
        x->depth++;
        if (!explore(x, child, next)) {
            box_free(b);
            return false;
        }
        x->depth--;
    }
    box_free(b);
    return true;
}

static bool run(const struct scope *scope, uint64_t states_max, unsigned number)
{
    struct explore x = {.scope = *scope, .states_max = states_max};
    bool held;

    x.visited = mem_zalloc(UINT64_C(1) << VISITED_BITS, sizeof(*x.visited));
    held = explore(&x, start(), full_budget(scope));
    printf("%s %u - writes %d+%d, crashes %d, suspicions %d, doubles %d: %" PRIu64
           " states%s, %" PRIu64 " at rest, depth %d%s%s\n",
           held ? "ok" : "not ok", number, scope->writes[0], scope->writes[1], scope->crashes,
           scope->suspicions, scope->doubles, x.visited_count,
           x.visited_count >= states_max ? " (cut)" : ", all", x.quiet, x.deepest, held ? "" : ", ",
           x.why);
    (void)fflush(stdout);
    free(x.visited);
    return held;
}

int main(int argc, char **argv)
{
    static const struct scope scopes[] = {
        {{1, 0}, 1, 0, 0}, {{1, 0}, 0, 1, 1}, {{1, 1}, 0, 0, 0},
        {{1, 1}, 1, 0, 0}, {{2, 1}, 1, 1, 1},
    };
    uint64_t states_max = 150000;
    bool held = true;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--states") == 0)
            states_max = strtoull(argv[i + 1], NULL, 0);
    }
    states_max = MIN(states_max, UINT64_C(1) << (VISITED_BITS - 1));
    printf("1..%zu\n", ARRAY_COUNT(scopes));
    for (unsigned i = 0; i < ARRAY_COUNT(scopes); i++)
        held = run(&scopes[i], states_max, i + 1) && held;
    return held ? EXIT_SUCCESS : EXIT_FAILURE;
}
