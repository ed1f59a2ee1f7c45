/*
 * What dfs-datanode reads from its configuration file:
 *
 *   section     key         default          meaning
 *   [datanode]  node        (required)       name of this datanode, one in the cluster
 *               host        the node's name  failure domain: copies go to different ones
 *               rack        none             wider failure domain: different ones if it can be
 *               listen      0.0.0.0:8680     clients and other datanodes
 *               advertise   as listen        what the others are told to connect to
 *               http        127.0.0.1:8681   /metrics and /health; "off": none
 *               targets     (required)       directories, one a disk
 *               namenodes   (required)       id@host:port or host:port, ...
 *               reserve     5                percent of each disk that is kept free
 *               capacity    0                bytes of each target, when less than the disk's
 *               direct_io   on               big writes go to the disk past the page cache
 *               scrub_period 14d             all data is read and compared once in this; 0s: never
 *               repair_rate adaptive         at most so many bytes a second are read or written on each
 *                                            disk to copy; adaptive: what clients leave; off: all at once
 *   [tls]       ca, cert, key (required)     PEM files
 *   [data]      tls         on               off: chunk traffic in plain text
 *   [log]       level       info             error, warn, info, debug
 */
#ifndef DATANODE_DN_CONF_H
#define DATANODE_DN_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/limits.h"
#include "common/log.h"

struct conf;

enum { DN_NAMENODES_MAX = 16, DN_NAME_MAX = 63 };

struct dn_conf {
    char *node, *host, *rack, *listen, *advertise;
    char *http; /* NULL: none */
    char *targets[TARGETS_PER_NODE_MAX];
    unsigned target_count;
    char *namenodes[DN_NAMENODES_MAX];
    unsigned namenode_count;
    unsigned reserve_percent;
    uint64_t capacity_bytes;
    bool direct_io;
    uint64_t scrub_period_ms;
    uint64_t repair_rate; /* see copying_new() */
    bool rebuild;         /* of the command line: see store_options */
    char *tls_ca, *tls_cert, *tls_key;
    bool data_tls;
    enum log_level log_level;
};

/* 0, or -EINVAL: conf_problems() says what is wrong; dn_conf_done() is due either way. */
int dn_conf_read(struct conf *conf, const char *path, struct dn_conf *c);
void dn_conf_done(struct dn_conf *c);

#endif
