/*
 * The chain core under chance: connections break, members crash and come back, the namenode drops
 * and takes back, disks finish in any order, mail is late, doubled and lost. Each schedule comes
 * from its seed alone. After each step the invariants hold; at the end everything is mended, comes
 * to rest, all members are identical and every cell was a register.
 *
 *   sim_chain [--seed N] [--count N] [--stores PERCENT] [--mutant N] [--verbose]
 *   sim_chain_mutants [--only K] [--hunts N]     N hunts each, for the median of schedules it takes
 *
 * A failure prints `seed=`: run that seed alone, with --verbose.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/rng.h"
#include "datanode/chain_mutant.h"
#include "datanode/chain_private.h"
#include "tests/sim/box.h"
#include "tests/sim/last_words.h"

enum { STEPS_MIN = 150, STEPS_MAX = 700, MEND_ROUNDS = 60, NN_TURNS_MAX = 1500, SCHEDULES = 20000 };

static unsigned store_percent = 15; /* of the schedules; they are slower */

struct sim {
    struct box *b;
    struct rng rng;
    unsigned members;
    bool overlap; /* clients write the same cells; then no cold start may happen */
    bool store;   /* the store of production, and power failures */
    bool nn;      /* the namenode's own core decides who is a member */
    /* In percent of steps; a seed turns some of them off. */
    unsigned crash, breaks, remove, lose, duplicate, clean, fence, read, write, tick;
    unsigned cut, wall, lead, turn, power, sync;
    bool tells;
};

static unsigned maybe(struct rng *r, unsigned max)
{
    return rng_percent(r, 70) ? (unsigned)rng_range(r, 1, max) : 0;
}

static void sim_init(struct sim *s, uint64_t seed, unsigned mutant)
{
    struct box_options o = {.min_write = 2, .clients = BOX_CLIENTS, .mutant = mutant};

    *s = (struct sim){0};
    rng_seed(&s->rng, seed);
    s->members = (unsigned)rng_range(&s->rng, 3, BOX_MEMBERS);
    s->overlap = rng_percent(&s->rng, 60);
    s->crash = maybe(&s->rng, 4);
    s->breaks = maybe(&s->rng, 5);
    s->remove = maybe(&s->rng, 3);
    s->lose = maybe(&s->rng, 5);
    s->duplicate = maybe(&s->rng, 8);
    s->clean = maybe(&s->rng, 10);
    s->fence = maybe(&s->rng, 4);
    s->read = maybe(&s->rng, 12);
    s->tick = maybe(&s->rng, 3);
    s->write = (unsigned)rng_range(&s->rng, 5, 25);
    o.members = s->members;
    o.opseq_step = rng_percent(&s->rng, 50) ? 97 : 1;
    s->nn = rng_percent(&s->rng, 50);
    s->cut = maybe(&s->rng, 3);
    s->wall = maybe(&s->rng, 3);
    s->lead = maybe(&s->rng, 2);
    s->turn = (unsigned)rng_range(&s->rng, 10, 60);
    o.has_store = s->store = rng_percent(&s->rng, store_percent);
    o.store_seed = rng_u64(&s->rng);
    s->power = (unsigned)rng_range(&s->rng, 0, 100);
    s->sync = s->store ? maybe(&s->rng, 20) : maybe(&s->rng, 5);
    s->b = box_new(&o);
    box_config(s->b, s->members == 3 || s->nn ? "0S 1S 2S" : "0S 1S 2S 3-");
    if (s->nn)
        box_nn_start(s->b, rng_u64(&s->rng));
}

static void tell(const struct sim *s, const char *what, int a, int c, int n)
{
    if (s->tells)
        printf("%6" PRIu64 " %s %d %d %d\n", s->b->now, what, a, c, n);
}

static void move(struct sim *s, struct box_choice c)
{
    box_do(s->b, c);
}

static bool chance(struct sim *s, unsigned percent)
{
    return rng_percent(&s->rng, percent);
}

static int pick_member(struct sim *s)
{
    return (int)rng_below(&s->rng, s->members);
}

static const struct chain_member *listed(const struct sim *s, int m)
{
    const struct chain_config *c = &s->b->config;

    for (uint32_t i = 0; i < c->member_count; i++) {
        if (ID_EQUAL(c->members[i].target, s->b->members[m].target))
            return &c->members[i];
    }
    return NULL;
}

static enum member_state state_of(const struct sim *s, int m)
{
    const struct chain_member *l = listed(s, m);

    return l == NULL ? MEMBER_OFFLINE : l->state;
}

static unsigned count_of(const struct sim *s, enum member_state state)
{
    unsigned n = 0;

    for (int i = 0; i < (int)s->members; i++)
        n += state_of(s, i) == state;
    return n;
}

/* A member that still is what the configuration says. */
static bool is_sound(const struct sim *s, int m)
{
    const struct chain_member *l = listed(s, m);

    return s->b->members[m].alive && l != NULL && l->incarnation == s->b->members[m].incarnation &&
           !chain_is_failed(s->b->members[m].chain);
}

static unsigned sound_serving(const struct sim *s)
{
    unsigned n = 0;

    for (int i = 0; i < (int)s->members; i++)
        n += state_of(s, i) == MEMBER_SERVING && is_sound(s, i);
    return n;
}

/* The namenode never drops the last one that has everything. */
static void maybe_remove(struct sim *s, int m)
{
    bool serving = state_of(s, m) == MEMBER_SERVING;

    if (state_of(s, m) == MEMBER_OFFLINE || (serving && count_of(s, MEMBER_SERVING) == 1))
        return;
    if (serving && sound_serving(s) - is_sound(s, m) == 0)
        return;
    move(s, (struct box_choice){BOX_REMOVE, m, 0, 0});
}

static void maybe_add(struct sim *s, int m)
{
    if (state_of(s, m) == MEMBER_OFFLINE && s->b->members[m].alive &&
        count_of(s, MEMBER_SYNCING) == 0)
        move(s, (struct box_choice){BOX_ADD, m, 0, 0});
}

static void maybe_crash(struct sim *s, int m)
{
    /* What only one member has, dies with it: that is 5.9 of the protocol, and not simulated. */
    if (!s->b->members[m].alive)
        return;
    if ((s->overlap || !s->nn) && state_of(s, m) == MEMBER_SERVING &&
        sound_serving(s) - is_sound(s, m) == 0)
        return;
    move(s, (struct box_choice){BOX_CRASH, m, chance(s, s->power), (int)rng_below(&s->rng, 4)});
}

static void begin_op(struct sim *s, int client)
{
    uint32_t cells = 1 + (uint32_t)rng_below(&s->rng, 3);
    uint32_t chunk, first;

    if (s->b->clients[client].current >= 0 || s->b->op_count >= BOX_OPS_MAX - 8)
        return;
    if (rng_percent(&s->rng, 6)) { /* The last chunk is for those that are no registers. */
        tell(s, "trunc", client, 0, 0);
        (void)box_trunc(s->b, client, BOX_CHUNKS - 1, (uint32_t)rng_below(&s->rng, BOX_CELLS));
        return;
    }
    if (chance(s, s->sync)) {
        tell(s, "sync", client, (int)s->b->clients[client].since_epoch, 0);
        (void)box_sync(s->b, client, s->b->clients[client].since_epoch);
        return;
    }
    chunk = (uint32_t)rng_below(&s->rng, BOX_CHUNKS);
    first = (uint32_t)rng_below(&s->rng, BOX_CELLS - cells + 1);
    if (!s->overlap && chunk < BOX_CHUNKS - 1) {
        first = (uint32_t)client * 2;
        cells = 1 + (uint32_t)rng_below(&s->rng, 2);
    }
    tell(s, "write", client, (int)chunk, (int)first);
    (void)box_write(s->b, client, chunk, first, cells);
}

static void begin_read(struct sim *s, int client)
{
    if (s->b->op_count >= BOX_OPS_MAX - 8)
        return;
    tell(s, "read", client, 0, 0);
    (void)box_read(s->b, client, (uint32_t)rng_below(&s->rng, BOX_CHUNKS),
                   (uint32_t)rng_below(&s->rng, BOX_BLOCKS), pick_member(s));
}

/* What the namenode of production meets. */
static void trouble_of_nn(struct sim *s, int m)
{
    struct box *b = s->b;
    int other = pick_member(s);

    if (chance(s, s->turn))
        box_nn_turn(b);
    if (chance(s, s->cut))
        box_nn_cut(b, m, box_nn_reaches(b, m));
    if (chance(s, s->lead))
        box_nn_lead_anew(b);
    if (m != other && chance(s, s->wall)) {
        b->wall[m][other] = !b->wall[m][other];
        move(s, (struct box_choice){BOX_BREAK, m, other, 0});
    }
}

static void trouble(struct sim *s)
{
    struct box *b = s->b;
    int m = pick_member(s), client = (int)rng_below(&s->rng, b->o.clients);

    if (chance(s, s->crash))
        maybe_crash(s, m);
    if (chance(s, s->crash) && !b->members[m].alive)
        move(s, (struct box_choice){BOX_RESTART, m, 0, 0});
    if (chance(s, s->breaks))
        move(s, (struct box_choice){BOX_BREAK, m, pick_member(s), 0});
    if (s->nn)
        trouble_of_nn(s, m);
    if (!s->nn && chance(s, s->remove))
        maybe_remove(s, m);
    if (!s->nn && chance(s, s->remove * 2))
        maybe_add(s, m);
    if (chance(s, s->lose) && b->mail != NULL)
        move(s, (struct box_choice){BOX_LOSE, 0, 0, 0});
    if (chance(s, s->duplicate) && b->clients[client].current >= 0)
        move(s, (struct box_choice){BOX_SEND, client, 0, 0});
    /* A copy of something long over. */
    if (chance(s, s->duplicate) && b->op_count > 0) {
        int op = (int)rng_below(&s->rng, (uint64_t)b->op_count);

        if (b->ops[op].op != NULL && b->ops[op].op->opseq != 0) {
            tell(s, "late", op, m, 0);
            box_send(b, op, m,
                     s->nn && b->ops[op].answered != 0 ? b->ops[op].ended_epoch : b->config.epoch);
        }
    }
    if (chance(s, s->clean))
        move(s, (struct box_choice){BOX_CLEAN, m, 0, (int)rng_below(&s->rng, BOX_CHUNKS)});
    if (chance(s, s->fence) && chance(s, 40))
        move(s, (struct box_choice){BOX_FENCE, client, 0, 0});
    if (chance(s, s->tick) && b->members[m].alive)
        move(s, (struct box_choice){BOX_TICK, m, 0, 0});
    if (chance(s, s->write))
        begin_op(s, client);
    if (chance(s, s->read))
        begin_read(s, client);
}

/* Drops dead weight and takes back who can come, as a namenode would. */
static bool mend_once(struct sim *s)
{
    struct box *b = s->b;

    for (int m = 0; m < (int)s->members; m++) {
        if (!b->members[m].alive) {
            move(s, (struct box_choice){BOX_RESTART, m, 0, 0});
            return true;
        }
    }
    for (int m = 0; m < (int)s->members; m++) {
        if (state_of(s, m) != MEMBER_OFFLINE && !is_sound(s, m)) {
            uint64_t before = b->config.epoch;

            maybe_remove(s, m);
            if (b->config.epoch != before)
                return true;
        }
    }
    for (int m = 0; m < (int)s->members; m++) {
        if (state_of(s, m) == MEMBER_OFFLINE && count_of(s, MEMBER_SYNCING) == 0) {
            maybe_add(s, m);
            return true;
        }
    }
    return false;
}

/* All come back, and the namenode does the rest, in bounded time. */
static void mend_by_nn(struct sim *s)
{
    struct box *b = s->b;

    memset(b->wall, 0, sizeof(b->wall));
    box_nn_calm(b);
    for (int m = 0; m < (int)s->members; m++) {
        if (!b->members[m].alive)
            move(s, (struct box_choice){BOX_RESTART, m, 0, 0});
    }
    for (int i = 0; i < NN_TURNS_MAX && b->violation == NULL; i++) {
        box_settle(b);
        if (box_nn_is_whole(b) && box_is_idle(b))
            return;
        box_nn_turn(b);
    }
    box_violate(b, "it did not become whole again", "epoch=%d serving=%u", (int)b->config.epoch,
                count_of(s, MEMBER_SERVING));
}

static void mend_by_script(struct sim *s)
{
    for (int i = 0; i < MEND_ROUNDS && s->b->violation == NULL; i++) {
        box_settle(s->b);
        if (!mend_once(s))
            break;
    }
    box_settle(s->b);
    if (s->b->violation == NULL && count_of(s, MEMBER_SERVING) != s->members)
        box_violate(s->b, "not every member came back", "serving=%u", count_of(s, MEMBER_SERVING));
    if (s->b->violation == NULL && !box_is_idle(s->b))
        box_violate(s->b, "an operation never ended", "epoch=%d", (int)s->b->config.epoch);
}

static void mend(struct sim *s)
{
    if (s->nn)
        mend_by_nn(s);
    else
        mend_by_script(s);
    if (s->b->violation == NULL)
        box_check_quiet(s->b);
}

static void run(struct sim *s)
{
    uint64_t steps = rng_range(&s->rng, STEPS_MIN, STEPS_MAX);
    struct box_choice moves[BOX_CHOICES_MAX];

    box_settle(s->b);
    for (uint64_t i = 0; i < steps && s->b->violation == NULL; i++) {
        unsigned n = box_moves(s->b, moves);

        if (n > 0)
            move(s, moves[rng_below(&s->rng, n)]);
        if (s->b->history_count < BOX_CONFIGS_MAX - 80)
            trouble(s);
    }
    mend(s);
}

struct totals {
    uint64_t acked, resent, rejoined, copied, promoted, reads, head_died, fences, steps, cold,
        leaders, accused, stores, power, synced, too_cold, laundered, undone;
};

static void add(struct totals *t, const struct box *b)
{
    t->acked += b->sometimes.acked;
    t->resent += b->sometimes.resent;
    t->rejoined += b->sometimes.rejoined;
    t->copied += b->sometimes.copied;
    t->promoted += b->sometimes.promoted;
    t->reads += b->sometimes.reads;
    t->head_died += b->sometimes.head_died;
    t->fences += b->sometimes.fences;
    t->cold += b->sometimes.cold;
    t->leaders += b->sometimes.leaders;
    t->accused += b->sometimes.accused;
    t->stores += b->o.has_store;
    t->power += b->o.has_store ? b->sometimes.power : 0;
    t->synced += b->sometimes.synced;
    t->too_cold += b->sometimes.too_cold;
    t->laundered += b->sometimes.laundered;
    t->undone += b->sometimes.undone;
    t->steps += b->now;
}

/* True when it held. */
static bool one(uint64_t seed, unsigned mutant, bool tells, struct totals *t, char *why,
                size_t why_size)
{
    struct sim s;
    bool held;

    sim_init(&s, seed, mutant);
    s.tells = s.b->tells = tells;
    run(&s);
    held = s.b->violation == NULL;
    if (!held)
        (void)snprintf(why, why_size, "%s: %s", s.b->violation, s.b->what);
    add(t, s.b);
    box_free(s.b);
    return held;
}

#ifdef CHAIN_MUTANTS
/*
 * Two bugs are hidden by other rules nearly always; each has a schedule of its own. The head of an
 * old epoch, which the namenode cannot reach, orders once more; or a new head hears of its epoch
 * from a neighbour, before the list of fences has come.
 */
static bool directed(unsigned mutant, char *why, size_t why_size)
{
    const struct box_options o = {.members = 3, .min_write = 2, .clients = 2, .mutant = mutant};
    bool by_neighbour = mutant == MUTANT_FENCE_NOT_INHERITED;
    struct box *b = box_new(&o);
    int op, m = by_neighbour ? 1 : 0;
    bool found;

    box_config(b, "0S 1S 2S");
    box_settle(b);
    if (by_neighbour)
        box_fence(b, 0);
    box_config(b, "1S 2S 0-");
    for (int i = 1; i <= 2; i++)
        box_step(b, i, &(struct chain_event){.kind = CHAIN_EV_CONFIG, .config = &b->config});
    box_do(b, (struct box_choice){BOX_DELIVER_FORTH, 1, 2, 0});
    box_do(b, (struct box_choice){BOX_DELIVER_BACK, 1, 2, 0});
    op = box_write(b, 0, 0, 0, 1);
    box_send(b, op, m, chain_config_of(b->members[m].chain)->epoch);
    while (b->mail->op != op)
        box_do(b, (struct box_choice){BOX_MAIL, 0, 0, 0});
    box_do(b, (struct box_choice){BOX_MAIL, 0, 0, 0});
    while (!by_neighbour && b->conns[0][1].forth != NULL)
        box_do(b, (struct box_choice){BOX_DELIVER_FORTH, 0, 1, 0});
    found = chain_recv_seq(b->members[1].chain) > 0;
    (void)snprintf(why, why_size, "directed: %s",
                   found ? "an operation got a place that it must not get" : "");
    box_free(b);
    return found;
}

static const struct mutant {
    enum chain_mutant number;
    bool directed, in_store;
    bool slow; /* takes too many schedules for `make check` */
    const char *name;
} mutants[] = {
    {MUTANT_ACK_BEFORE_APPLY, .name = "acknowledged upstream before the local disk has it"},
    {MUTANT_REPLY_WITHOUT_CHAIN, .name = "the head answers without its successor"},
    {MUTANT_RESEND_WITHOUT_SEQ, .name = "a resend without what the successor has received"},
    {MUTANT_NO_DEDUP, .name = "a retry runs again"},
    {MUTANT_DEDUP_AT_HEAD_ONLY, .name = "the table of what was executed stays at the head"},
    {MUTANT_NO_FLOOR, .name = "the floor is not carried in the operation"},
    {MUTANT_SNAPSHOT_WITHOUT_DEDUP, .slow = true, .name = "a joiner starts with an empty table"},
    {MUTANT_ANY_EPOCH, .directed = true, .name = "operations of older epochs are taken"},
    {MUTANT_ANY_INCARNATION, .name = "equal incarnation after a restart"},
    {MUTANT_ACK_NOT_WRITABLE, .name = "acknowledged in an epoch that is not writable"},
    {MUTANT_NO_FENCE, .name = "fenced sessions go on"},
    {MUTANT_FENCE_NOT_INHERITED, .directed = true,
     .name = "a new head does not wait for its fences"},
    {MUTANT_JOINER_NOT_WAITED_FOR, .name = "stable without the joiner"},
    {MUTANT_READ_DIRTY, .name = "a read does not wait for what is not stable"},
    {MUTANT_NO_INCOMPLETE, .name = "no INCOMPLETE"},
    {MUTANT_COPY_OVER_LIVE, .name = "a copy over what came live meanwhile"},
    {MUTANT_COMPARE_CRCS, .name = "blocks of one CRC are believed equal"},
    {MUTANT_HIGHER_VERSION_WINS, .slow = true, .name = "the higher version wins when joining"},
    {MUTANT_DIRTY_NOT_WAITED_FOR, .in_store = true, .name = "DIRTY is durable after the write"},
    {MUTANT_SYNC_WITHOUT_DISK, .in_store = true, .slow = true, .name = "a sync that syncs nothing"},
    {MUTANT_COMPLETE_UNSYNCED, .in_store = true, .name = "a copy is complete before it is synced"},
    {MUTANT_TOMBSTONE_NOT_OUTWAITED, .in_store = true, .slow = true,
     .name = "a chunk is made again while its tombstone is on the disk"},
    {MUTANT_TORN_FILE_STAYS, .in_store = true, .slow = true,
     .name = "a chunk made anew begins with what a crash has left"},
    {MUTANT_UNKNOWN_FILES_GO, .in_store = true, .name = "unknown files are deleted at the start"},
};

enum { HUNTS_MAX = 25 };

/* An assertion that fails catches a mutant too: so each hunt is a process of its own. */
struct hunt {
    uint64_t seed;
    char why[256];
};

static void hunt_in_child(const struct mutant *m, uint64_t from, uint64_t count, struct hunt *h)
{
    struct totals t = {0};
    int null = open("/dev/null", O_WRONLY);

    (void)dup2(null, STDERR_FILENO);
    store_mutant = m->number;
    store_percent = m->in_store ? 100 : store_percent;
    for (h->seed = from; h->seed < from + count; h->seed++) {
        (void)snprintf(h->why, sizeof(h->why), "an assertion");
        if (!one(h->seed, m->number, false, &t, h->why, sizeof(h->why)))
            _exit(1);
    }
    _exit(0);
}

/* How many schedules from there on until it is caught; 0: it is not. */
static uint64_t run_hunt(const struct mutant *m, uint64_t from, uint64_t count, struct hunt *h)
{
    int status = 0;
    pid_t child;

    (void)fflush(stdout);
    child = fork();
    if (child == 0)
        hunt_in_child(m, from, count, h);
    if (child < 0 || waitpid(child, &status, 0) != child || status == 0)
        return 0;
    return h->seed - from + 1;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static bool hunt(unsigned test, const struct mutant *m, unsigned hunts, uint64_t count,
                 struct hunt *h)
{
    uint64_t taken[HUNTS_MAX], from = 1;

    if (m->directed) {
        bool found = !directed(MUTANT_NONE, h->why, sizeof(h->why)) &&
                     directed(m->number, h->why, sizeof(h->why));

        printf("%sok %u - %s (a schedule of its own)\n", found ? "" : "not ", test, m->name);
        return found;
    }
    for (unsigned i = 0; i < hunts; i++) {
        taken[i] = run_hunt(m, from, count, h);
        if (taken[i] == 0) {
            printf("not ok %u - %s is not caught in %" PRIu64 " schedules\n", test, m->name, count);
            return false;
        }
        from += taken[i];
        if (i == 0)
            printf("# seed=%" PRIu64 ": %s\n", h->seed, h->why);
    }
    qsort(taken, hunts, sizeof(taken[0]), by_size);
    printf("ok %u - %s is caught (median of %u hunts: %" PRIu64 " schedules)\n", test, m->name,
           hunts, taken[hunts / 2]);
    return true;
}

/* Each deliberate bug must be found. */
static int hunt_mutants(unsigned only, unsigned hunts, uint64_t count)
{
    struct hunt *h =
        mmap(NULL, sizeof(*h), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned test = 0, missed = 0;

    if (h == MAP_FAILED || hunts > HUNTS_MAX) {
        printf("Bail out! no shared memory, or more than %u hunts\n", (unsigned)HUNTS_MAX);
        return EXIT_FAILURE;
    }
    for (unsigned i = 0; i < ARRAY_COUNT(mutants); i++) {
        if (only == i + 1 || (only == 0 && (hunts > 1 || !mutants[i].slow)))
            missed += !hunt(++test, &mutants[i], hunts, count, h);
    }
    printf("1..%u\n", test);
    return missed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
#endif

int main(int argc, char **argv)
{
    const char *few = getenv("DFS_SIM_SCHEDULES"); /* As for sim_raft. */
    uint64_t first = 1, count = few != NULL ? strtoull(few, NULL, 10) : SCHEDULES;
    struct totals t = {0};
    char why[512] = "";
    bool tells = false;
    unsigned mutant = 0, only = 0, hunts = 1;
    uint64_t dies_at = 0; /* A test of the last words. */
    int dies_of = 0;

    last_words_prepare();
    log_init("sim_chain", LOG_LEVEL_ERROR); /* Thousands of restarts. */
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            first = strtoull(argv[++i], NULL, 0);
            count = 1;
        } else if (strcmp(argv[i], "--count") == 0 && i + 1 < argc) {
            count = strtoull(argv[++i], NULL, 0);
        } else if (strcmp(argv[i], "--mutant") == 0 && i + 1 < argc) {
            mutant = (unsigned)strtoul(argv[++i], NULL, 0);
        } else if (strcmp(argv[i], "--die-at") == 0 && i + 1 < argc) {
            (void)sscanf(argv[++i], "%" SCNu64 ":%d", &dies_at, &dies_of);
        } else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
            only = (unsigned)strtoul(argv[++i], NULL, 0);
        } else if (strcmp(argv[i], "--hunts") == 0 && i + 1 < argc) {
            hunts = (unsigned)strtoul(argv[++i], NULL, 0);
        } else if (strcmp(argv[i], "--stores") == 0 && i + 1 < argc) {
            store_percent = (unsigned)strtoul(argv[++i], NULL, 0);
        } else if (strcmp(argv[i], "--verbose") == 0) {
            tells = true;
        }
    }
#ifdef CHAIN_MUTANTS
    if (!tells)
        return hunt_mutants(only, hunts, count);
#else
    (void)only;
    (void)hunts;
#endif
    for (uint64_t i = 0; i < count; i++) {
        last_words_seed(first + i);
        if (first + i == dies_at)
            last_words_try(dies_of);
        if (!one(first + i, mutant, tells, &t, why, sizeof(why))) {
            printf("1..1\nnot ok 1 - seed=%" PRIu64 " %s\n", first + i, why);
            return EXIT_FAILURE;
        }
    }
    printf("1..1\nok 1 - %" PRIu64 " schedules from seed=%" PRIu64 "\n", count, first);
    printf("# %" PRIu64 " steps, acknowledged %" PRIu64 ", sent again %" PRIu64
           ", joins begun %" PRIu64 " and ended %" PRIu64 ", blocks copied %" PRIu64
           ", reads %" PRIu64 ", heads dead %" PRIu64 ", fences %" PRIu64
           ", starts after a total failure %" PRIu64 ", new leaders %" PRIu64
           ", accusations %" PRIu64 "\n",
           t.steps, t.acked, t.resent, t.rejoined, t.promoted, t.copied, t.reads, t.head_died,
           t.fences, t.cold, t.leaders, t.accused);
    printf("# with stores %" PRIu64 ", power failures %" PRIu64 ", synced %" PRIu64
           ", refused as too cold %" PRIu64 ", blocks laundered %" PRIu64
           ", values taken back by a total failure %" PRIu64 "\n",
           t.stores, t.power, t.synced, t.too_cold, t.laundered, t.undone);
    return EXIT_SUCCESS;
}
