/*
 * lin_load: several clients of a real cluster, each with a session of its own, do random things with a few
 * names at once, round after round in fresh directories; each round's history must be linearizable.
 * What else happens to the cluster meanwhile is somebody else's business (tests/e2e/linear.sh).
 *
 *   lin_load --config FILE [--seconds N] [--rounds N] [--seed N] [--clients N] [--ops N] [--names N]
 *            [--timeout MS] [--kill PERCENT] [--netns NAME[,NAME...]] [--mount PATH[,PATH...]]
 *            [--out DIR] [--keep]
 *
 * 0: no violation. 1: one, whose history is in DIR; or a client ended by itself.
 */
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/rng.h"
#include "tests/lin/load.h"

enum {
    PLACES_MAX = 4,
    ROUND_MS_MAX = 3000, /* Then no more calls. */
    ROUND_S_STUCK = 120, /* Then nothing will come of it any more. */
    PAUSE_PERCENT = 5,   /* of the rounds are not closed at once, so that something may happen */
    PAUSE_MS_MAX = 2000,
};

struct load {
    struct load_shared *sh;
    struct rng rng;
    unsigned clients, kill_percent;
    struct places {
        char *v[PLACES_MAX];
        unsigned count;
    } netns, mounts; /* where the clients are, in turn */
    const char *out;
    bool keep;
    uint64_t rounds_max;
    int64_t end_ns, round_ns; /* when all ends, when this round began */

    pid_t keeper, pids[LOAD_CLIENTS_MAX];
    unsigned spawned;

    uint64_t rounds, ops, unknown, kills;
    uint64_t done[LIN_READDIR + 1], refused[LIN_READDIR + 1];
};

static int64_t now_ns(void)
{
    return clock_monotonic_ns(clock_system());
}

static void sleep_ms(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

    (void)nanosleep(&t, NULL);
}

static pid_t spawn(struct load *l, int client)
{
    uint64_t seed = l->sh->seed * 1000003 + ++l->spawned;
    const char *netns = NULL;
    pid_t pid, parent = getpid();

    fflush(NULL);
    pid = fork();
    if (pid < 0)
        err(1, "fork");
    if (pid > 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    if (client < 0)
        load_keeper(l->sh, NULL);
    if (l->mounts.count > 0)
        load_mount(l->sh, (unsigned)client, seed, l->mounts.v[(unsigned)client % l->mounts.count]);
    if (l->netns.count > 0)
        netns = l->netns.v[(unsigned)client % l->netns.count];
    load_client(l->sh, (unsigned)client, seed, netns);
}

/* Nobody ends but whom we kill, and every round does. */
static void check_alive(const struct load *l)
{
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);

    if (pid > 0)
        errx(1, "%s has ended by itself: status %#x", pid == l->keeper ? "the keeper" : "a client",
             (unsigned)status);
    if (now_ns() - l->round_ns > (int64_t)(ROUND_S_STUCK * CLOCK_NS_PER_S))
        errx(1, "a round of more than %d s: is there a leader?", ROUND_S_STUCK);
}

static void wait_for(const struct load *l, _Atomic unsigned *what, unsigned value)
{
    while (atomic_load(what) < value) {
        check_alive(l);
        sleep_ms(1);
    }
}

static void kill_client(struct load *l, unsigned client, unsigned round)
{
    int status;

    (void)kill(l->pids[client], SIGKILL);
    (void)waitpid(l->pids[client], &status, 0);
    for (unsigned i = 0; i < LOAD_SLOTS; i++)
        atomic_store(&l->sh->slots[client * LOAD_SLOTS + i].round, round);
    l->kills++;
    l->pids[client] = spawn(l, (int)client);
}

static bool all_done(const struct load *l, unsigned round)
{
    for (unsigned i = 0; i < l->clients * LOAD_SLOTS; i++)
        if (atomic_load(&l->sh->slots[i].round) < round)
            return false;
    return true;
}

static void clear(struct load *l)
{
    struct load_shared *sh = l->sh;

    for (unsigned i = 0; i <= LOAD_SLOTS_MAX; i++) {
        for (unsigned k = 0; k < atomic_load(&sh->slots[i].count); k++)
            atomic_store(&sh->slots[i].records[k].state, LOAD_FREE);
        atomic_store(&sh->slots[i].count, 0);
    }
    for (unsigned i = 0; i < LOAD_TOLD_MAX; i++) {
        atomic_store(&sh->dirs.inodes[i], 0);
        atomic_store(&sh->files.inodes[i], 0);
    }
    atomic_store(&sh->dirs.count, 0);
    atomic_store(&sh->files.count, 0);
    atomic_store(&sh->stop, false);
}

static void play(struct load *l, unsigned round)
{
    struct load_shared *sh = l->sh;
    int64_t begin_ns, kill_ns = INT64_MAX;

    l->round_ns = now_ns();
    clear(l);
    atomic_store(&sh->prepare, round);
    wait_for(l, &sh->prepared, round);
    begin_ns = now_ns();
    if (rng_percent(&l->rng, l->kill_percent))
        kill_ns = begin_ns + (int64_t)rng_below(&l->rng, 60) * CLOCK_NS_PER_MS;
    atomic_store(&sh->round, round);
    while (!all_done(l, round)) {
        check_alive(l);
        if (now_ns() >= kill_ns) {
            kill_client(l, (unsigned)rng_below(&l->rng, l->clients), round);
            kill_ns = INT64_MAX;
        }
        if (now_ns() - begin_ns >= (int64_t)(ROUND_MS_MAX * CLOCK_NS_PER_MS))
            atomic_store(&sh->stop, true);
        sleep_ms(1);
    }
    if (rng_percent(&l->rng, PAUSE_PERCENT))
        sleep_ms((unsigned)rng_below(&l->rng, PAUSE_MS_MAX));
    atomic_store(&sh->close, round);
    wait_for(l, &sh->closed, round);
}

static struct lin_history *history_of(struct load *l)
{
    struct lin_history *h = lin_history_new();
    struct load_shared *sh = l->sh;

    for (unsigned i = 0; i < LOAD_ROOTS; i++)
        lin_root(h, sh->roots[i]);
    for (unsigned i = 0; i <= LOAD_SLOTS_MAX; i++)
        for (unsigned k = 0; k < atomic_load(&sh->slots[i].count); k++) {
            struct load_record *r = &sh->slots[i].records[k];
            unsigned op = lin_call(h, r->called_ns, &r->op);

            if (atomic_load(&r->state) != LOAD_RETURNED)
                continue;
            r->result.entries = r->entries;
            lin_return(h, op, r->returned_ns, &r->result);
            if (r->result.error)
                l->refused[r->op.kind]++;
            else
                l->done[r->op.kind]++;
        }
    return h;
}

static void save(const struct load *l, const struct lin_history *h, uint64_t round)
{
    char path[LOAD_PATH_MAX];
    FILE *file;

    snprintf(path, sizeof(path), "%s/round-%" PRIu64 ".hist", l->out, round);
    file = fopen(path, "w");
    if (!file)
        err(1, "%s", path);
    lin_write(h, file);
    if (fclose(file))
        err(1, "%s", path);
}

/* The history of the round that was played. */
static bool judge(struct load *l)
{
    struct lin_history *h = history_of(l);
    enum lin_verdict verdict = lin_check(h, NULL, stdout);

    l->rounds++;
    l->ops += lin_op_count(h);
    l->unknown += lin_unknown_count(h);
    if (verdict != LIN_OK || l->keep)
        save(l, h, l->rounds);
    if (verdict != LIN_OK)
        printf("round %" PRIu64 " is %s: see %s/round-%" PRIu64 ".hist\n", l->rounds,
               verdict == LIN_VIOLATION ? "NOT linearizable" : "undecided", l->out, l->rounds);
    lin_history_free(h);
    return verdict == LIN_OK;
}

static void print_sum(const struct load *l)
{
    static const char *const names[] = {
        [LIN_CREATE] = "create", [LIN_MKDIR] = "mkdir",    [LIN_LINK] = "link",
        [LIN_UNLINK] = "unlink", [LIN_RMDIR] = "rmdir",    [LIN_RENAME] = "rename",
        [LIN_LOOKUP] = "lookup", [LIN_READDIR] = "readdir"};

    printf("%" PRIu64 " rounds, %" PRIu64 " operations, %" PRIu64 " without an answer, %" PRIu64
           " clients killed, seed %" PRIu64 "\ndone/refused:",
           l->rounds, l->ops, l->unknown, l->kills, l->sh->seed);
    for (unsigned i = 0; i <= LIN_READDIR; i++)
        printf(" %s %" PRIu64 "/%" PRIu64, names[i], l->done[i], l->refused[i]);
    printf("\n");
}

static unsigned number(const char *what, const char *text, unsigned max)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);

    if (*end || end == text || v > max)
        errx(2, "--%s: a number up to %u", what, max);
    return (unsigned)v;
}

static void take_places(struct places *to, char *text)
{
    for (char *p = strtok(text, ","); p && to->count < PLACES_MAX; p = strtok(NULL, ","))
        to->v[to->count++] = p;
}

static void take_options(struct load *l, int argc, char **argv)
{
    static const struct option options[] = {{"config", 1, NULL, 'f'},  {"seconds", 1, NULL, 's'},
                                            {"rounds", 1, NULL, 'r'},  {"seed", 1, NULL, 'S'},
                                            {"clients", 1, NULL, 'c'}, {"ops", 1, NULL, 'o'},
                                            {"names", 1, NULL, 'n'},   {"timeout", 1, NULL, 't'},
                                            {"kill", 1, NULL, 'k'},    {"netns", 1, NULL, 'N'},
                                            {"out", 1, NULL, 'O'},     {"keep", 0, NULL, 'K'},
                                            {"mount", 1, NULL, 'M'},   {0}};
    struct load_shared *sh = l->sh;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'f':
            snprintf(sh->config, sizeof(sh->config), "%s", optarg);
            break;
        case 's':
            l->end_ns = now_ns() + number("seconds", optarg, 1000000) * CLOCK_NS_PER_S;
            break;
        case 'r':
            l->rounds_max = number("rounds", optarg, UINT32_MAX - 1);
            break;
        case 'S':
            sh->seed = number("seed", optarg, UINT32_MAX);
            break;
        case 'c':
            l->clients = number("clients", optarg, LOAD_CLIENTS_MAX);
            break;
        case 'o':
            sh->ops = number("ops", optarg, LOAD_RECORDS);
            break;
        case 'n':
            sh->names = number("names", optarg, 26);
            break;
        case 't':
            sh->timeout_ms = number("timeout", optarg, 1000000);
            break;
        case 'k':
            l->kill_percent = number("kill", optarg, 100);
            break;
        case 'N':
            take_places(&l->netns, optarg);
            break;
        case 'M':
            take_places(&l->mounts, optarg);
            break;
        case 'O':
            l->out = optarg;
            break;
        case 'K':
            l->keep = true;
            break;
        default:
            exit(2);
        }
    }
    if (!sh->config[0] || optind < argc || l->clients == 0 || sh->names == 0)
        errx(2, "usage: lin_load --config FILE [OPTION]...; see tests/lin/README.md");
}

int main(int argc, char **argv)
{
    struct load l = {
        .clients = 3, .kill_percent = 2, .out = ".", .rounds_max = UINT32_MAX, .end_ns = INT64_MAX};
    bool good = true;

    l.sh = mmap(NULL, sizeof(*l.sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (l.sh == MAP_FAILED)
        err(1, "mmap");
    l.sh->seed = (uint64_t)time(NULL);
    l.sh->ops = 14;
    l.sh->names = 3;
    l.sh->timeout_ms = 4000;
    take_options(&l, argc, argv);
    rng_seed(&l.rng, l.sh->seed);

    l.keeper = spawn(&l, -1);
    for (unsigned i = 0; i < l.clients; i++)
        l.pids[i] = spawn(&l, (int)i);
    for (unsigned round = 1; good && round <= l.rounds_max && now_ns() < l.end_ns; round++) {
        play(&l, round);
        good = judge(&l);
    }
    for (unsigned i = 0; i < l.clients; i++)
        (void)kill(l.pids[i], SIGKILL);
    (void)kill(l.keeper, SIGKILL);
    print_sum(&l);
    return good ? 0 : 1;
}
