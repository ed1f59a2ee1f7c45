/*
 * How fast one target may copy while clients use it. Pure: time comes in as an argument.
 *
 * A bucket of tokens, a byte each, fills at a rate that follows what clients feel. Each window
 * (100 ms) looks at the time nine of ten client operations took on this target, queue and disk:
 *
 *   no client for seconds        the rate doubles, up to the cap
 *   below the goal               it grows by a step
 *   above                        it is half of what was really copied
 *
 * The goal is three times what clients feel while nothing is copied, at least 10 ms: what is slow by
 * itself is not the copying's fault. To know that, copying pauses for three windows now and then.
 *
 * The floor is what makes a join end: it is kept however slow clients are, and is higher while only
 * one good copy of something is left.
 */
#ifndef DATANODE_PACE_H
#define DATANODE_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/latency.h"

/* Bytes a second read or written on the disk. */
#define PACE_FLOOR (UINT64_C(24) << 20)
#define PACE_FLOOR_URGENT (UINT64_C(96) << 20)
#define PACE_RATE_MAX (UINT64_C(8) << 30) /* more than a disk can do: no limit */

struct pace {
    uint64_t cap, rate;
    double tokens; /* below 0: what was taken in advance */
    uint64_t filled_ns, window_ns;
    uint64_t client_ns; /* the last client operation; 0: none yet */
    bool urgent, was_calm;
    uint64_t taken;    /* bytes in this window, and */
    double taken_rate; /* a moving average of it, a second */
    uint64_t pause_until_ns, next_pause_ns;
    uint64_t calm_ns; /* what clients feel without copying; 0: not known */
    uint64_t felt_ns; /* what they felt in the last window in which there were any */
    struct latency clients;
};

/* cap: bytes a second; 0: as fast as clients let it. A cap below the floors is the floor. */
void pace_init(struct pace *p, uint64_t cap, uint64_t now_ns);
/* A client's operation took so long here. */
void pace_client_took(struct pace *p, uint64_t took_ns, uint64_t now_ns);
/* Is there something to be copied of which only one good copy is left? */
void pace_set_urgent(struct pace *p, bool urgent);
/* True: so many bytes may be copied now. More than the bucket holds are owed afterwards. */
bool pace_take(struct pace *p, uint64_t bytes, uint64_t now_ns);
/* After a refusal: in so long it is worth asking again. */
uint64_t pace_wait_ns(const struct pace *p);
/* Bytes a second as of now. */
uint64_t pace_rate(const struct pace *p);
/* What nine of ten client operations should not take longer than. */
uint64_t pace_goal_ns(const struct pace *p);

#endif
