/*
 * The threads of a target, and the jobs they get from the loop: `run` on a thread, then `done` on
 * the loop. Without threads (the simulator) the loop does both in a posted call;
 * then the lanes still overtake each other, as a seed has it.
 */
#ifndef DATANODE_DISK_H
#define DATANODE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"
#include "common/worker.h"

struct loop;
struct disk;

enum disk_lane {
    DISK_WRITER, /* changes chunk files, in order */
    DISK_SYNCER, /* makes them durable */
    DISK_LOGGER, /* the log of the chunk table */
    DISK_READER, /* reads, several side by side */
    DISK_LANE_COUNT,
};

struct job {
    struct work work, forward; /* private; zero before the first use */
    void (*run)(struct job *j);
    void (*done)(struct job *j);
    struct disk *disk; /* set by disk_submit() */
    enum disk_lane lane;
};

int disk_new(struct loop *loop, unsigned number, bool inline_io, uint64_t inline_seed,
             struct disk **ret_disk);
/* Lets the threads finish what they have, and runs the loop until all jobs are done. */
void disk_free(struct disk *d);
DEFINE_CLEANUP(disk, disk_free)

/* Loop thread. Jobs of one lane run in order (readers: start in order). */
void disk_submit(struct disk *d, enum disk_lane lane, struct job *j);
/* Runs on `lane` after what was submitted to `first` before this. */
void disk_submit_after(struct disk *d, enum disk_lane first, enum disk_lane lane, struct job *j);
/* Jobs not done. Loop thread. */
size_t disk_job_count(const struct disk *d);
/* Nothing but the running job is in the lane. Any thread; a moment's view. */
bool disk_lane_is_idle(const struct disk *d, enum disk_lane lane);

#endif
