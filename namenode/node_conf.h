/*
 * The configuration of a namenode, read from dfs.conf. The table of its keys, with defaults and
 * limits, is in node_conf.c.
 */
#ifndef NAMENODE_NODE_CONF_H
#define NAMENODE_NODE_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "common/compiler.h"
#include "common/log.h"
#include "raft/types.h"

struct conf;

struct node_conf {
    struct raft_id id;
    char *listen;
    char *http; /* NULL: no HTTP */
    char *data_dir;
    struct raft_conf founders; /* `namenodes`: all are voters, uuids not known */
    bool read_lease;
    uint32_t rebalance_moves;
    uint64_t slow_after_ms, slow_latency_ms, slow_rest_ms; /* see pg_mgr_options */
    uint64_t session_timeout_ms;
    uint64_t heartbeat_ms;
    uint64_t election_ms; /* a follower waits between this and twice this */
    uint64_t cache_bytes;
    uint64_t memtable_bytes;
    uint64_t record_cache_bytes;
    uint64_t log_cache_bytes;
    uint64_t segment_bytes;
    unsigned segments_min;     /* the log keeps at least so many for followers that lag */
    uint64_t log_bytes_max;    /* ...and for live ones at most so much */
    uint64_t snapshot_rate;    /* bytes a second */
    uint64_t snapshot_idle_ms; /* one that nobody fetches is kept so long; no key, tests lower it */
    uint64_t
        snapshot_spare_bytes; /* a fetched one leaves so much of the disk free; no key either */
    uint64_t scrub_ms;        /* all of the store is read once in this time; 0: never */
    uint64_t scrub_rate;      /* bytes a second at least; no key, tests lower it */
    uint64_t flush_ms;
    uint64_t flush_ops;  /* ...and after so many operations; no key, tests lower it */
    uint64_t hash_every; /* entries between two comparisons of the state; no key, tests lower it */
    uint32_t format;     /* the newest of fsm.h, as told to the others; no key, tests lower it */
    uint64_t stop_ms;    /* a stopping leader waits so long for its successor */
    bool direct_io;
    unsigned copies, min_write, pgs_per_target; /* of a new cluster */

    char *tls_ca, *tls_cert, *tls_key; /* NULL: no TLS (tests) */
    bool data_tls;
    enum log_level log_level;
};

/* Everything but id, data_dir and founders has a good value afterwards. */
void node_conf_init(struct node_conf *c);

/*
 * Reads and checks; -EINVAL when conf_problems(conf) says what is wrong. Release with _done(), also
 * then. Relative paths start where the configuration file is.
 */
int node_conf_read(struct conf *conf, const char *conf_path, struct node_conf *c);
void node_conf_done(struct node_conf *c);

/*
 * "1@host:port, 2@host:port, ...": ids from 1, each once.
 * -EINVAL; err says what
 */
int node_conf_parse_namenodes(const char *text, struct raft_conf *ret_conf, char *err,
                              size_t err_size);

#endif
