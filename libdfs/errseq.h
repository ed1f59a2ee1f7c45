/*
 * Errors of write-behind, told once to every open file, as the kernel's errseq_t does for its page
 * cache: an inode counts its errors, each open file remembers which it has told.
 */
#ifndef LIBDFS_ERRSEQ_H
#define LIBDFS_ERRSEQ_H

#include <stdbool.h>
#include <stdint.h>

struct errseq {
    uint64_t count; /* errors so far */
    int last;       /* -errno of the newest */
    bool told;      /* the newest was told to somebody */
};

/* What a new open remembers: an error that nobody was told yet is told to it too. */
static inline uint64_t errseq_sample(const struct errseq *e)
{
    return e->count > 0 && !e->told ? e->count - 1 : e->count;
}

static inline void errseq_set(struct errseq *e, int error)
{
    e->count++;
    e->last = error;
    e->told = false;
}

/* 0, or the newest error, once. */
static inline int errseq_check(struct errseq *e, uint64_t *since)
{
    if (*since == e->count)
        return 0;
    *since = e->count;
    e->told = true;
    return e->last;
}

#endif
