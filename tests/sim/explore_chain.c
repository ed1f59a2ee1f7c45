/*
 * The chain core, all ways: three members, two clients that write the same cells and read them, crashes
 * at any moment, a wrong suspicion (an epoch race) at any moment, a doubled request at any moment, who
 * comes back and joins, and every order in which messages, disks and configurations can come. States
 * are told apart by a hash over everything that decides the future; the box lies in an arena, which is
 * copied to try one way after the other.
 *
 *   explore_chain [--states N] [--scope N]     0 states: all of them
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/mem.h"
#include "datanode/chain_private.h"
#include "tests/sim/arena.h"
#include "tests/sim/box.h"

enum { STATES_DEFAULT = 150000, DEPTH_MAX = 400, VISITED_BITS_MIN = 16, VISITED_BITS_MAX = 28 };

struct budget {
    int writes[2]; /* of each client */
    int reads, crashes;
    int suspicions; /* members dropped although they live */
    int doubles, rejoins;
};

struct scope {
    const char *name;
    struct budget budget;
};

struct explore {
    uint64_t *visited; /* open addressing; 0: free */
    unsigned visited_bits;
    uint64_t visited_count, states_max, quiet, steps;
    struct box_choice path[DEPTH_MAX];
    int depth, deepest;
    bool is_cut;
    void *saved[DEPTH_MAX]; /* the arena at each depth */
    size_t saved_capacity[DEPTH_MAX];
    unsigned mutant;
    char why[1024];
};

static struct box *start(unsigned mutant)
{
    struct box *b = box_new(
        &(struct box_options){.members = 3, .min_write = 2, .clients = 2, .mutant = mutant});

    box_config(b, "0S 1S 2S");
    box_settle(b);
    return b;
}

/* ---- the states seen ---- */

static void put(uint64_t *table, unsigned bits, uint64_t hash)
{
    uint64_t mask = (UINT64_C(1) << bits) - 1, i = hash >> 20 & mask;

    while (table[i] != 0)
        i = (i + 1) & mask;
    table[i] = hash;
}

static void grow(struct explore *x)
{
    uint64_t size = UINT64_C(1) << x->visited_bits;
    uint64_t *bigger = mem_zalloc(size * 2, sizeof(*bigger));

    for (uint64_t i = 0; i < size; i++) {
        if (x->visited[i] != 0)
            put(bigger, x->visited_bits + 1, x->visited[i]);
    }
    free(x->visited);
    x->visited = bigger;
    x->visited_bits++;
}

/* True when it is new. */
static bool visit(struct explore *x, uint64_t hash)
{
    uint64_t mask = (UINT64_C(1) << x->visited_bits) - 1, i;

    hash |= 1;
    for (i = hash >> 20 & mask; x->visited[i] != 0; i = (i + 1) & mask) {
        if (x->visited[i] == hash)
            return false;
    }
    x->visited[i] = hash;
    x->visited_count++;
    if (x->visited_count * 4 > mask * 3) {
        if (x->visited_bits == VISITED_BITS_MAX) {
            x->is_cut = true;
        } else {
            arena_end();
            grow(x);
            arena_resume();
        }
    }
    return true;
}

/* ---- what may happen ---- */

static const struct chain_member *listed(const struct box *b, int m)
{
    for (uint32_t i = 0; i < b->config.member_count; i++) {
        if (ID_EQUAL(b->config.members[i].target, b->members[m].target))
            return &b->config.members[i];
    }
    return NULL;
}

static bool is_sound(const struct box *b, int m)
{
    return b->members[m].alive && listed(b, m)->incarnation == b->members[m].incarnation;
}

static unsigned sound_serving(const struct box *b)
{
    unsigned n = 0;

    for (int m = 0; m < 3; m++)
        n += is_sound(b, m) && listed(b, m)->state == MEMBER_SERVING;
    return n;
}

static bool any_syncing(const struct box *b)
{
    for (int m = 0; m < 3; m++) {
        if (listed(b, m)->state == MEMBER_SYNCING)
            return true;
    }
    return false;
}

/* A dead member that is still listed keeps the others from the end. */
static bool is_whole(const struct box *b)
{
    for (int m = 0; m < 3; m++) {
        if (!is_sound(b, m) && listed(b, m)->state != MEMBER_OFFLINE)
            return false;
    }
    return chain_config_writable(&b->config);
}

static void add(struct box_choice *out, unsigned *count, enum box_choice_kind kind, int a, int n)
{
    if (*count < BOX_CHOICES_MAX)
        out[(*count)++] = (struct box_choice){kind, a, 0, n};
}

/* ---- moves that need no other order tried ---- */

/* Of the head of a queue. */
static bool is_stale(const struct box *b, int to, const struct box_msg *m)
{
    return (m->kind == BOX_OP || m->kind == BOX_ACK) && b->members[to].alive &&
           m->epoch < chain_config_of(b->members[to].chain)->epoch;
}

static bool is_plain_mail(const struct box *b, const struct budget *left, int n)
{
    const struct box_mail *m = b->mail;
    const struct box_member *to;

    for (int i = 0; m != NULL && i < n; i++)
        m = m->next;
    if (m == NULL || b->ops[m->op].is_read)
        return false;
    if (m->is_reply)
        return m->status < 0 || b->ops[m->op].answered != 0;
    to = &b->members[m->member];
    return to->alive ? m->epoch < chain_config_of(to->chain)->epoch : left->rejoins == 0;
}

/* Nobody will ever ask what its disk holds. */
static bool is_out_for_good(const struct box *b, const struct budget *left, int m)
{
    return left->rejoins == 0 && chain_place_of(b->members[m].chain)->role == CHAIN_OUT;
}

/*
 * It commutes with whatever else may happen, now and later, and shows in no check: so it is made at once,
 * and no state is there in which it is still to come. These are refusals and old answers on their way to
 * a client (they let it send again, which it need not do at once), requests and messages of an epoch that
 * their receiver has left, news that it has, and what happens to a disk that nobody asks any more.
 */
static bool is_plain(const struct box *b, const struct budget *left, struct box_choice c)
{
    switch (c.kind) {
    case BOX_REFRESH:
        return true;
    case BOX_MAIL:
        return is_plain_mail(b, left, c.n);
    case BOX_DELIVER_FORTH:
        return is_stale(b, c.b, b->conns[c.a][c.b].forth);
    case BOX_DELIVER_BACK:
        return is_stale(b, c.a, b->conns[c.a][c.b].back);
    case BOX_DELIVER_DOWN:
        return left->rejoins == 0 && !ID_EQUAL(chain_place_of(b->members[c.a].chain)->succ.target,
                                               b->members[c.b].target);
    case BOX_PUSH:
        return chain_config_of(b->members[c.a].chain)->epoch == b->config.epoch;
    case BOX_DISK:
        return is_out_for_good(b, left, c.a);
    default:
        return false;
    }
}

static void add_troubles(const struct box *b, const struct budget *left, int m,
                         struct box_choice *out, unsigned *count)
{
    enum member_state state = listed(b, m)->state;

    if (!b->members[m].alive && left->rejoins > 0)
        add(out, count, BOX_RESTART, m, 0);
    if (state == MEMBER_OFFLINE) {
        if (b->members[m].alive && left->rejoins > 0 && !any_syncing(b))
            add(out, count, BOX_ADD, m, 0);
        return;
    }
    if (!is_sound(b, m)) {
        if (sound_serving(b) > 0)
            add(out, count, BOX_REMOVE, m, 0);
        return;
    }
    if (state == MEMBER_SERVING && sound_serving(b) == 1)
        return; /* The last one that has everything. */
    if (left->crashes > 0) {
        add(out, count, BOX_CRASH, m, 0);
        if (box_io_possible(b, m) > 0 && left->rejoins > 0)
            add(out, count, BOX_CRASH, m, 9); /* Its page cache had them. */
    }
    if (left->suspicions > 0)
        add(out, count, BOX_REMOVE, m, 0);
}

static unsigned choices(struct box *b, const struct budget *left, struct box_choice *out,
                        bool *ret_at_rest)
{
    unsigned count = box_moves(b, out);

    *ret_at_rest = count == 0;
    for (unsigned i = 0; i < count; i++) {
        if (is_plain(b, left, out[i])) {
            out[0] = out[i];
            return 1;
        }
    }
    for (int c = 0; c < 2; c++) {
        if (left->writes[c] > 0 && b->clients[c].current < 0)
            add(out, &count, BOX_WRITE, c, 0);
        if (left->doubles > 0 && b->clients[c].current >= 0)
            add(out, &count, BOX_SEND, c, 1);
    }
    for (int m = 0; m < 3; m++) {
        if (left->reads > 0 && b->members[m].alive)
            add(out, &count, BOX_READ, m, 0);
        add_troubles(b, left, m, out, &count);
    }
    return count;
}

static void spend(struct budget *left, const struct box *b, struct box_choice c)
{
    if (c.kind == BOX_WRITE)
        left->writes[c.a]--;
    if (c.kind == BOX_READ)
        left->reads--;
    if (c.kind == BOX_CRASH)
        left->crashes--;
    if (c.kind == BOX_SEND && c.n == 1)
        left->doubles--;
    if (c.kind == BOX_REMOVE && is_sound(b, c.a))
        left->suspicions--;
    if (c.kind == BOX_ADD)
        left->rejoins--;
}

static void take(struct box *b, struct budget *left, struct box_choice c)
{
    spend(left, b, c);
    if (c.kind == BOX_WRITE) {
        b->now++;
        /* Both write cell 1: half a block each, and one they share. */
        (void)box_write(b, c.a, 0, (uint32_t)c.a, 2);
    } else if (c.kind == BOX_READ) {
        b->now++;
        (void)box_read(b, 1, 0, 0, c.a);
    } else {
        box_do(b, c);
    }
}

/* ---- all ways ---- */

static uint64_t state_hash(const struct box *b, const struct budget *left)
{
    uint64_t spent = (uint64_t)left->writes[0] | (uint64_t)left->writes[1] << 8 |
                     (uint64_t)left->crashes << 16 | (uint64_t)left->suspicions << 24 |
                     (uint64_t)left->doubles << 32 | (uint64_t)left->reads << 40 |
                     (uint64_t)left->rejoins << 48;

    return box_hash(b) ^ spent * UINT64_C(0x9e3779b97f4a7c15);
}

static bool fail_at(struct explore *x, const struct box *b)
{
    int n = snprintf(x->why, sizeof(x->why), "%s: %s, after", b->violation, b->what);

    for (int i = 0; i < x->depth && n > 0 && (size_t)n < sizeof(x->why) - 20; i++)
        n += snprintf(x->why + n, sizeof(x->why) - (size_t)n, " %d:%d,%d,%d", (int)x->path[i].kind,
                      x->path[i].a, x->path[i].b, x->path[i].n);
    return false;
}

static void check_at_rest(struct box *b)
{
    if (!is_whole(b))
        return;
    box_check_quiet(b);
    for (int c = 0; c < 2; c++) {
        if (b->clients[c].current >= 0)
            box_violate(b, "an operation never ended", "client=%d", c);
    }
}

static void save(struct explore *x)
{
    size_t size = arena_size();

    arena_end();
    if (x->saved_capacity[x->depth] < size) {
        x->saved_capacity[x->depth] = size * 2;
        x->saved[x->depth] = mem_realloc(x->saved[x->depth], size * 2, 1);
    }
    arena_resume();
    arena_save(x->saved[x->depth]);
}

/* Depth first. False: an invariant broke. */
static bool explore(struct explore *x, struct box *b, struct budget left)
{
    struct box_choice out[BOX_CHOICES_MAX];
    unsigned count;
    size_t size;
    bool at_rest;

    if (b->violation != NULL)
        return fail_at(x, b);
    x->is_cut = x->is_cut || x->visited_count >= x->states_max || x->depth == DEPTH_MAX - 1;
    if (x->is_cut || !visit(x, state_hash(b, &left)))
        return true;
    count = choices(b, &left, out, &at_rest);
    if (at_rest) { /* Whatever else may still be begun. */
        x->quiet++;
        check_at_rest(b);
        if (b->violation != NULL)
            return fail_at(x, b);
    }
    x->deepest = MAX(x->deepest, x->depth);
    size = arena_size();
    if (count > 1)
        save(x);
    for (unsigned i = 0; i < count && !x->is_cut; i++) {
        struct budget next = left;

        if (i > 0)
            arena_restore(x->saved[x->depth], size);
        x->path[x->depth] = out[i];
        take(b, &next, out[i]);
        x->steps++;
        x->depth++;
        if (!explore(x, b, next))
            return false;
        x->depth--;
    }
    return true;
}

static bool run(struct explore *x, const struct scope *s)
{
    struct box *b;
    bool held;

    x->visited_bits = VISITED_BITS_MIN;
    x->visited = mem_zalloc(UINT64_C(1) << x->visited_bits, sizeof(*x->visited));
    arena_begin();
    b = start(x->mutant);
    held = explore(x, b, s->budget);
    arena_end();
    free(x->visited);
    for (int i = 0; i < DEPTH_MAX; i++)
        free(x->saved[i]);
    return held;
}

static const struct scope scopes[] = {
    {"one write, a crash", {.writes = {1, 0}, .crashes = 1}},
    {"one write sent twice, a suspicion", {.writes = {1, 0}, .suspicions = 1, .doubles = 1}},
    {"a write each", {.writes = {1, 1}}},
    {"a write, a crash, it comes back", {.writes = {1, 0}, .crashes = 1, .rejoins = 1}},
    {"a write each, a crash", {.writes = {1, 1}, .crashes = 1}},
    {"one write, two crashes", {.writes = {1, 0}, .crashes = 2}},
    {"a write and a read, a crash", {.writes = {1, 0}, .reads = 1, .crashes = 1}},
    {"a write and a read, a suspicion", {.writes = {1, 0}, .reads = 1, .suspicions = 1}},
    {"two writes and one, two crashes, a suspicion",
     {.writes = {2, 1}, .crashes = 2, .suspicions = 1}},
};

#ifdef CHAIN_MUTANTS
#define HUNTS "# " /* Here a violation is what is wanted. */
#else
#define HUNTS ""
#endif

static void tell(const struct explore *x, const struct scope *s, unsigned number, bool held,
                 double seconds)
{
    printf(HUNTS "%s %u - %s: %" PRIu64 " states%s, %" PRIu64 " steps, %" PRIu64
                 " at rest, depth %d, %.1f s%s%s\n",
           held ? "ok" : "not ok", number, s->name, x->visited_count,
           x->is_cut ? " (cut)" : ", all", x->steps, x->quiet, x->deepest, seconds,
           held ? "" : ": ", x->why);
    (void)fflush(stdout);
}

static double now_s(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static bool run_scope(unsigned i, unsigned mutant, uint64_t states_max)
{
    struct explore *x = MEM_NEW(struct explore);
    double began = now_s();
    bool held;

    x->states_max = states_max;
    x->mutant = mutant;
    held = run(x, &scopes[i]);
    tell(x, &scopes[i], i + 1, held, now_s() - began);
    free(x);
    return held;
}

#ifdef CHAIN_MUTANTS
/* Those of which a scope can see the effect, and the smallest that does. */
static const struct {
    enum chain_mutant mutant;
    unsigned scope;
    const char *name;
} mutants[] = {
    {MUTANT_ACK_BEFORE_APPLY, 1, "acknowledged before the local disk has it"},
    {MUTANT_REPLY_WITHOUT_CHAIN, 1, "the head answers without its successor"},
    {MUTANT_RESEND_WITHOUT_SEQ, 2, "a resend without what the successor has received"},
    {MUTANT_NO_DEDUP, 2, "a retry runs again"},
    {MUTANT_DEDUP_AT_HEAD_ONLY, 2, "the table stays at the head"},
    {MUTANT_ACK_NOT_WRITABLE, 6, "acknowledged in an epoch that cannot be written"},
    {MUTANT_ANY_INCARNATION, 4, "equal incarnation after a restart"},
};

/* An assertion that fails has found it too: each hunt is a process of its own. */
static bool is_found(unsigned scope, unsigned mutant, uint64_t states_max)
{
    int status = 0;
    pid_t child;

    (void)fflush(stdout);
    child = fork();
    if (child == 0)
        _exit(run_scope(scope, mutant, states_max) ? EXIT_SUCCESS : EXIT_FAILURE);
    return child > 0 && waitpid(child, &status, 0) == child && status != 0;
}

static int hunt_mutants(uint64_t states_max)
{
    bool all = true;

    printf("1..%zu\n", ARRAY_COUNT(mutants));
    for (unsigned i = 0; i < ARRAY_COUNT(mutants); i++) {
        bool found = is_found(mutants[i].scope - 1, mutants[i].mutant, states_max);

        printf("%sok %u - found: %s\n", found ? "" : "not ", i + 1, mutants[i].name);
        all = all && found;
    }
    return all ? EXIT_SUCCESS : EXIT_FAILURE;
}
#endif

int main(int argc, char **argv)
{
    uint64_t states_max = STATES_DEFAULT;
    unsigned only = 0;
    bool held = true;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--states") == 0)
            states_max = strtoull(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "--scope") == 0)
            only = (unsigned)strtoul(argv[i + 1], NULL, 0);
    }
    if (states_max == 0)
        states_max = UINT64_MAX;
#ifdef CHAIN_MUTANTS
    return hunt_mutants(states_max);
#endif
    printf("1..%zu\n", only != 0 ? 1 : ARRAY_COUNT(scopes));
    for (unsigned i = 0; i < ARRAY_COUNT(scopes); i++) {
        if (only == 0 || only == i + 1)
            held = run_scope(i, MUTANT_NONE, states_max) && held;
    }
    return held ? EXIT_SUCCESS : EXIT_FAILURE;
}
