/*
 * The datanode: targets, chains, and the connections around them, on one loop.
 * Made by main.c, and by tests that run several in one process.
 */
#ifndef DATANODE_SERVICE_H
#define DATANODE_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"

struct clock;
struct dn;
struct dn_conf;
struct loop;
struct metrics;
struct slab_pool;
struct tls;
struct vfs;

struct dn_events {
    /* It cannot go on; text is for the operator. May be NULL. */
    void (*failed)(void *ctx, const char *text);
    void *ctx;
};

struct dn_options {
    struct loop *loop;
    struct slab_pool *slabs;
    struct metrics *metrics; /* may be NULL */
    struct vfs *vfs;
    const struct clock *clock;
    const struct dn_conf *conf; /* kept */
    struct tls *tls;            /* NULL: plain everywhere (tests) */
    uint64_t incarnation;       /* random, new at each start */
    bool inline_io;
    struct dn_events events;
};

/*
 * Listens, and looks for the leader; targets are opened when the cluster's name is known.
 * -EADDRINUSE, -EINVAL ...; err gets a sentence
 */
int dn_new(const struct dn_options *o, char *err, size_t err_size, struct dn **ret_dn);
/* Syncs and closes the targets; `done` when dn_free() may be called. */
void dn_stop(struct dn *dn, void (*done)(void *ctx), void *ctx);
/* Without dn_stop() first: like a crash. NULL is fine. */
void dn_free(struct dn *dn);
DEFINE_CLEANUP(dn, dn_free)

/* The bound "host:port". */
const char *dn_addr(const struct dn *dn);
/* Registered with a leader, and the store is open. */
bool dn_is_ready(const struct dn *dn);

#endif
