/*
 * A network between network namespaces, in one process: it cuts, delays, loses and slows what goes from
 * one host to another, each direction by itself. For kernels without sch_netem, and without nft(8).
 *
 *   netswitch SEED HOST=ADDRESS...  <commands
 *
 * Each HOST is a namespace of `ip netns`, or "here", the one this program is started in. In each a
 * device eth0 with that address is made; what is sent into it comes out of this program's file
 * descriptor for it and is written to that of the host with the packet's destination. Commands, one a
 * line; FROM and TO are hosts, or "*" for all:
 *
 *   cut FROM TO                                     nothing gets from FROM to TO
 *   shape FROM TO DELAY JITTER LOSS REORDER RATE    ms, ms, per mille, per mille (these don't wait),
 *                                                   kbit/s (0: no limit)
 *   heal                                            as at the beginning
 *
 * It ends with its input, and says how many packets it has sent on, cut off and lost.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    HOSTS_MAX = 64,
    MTU = 9000,
    READS_IN_A_ROW = 64,
    LINE_MAX_BYTES = 512,
    DESTINATION_AT = 16, /* in an IPv4 header */
    BACKLOG_MS = 2000,   /* of a slow link; what comes then is lost */
};
#define NS_PER_MS UINT64_C(1000000)

struct host {
    char name[32];
    struct in_addr addr;
    int fd;
};

struct link {
    bool is_cut;
    uint64_t delay_ns, jitter_ns, loss, reorder, rate_kbit;
    uint64_t busy_until_ns, last_due_ns;
};

struct packet {
    uint64_t due_ns, number;
    unsigned to;
    size_t len;
    unsigned char bytes[];
};

static struct host hosts[HOSTS_MAX];
static unsigned host_count;
static struct link links[HOSTS_MAX][HOSTS_MAX];
static struct packet **heap; /* what waits; the earliest is first */
static size_t heap_count, heap_size;
static uint64_t random_state, packet_count, sent_count, cut_count, lost_count;

static void die(const char *what, const char *of)
{
    fprintf(stderr, "netswitch: %s: %s: %s\n", of, what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static uint64_t draw(uint64_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return below == 0 ? 0 : (random_state >> 33) % below;
}

/* ---- devices ---- */

static void set_up(const char *device, const struct host *h)
{
    struct ifreq r = {0};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = h->addr};
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", device);
    if (s < 0)
        die("socket", h->name);
    if (h->addr.s_addr != htonl(INADDR_LOOPBACK)) {
        memcpy(&r.ifr_addr, &a, sizeof(a));
        if (ioctl(s, SIOCSIFADDR, &r) < 0)
            die("address", h->name);
        a.sin_addr.s_addr = htonl(0xffffff00);
        memcpy(&r.ifr_netmask, &a, sizeof(a));
        if (ioctl(s, SIOCSIFNETMASK, &r) < 0)
            die("netmask", h->name);
        r.ifr_mtu = MTU;
        if (ioctl(s, SIOCSIFMTU, &r) < 0)
            die("MTU", h->name);
    }
    if (ioctl(s, SIOCGIFFLAGS, &r) < 0)
        die("flags", h->name);
    r.ifr_flags |= IFF_UP;
    if (ioctl(s, SIOCSIFFLAGS, &r) < 0)
        die("up", h->name);
    (void)close(s);
}

static void plug_in(struct host *h)
{
    struct host loopback = {.addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct ifreq r = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    char path[4096];
    int ns;

    if (strcmp(h->name, "here") != 0) {
        snprintf(path, sizeof(path), "/run/netns/%s", h->name);
        ns = open(path, O_RDONLY | O_CLOEXEC);
        if (ns < 0 || setns(ns, CLONE_NEWNET) < 0)
            die(path, h->name);
        (void)close(ns);
    }
    h->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    snprintf(r.ifr_name, sizeof(r.ifr_name), "eth0");
    if (h->fd < 0 || ioctl(h->fd, TUNSETIFF, &r) < 0)
        die("/dev/net/tun", h->name);
    set_up("eth0", h);
    set_up("lo", &loopback);
}

/* ---- what waits ---- */

static bool is_before(const struct packet *a, const struct packet *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->number < b->number;
}

static void heap_put(struct packet *p)
{
    size_t i = heap_count++;

    if (heap_count > heap_size) {
        heap_size = heap_size ? 2 * heap_size : 1024;
        heap = realloc(heap, heap_size * sizeof(*heap));
        if (heap == NULL)
            die("memory", hosts[p->to].name);
    }
    for (; i > 0 && is_before(p, heap[(i - 1) / 2]); i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = p;
}

static struct packet *heap_take(void)
{
    struct packet *first = heap[0], *last = heap[--heap_count];
    size_t i = 0;

    for (size_t child; (child = 2 * i + 1) < heap_count; i = child) {
        if (child + 1 < heap_count && is_before(heap[child + 1], heap[child]))
            child++;
        if (!is_before(heap[child], last))
            break;
        heap[i] = heap[child];
    }
    heap[i] = last;
    return first;
}

/* ---- packets ---- */

static void deliver(unsigned to, const void *bytes, size_t len)
{
    if (write(hosts[to].fd, bytes, len) == (ssize_t)len)
        sent_count++;
    else
        lost_count++; /* as on a full queue */
}

/* False: it gets lost. */
static bool find_due(struct link *l, size_t len, uint64_t now, uint64_t *ret_due)
{
    uint64_t due = now;

    if (draw(1000) < l->loss)
        return false;
    if (l->rate_kbit > 0) {
        if (l->busy_until_ns < now)
            l->busy_until_ns = now;
        if (l->busy_until_ns - now > BACKLOG_MS * NS_PER_MS)
            return false;
        l->busy_until_ns += len * 8 * NS_PER_MS / l->rate_kbit;
        due = l->busy_until_ns;
    }
    if (draw(1000) >= l->reorder) {
        due += l->delay_ns + draw(l->jitter_ns);
        /* Jitter alone does not change the order. */
        due = due < l->last_due_ns ? l->last_due_ns : due;
        l->last_due_ns = due;
    }
    *ret_due = due;
    return true;
}

static void take_packet(unsigned from, const unsigned char *bytes, size_t len)
{
    struct in_addr destination;
    struct packet *p;
    unsigned to = 0;
    uint64_t now = now_ns(), due;

    if (len < DESTINATION_AT + sizeof(destination) || bytes[0] >> 4 != 4)
        return;
    memcpy(&destination, bytes + DESTINATION_AT, sizeof(destination));
    while (to < host_count && hosts[to].addr.s_addr != destination.s_addr)
        to++;
    if (to == host_count)
        return;
    if (links[from][to].is_cut) {
        cut_count++;
        return;
    }
    if (!find_due(&links[from][to], len, now, &due)) {
        lost_count++;
        return;
    }
    if (due <= now) {
        deliver(to, bytes, len);
        return;
    }
    p = malloc(sizeof(*p) + len);
    if (p == NULL)
        die("memory", hosts[to].name);
    *p = (struct packet){.due_ns = due, .number = packet_count++, .to = to, .len = len};
    memcpy(p->bytes, bytes, len);
    heap_put(p);
}

static void take_packets(unsigned from)
{
    static unsigned char bytes[MTU + 64];

    for (int i = 0; i < READS_IN_A_ROW; i++) {
        ssize_t n = read(hosts[from].fd, bytes, sizeof(bytes));

        if (n <= 0)
            return;
        take_packet(from, bytes, (size_t)n);
    }
}

static void deliver_due(void)
{
    while (heap_count > 0 && heap[0]->due_ns <= now_ns()) {
        struct packet *p = heap_take();

        deliver(p->to, p->bytes, p->len);
        free(p);
    }
}

/* ---- commands ---- */

static bool is_named(unsigned host, const char *name)
{
    return strcmp(name, "*") == 0 || strcmp(hosts[host].name, name) == 0;
}

static void command(const char *line)
{
    char verb[16], from[32], to[32];
    uint64_t v[5] = {0};
    int n = sscanf(line, "%15s %31s %31s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
                   verb, from, to, &v[0], &v[1], &v[2], &v[3], &v[4]);
    struct link new_link = {
        .is_cut = n == 3,
        .delay_ns = v[0] * NS_PER_MS,
        .jitter_ns = v[1] * NS_PER_MS,
        .loss = v[2],
        .reorder = v[3],
        .rate_kbit = v[4],
    };

    if (n == 1 && strcmp(verb, "heal") == 0) {
        memset(links, 0, sizeof(links));
        return;
    }
    if (!(n == 3 && strcmp(verb, "cut") == 0) && !(n == 8 && strcmp(verb, "shape") == 0)) {
        fprintf(stderr, "netswitch: not a command: %s\n", line);
        exit(2);
    }
    for (unsigned i = 0; i < host_count; i++)
        for (unsigned k = 0; k < host_count; k++)
            if (i != k && is_named(i, from) && is_named(k, to))
                links[i][k] = new_link;
}

/* False at the end of the commands. */
static bool take_commands(void)
{
    static char text[LINE_MAX_BYTES];
    static size_t len;
    ssize_t n = read(STDIN_FILENO, text + len, sizeof(text) - 1 - len);
    char *end;

    if (n <= 0)
        return false;
    len += (size_t)n;
    text[len] = '\0';
    while ((end = strchr(text, '\n')) != NULL) {
        *end = '\0';
        command(text);
        len -= (size_t)(end + 1 - text);
        memmove(text, end + 1, len + 1);
    }
    return true;
}

static void add_host(const char *arg)
{
    struct host *h = &hosts[host_count];
    const char *sign = strchr(arg, '=');

    if (host_count == HOSTS_MAX || sign == NULL || (size_t)(sign - arg) >= sizeof(h->name) ||
        inet_pton(AF_INET, sign + 1, &h->addr) != 1) {
        fprintf(stderr, "netswitch: not HOST=ADDRESS, or one too many: %s\n", arg);
        exit(2);
    }
    snprintf(h->name, sizeof(h->name), "%.*s", (int)(sign - arg), arg);
    host_count++;
}

int main(int argc, char **argv)
{
    struct pollfd fds[HOSTS_MAX + 1] = {{.fd = STDIN_FILENO, .events = POLLIN}};

    if (argc < 3) {
        fprintf(stderr, "usage: netswitch SEED HOST=ADDRESS...\n");
        return 2;
    }
    random_state = strtoull(argv[1], NULL, 10);
    for (int i = 2; i < argc; i++)
        add_host(argv[i]);
    /* "here" comes first: the others are entered, and not left again. */
    for (unsigned i = 0; i < host_count; i++) {
        plug_in(&hosts[i]);
        fds[1 + i] = (struct pollfd){.fd = hosts[i].fd, .events = POLLIN};
    }
    printf("ready\n");
    (void)fflush(stdout);
    for (;;) {
        uint64_t now = now_ns(), wait = UINT64_C(1000) * NS_PER_MS;
        struct timespec t;

        if (heap_count > 0)
            wait = heap[0]->due_ns > now ? heap[0]->due_ns - now : 0;
        t = (struct timespec){.tv_sec = (time_t)(wait / UINT64_C(1000000000)),
                              .tv_nsec = (long)(wait % UINT64_C(1000000000))};
        if (ppoll(fds, host_count + 1, &t, NULL) < 0 && errno != EINTR)
            die("ppoll", "all");
        deliver_due();
        for (unsigned i = 0; i < host_count; i++)
            if (fds[1 + i].revents & POLLIN)
                take_packets(i);
        if (fds[0].revents && !take_commands())
            break;
    }
    printf("%" PRIu64 " packets sent on, %" PRIu64 " cut off, %" PRIu64 " lost\n", sent_count,
           cut_count, lost_count);
    return 0;
}
