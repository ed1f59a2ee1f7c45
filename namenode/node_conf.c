/* clang-format off */
/*
 * The keys of dfs.conf that dfs-namenode reads:
 *
 *   section     key              default              meaning
 *   [namenode]  id               (required)           this replica, 1...; one of `namenodes`, or new
 *               listen           0.0.0.0:8670         clients, datanodes, peers, operators
 *               http             127.0.0.1:8671       /metrics and /health; "off": none
 *               data_dir         LOCALSTATEDIR/nn     log and metadata; made if it is not there
 *               namenodes        (required)           founders of the group: id@host:port, ...
 *               read_lease       on                   off: each read waits for a round (no clocks)
 *               heartbeat_ms     50
 *               election_ms      500                  without a leader for this to twice this: vote
 *               cache            256M                 RocksDB's block cache
 *               memtable         64M                  of RocksDB; three are in memory at most
 *               record_cache     64M                  inodes and names, unpacked, before RocksDB
 *               log_cache        64M                  recent log entries, for followers
 *               segment          64M                  one file of the Raft log
 *               segments_min     4                    of them are kept for followers that lag
 *               log_max          1G                   kept for live followers at most
 *               snapshot_rate    100M                 a second, to a follower, of a backup
 *               flush            30s                  metadata is flushed at least so often
 *               scrub            1d                   all metadata are read from the disk and checked
 *                                                     once in this time, slowly; 0 or off: never
 *               stop_timeout     3s                   a stopping leader hands over first
 *               direct_io        on                   O_DIRECT for the Raft log where possible
 *               copies           3                    of a new cluster: of each chunk...
 *               min_write        2                    ...and how few may take writes
 *               pgs_per_target   32                   placement groups per disk
 *               session_timeout  1h                   a client that is silent for so long is evicted
 *               rebalance_moves  2                    PGs that move at once to even out; 0: none
 *               slow_after       30s                  a disk that is so slow for so long is taken out
 *                                                     of its placement groups; 0s: none is
 *               slow_latency     1s                   so slow: 99 of 100 operations, and ten times as
 *                                                     long as the others
 *               slow_rest        5m                   then it may come back; each time twice as long
 *   [tls]       ca, cert, key    (required)           PEM files; relative to the configuration file
 *   [data]      tls              on                   off: chunk traffic in plain text
 *   [log]       level            info                 error, warn, info, debug
 */
/* clang-format on */
#include "namenode/node_conf.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/strutil.h"
#include "namenode/fsm.h"

/* A session is renewed several times in its lease of 15 s: to be late is not to be silent. */
enum { SESSION_TIMEOUT_S_MIN = 20, SESSION_TIMEOUT_S_MAX = 30 * 24 * 3600 };
enum { SLOW_LATENCY_MS_MIN = 10, SLOW_REST_MS_MIN = 1000, SLOW_S_MAX = 24 * 3600 };
enum { SCRUB_MS_MIN = 1000, SCRUB_S_MAX = 365 * 24 * 3600 };

void node_conf_init(struct node_conf *c)
{
    *c = (struct node_conf){
        .read_lease = true,
        .format = FSM_FORMAT,
        .rebalance_moves = 2,
        .slow_after_ms = 30000,
        .slow_latency_ms = 1000,
        .slow_rest_ms = 300000,
        .session_timeout_ms = 3600000,
        .heartbeat_ms = RAFT_HEARTBEAT_MS,
        .election_ms = RAFT_ELECTION_MIN_MS,
        .cache_bytes = 256 * MIB,
        .memtable_bytes = KV_FLUSH_BYTES,
        .record_cache_bytes = FSM_CACHE_BYTES,
        .log_cache_bytes = 64 * MIB,
        .segment_bytes = 64 * MIB,
        .segments_min = 4,
        .log_bytes_max = 1 * GIB,
        .snapshot_rate = 100 * MIB,
        .snapshot_idle_ms = 60000,
        .snapshot_spare_bytes = 64 * MIB,
        .scrub_ms = 24 * 3600 * 1000,
        .scrub_rate = 8 * MIB,
        .flush_ms = KV_FLUSH_MS,
        .flush_ops = KV_FLUSH_OPS,
        .hash_every = 4096,
        .stop_ms = 3000,
        .direct_io = true,
        .copies = PG_COPIES,
        .min_write = PG_MIN_WRITE,
        .pgs_per_target = 32,
        .data_tls = true,
        .log_level = LOG_LEVEL_INFO,
    };
}

void node_conf_done(struct node_conf *c)
{
    free(c->listen);
    free(c->http);
    free(c->data_dir);
    free(c->tls_ca);
    free(c->tls_cert);
    free(c->tls_key);
    *c = (struct node_conf){0};
}

static int add_member(struct raft_conf *conf, const char *text, size_t len, char *err,
                      size_t err_size)
{
    struct raft_member m = {.voter = true};
    char item[128];
    unsigned at;
    char *sep, *addr;

    if (len >= sizeof(item)) {
        (void)snprintf(err, err_size, "an item is too long");
        return -EINVAL;
    }
    memcpy(item, text, len);
    item[len] = '\0';
    sep = strchr(item, '@');
    addr = sep != NULL ? str_full_addr(sep + 1, NAMENODE_PORT) : NULL;
    if (addr == NULL) {
        (void)snprintf(err, err_size, "\"%s\" is not of the form id@host:port", item);
        return -EINVAL;
    }
    _Static_assert(sizeof(m.addr) >= ADDR_TEXT_MAX, "an address fits");
    (void)snprintf(m.addr, sizeof(m.addr), "%s", addr);
    free(addr);
    *sep = '\0';
    if (str_parse_u64(item, &m.id.v) < 0 || m.id.v == 0) {
        (void)snprintf(err, err_size, "\"%s@%s\" is not of the form id@host:port", item, sep + 1);
        return -EINVAL;
    }
    if (conf->count == RAFT_MEMBERS_MAX || raft_conf_find(conf, m.id)) {
        (void)snprintf(err, err_size, "id %" PRIu64 " is there twice, or there are more than %d",
                       m.id.v, RAFT_MEMBERS_MAX);
        return -EINVAL;
    }
    /* In order of id, as a raft_conf must be. */
    for (at = conf->count; at > 0 && conf->members[at - 1].id.v > m.id.v; at--)
        conf->members[at] = conf->members[at - 1];
    conf->members[at] = m;
    conf->count++;
    return 0;
}

int node_conf_parse_namenodes(const char *text, struct raft_conf *ret_conf, char *err,
                              size_t err_size)
{
    struct raft_conf conf = {0};

    for (const char *p = text; *p;) {
        size_t len;
        int r;

        p += strspn(p, ", \t");
        len = strcspn(p, ", \t");
        if (len == 0)
            break;
        r = add_member(&conf, p, len, err, err_size);
        if (r < 0)
            return r;
        p += len;
    }
    if (conf.count == 0) {
        (void)snprintf(err, err_size, "no namenode is named");
        return -EINVAL;
    }
    *ret_conf = conf;
    return 0;
}

/* Relative to the directory of the configuration file. NULL stays NULL. */
static char *resolve(const char *conf_path, const char *path)
{
    const char *slash = strrchr(conf_path, '/');

    if (!path || !*path)
        return NULL;
    if (path[0] == '/' || !slash)
        return mem_strdup(path);
    return mem_printf("%.*s/%s", (int)(slash - conf_path), conf_path, path);
}

static char *read_addr(struct conf *conf, const char *key, const char *text)
{
    char host[ADDR_TEXT_MAX];
    uint16_t port;

    if (str_parse_addr(text, host, sizeof(host), &port) < 0)
        conf_problem(conf, "namenode", key, "is not of the form host:port");
    return mem_strdup(text);
}

static uint64_t read_scrub(struct conf *conf, const char *s, uint64_t fallback)
{
    const char *text = conf_str(conf, s, "scrub", "");

    if (strcmp(text, "off") == 0 || strcmp(text, "0") == 0)
        return 0;
    return conf_duration_ms(conf, s, "scrub", fallback, SCRUB_MS_MIN, SCRUB_S_MAX * 1000ull);
}

static void read_namenode(struct conf *conf, const char *conf_path, struct node_conf *c)
{
    const char *s = "namenode";
    const char *text;
    char err[160];

    c->id.v = conf_u64(conf, s, "id", 0, 1, UINT32_MAX);
    if (c->id.v == 0)
        conf_problem(conf, s, "id", "is missing: which of the namenodes is this?");
    c->listen = read_addr(conf, "listen", conf_str(conf, s, "listen", "0.0.0.0:8670"));
    text = conf_str(conf, s, "http", "127.0.0.1:8671");
    c->http = strcmp(text, "off") == 0 ? NULL : read_addr(conf, "http", text);
    c->data_dir = resolve(conf_path, conf_str(conf, s, "data_dir", DFS_LOCALSTATEDIR "/nn"));
    text = conf_str_required(conf, s, "namenodes");
    if (text && *text && node_conf_parse_namenodes(text, &c->founders, err, sizeof(err)) < 0)
        conf_problem(conf, s, "namenodes", "%s", err);
    c->read_lease = conf_bool(conf, s, "read_lease", c->read_lease);
    c->rebalance_moves =
        (uint32_t)conf_u64(conf, s, "rebalance_moves", c->rebalance_moves, 0, 1000);
    c->slow_after_ms =
        conf_duration_ms(conf, s, "slow_after", c->slow_after_ms, 0, SLOW_S_MAX * 1000ull);
    c->slow_latency_ms = conf_duration_ms(conf, s, "slow_latency", c->slow_latency_ms,
                                          SLOW_LATENCY_MS_MIN, SLOW_S_MAX * 1000ull);
    c->slow_rest_ms = conf_duration_ms(conf, s, "slow_rest", c->slow_rest_ms, SLOW_REST_MS_MIN,
                                       SLOW_S_MAX * 1000ull);
    c->session_timeout_ms =
        conf_duration_ms(conf, s, "session_timeout", c->session_timeout_ms,
                         SESSION_TIMEOUT_S_MIN * 1000ull, SESSION_TIMEOUT_S_MAX * 1000ull);
    c->heartbeat_ms = conf_u64(conf, s, "heartbeat_ms", c->heartbeat_ms, 5, 10000);
    c->election_ms = conf_u64(conf, s, "election_ms", c->election_ms, 20, 60000);
    if (c->election_ms < 3 * c->heartbeat_ms)
        conf_problem(conf, s, "election_ms", "must be at least three times heartbeat_ms");
    c->cache_bytes = conf_size(conf, s, "cache", c->cache_bytes, MIB, 1024 * GIB);
    c->memtable_bytes = conf_size(conf, s, "memtable", c->memtable_bytes, MIB, 4 * GIB);
    c->record_cache_bytes =
        conf_size(conf, s, "record_cache", c->record_cache_bytes, MIB, 1024 * GIB);
    c->log_cache_bytes = conf_size(conf, s, "log_cache", c->log_cache_bytes, MIB, 64 * GIB);
    c->segment_bytes = conf_size(conf, s, "segment", c->segment_bytes, 8 * MIB, GIB);
    c->segments_min = (unsigned)conf_u64(conf, s, "segments_min", c->segments_min, 1, 1000);
    c->log_bytes_max = conf_size(conf, s, "log_max", c->log_bytes_max, 64 * MIB, 1024 * GIB);
    c->snapshot_rate = conf_size(conf, s, "snapshot_rate", c->snapshot_rate, MIB, 100 * GIB);
    c->flush_ms = conf_duration_ms(conf, s, "flush", c->flush_ms, 1000, 3600000);
    c->scrub_ms = read_scrub(conf, s, c->scrub_ms);
    c->stop_ms = conf_duration_ms(conf, s, "stop_timeout", c->stop_ms, 0, 60000);
    c->direct_io = conf_bool(conf, s, "direct_io", c->direct_io);
    c->copies = (unsigned)conf_u64(conf, s, "copies", c->copies, 1, PG_MEMBERS_MAX - 1);
    c->min_write =
        (unsigned)conf_u64(conf, s, "min_write", MIN(c->min_write, c->copies), 1, c->copies);
    c->pgs_per_target = (unsigned)conf_u64(conf, s, "pgs_per_target", c->pgs_per_target, 1, 4096);
}

int node_conf_read(struct conf *conf, const char *conf_path, struct node_conf *c)
{
    static const char *const others[] = {"datanode", "client", "mount", "fuse", "dfs", NULL};
    const char *level;

    node_conf_init(c);
    read_namenode(conf, conf_path, c);
    c->tls_ca = resolve(conf_path, conf_str_required(conf, "tls", "ca"));
    c->tls_cert = resolve(conf_path, conf_str_required(conf, "tls", "cert"));
    c->tls_key = resolve(conf_path, conf_str_required(conf, "tls", "key"));
    c->data_tls = conf_bool(conf, "data", "tls", true);
    level = conf_str(conf, "log", "level", "info");
    if (log_level_parse(level, &c->log_level) < 0)
        conf_problem(conf, "log", "level", "\"%s\" is none of error, warn, info, debug", level);
    for (unsigned i = 0; others[i]; i++)
        conf_ignore_section(conf, others[i]);
    return conf_check(conf);
}
