/* A store with one target, on the fake disk or the real one, and calls that wait for their answer.
 */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/vfs_fake.h"
#include "datanode/store.h"
#include "datanode/store_priv.h"

enum { PG = 7 };

struct fixture {
    struct loop *loop;
    struct slab_pool *slabs;
    struct clock_fake clock;
    struct vfs_fake *fake; /* NULL: the real disk, with threads */
    struct vfs *vfs;
    char dir[256];
    char err[512];
    struct store_options options;
    struct store *store;
    struct target *t;
    int failed; /* what on_failed said */
    uint64_t seq;
};

struct answer {
    bool is_done;
    int status;
    uint32_t result;
};

/* Opens the target too. */
struct fixture *fixture_new(bool on_fake_disk);
struct fixture *fixture_new_closed(void); /* the target is not made yet */
void fixture_free(struct fixture *f);
/* Clean end of the store. */
void fixture_close(struct fixture *f);
/* The process is gone; with power: the machine too (rng NULL: all unsynced is lost). */
void fixture_kill(struct fixture *f);
void fixture_crash(struct fixture *f, struct rng *rng);
/* After vfs_fake_kill() or _crash(): nothing that the dead process had begun reaches the disk. */
void fixture_bury(struct fixture *f);
/* Result of opening; 0 sets f->t. */
int fixture_open(struct fixture *f);
void fixture_tick(struct fixture *f, uint64_t ms);

void answer_done(void *ctx, int status, uint32_t result);
int wait_for(struct fixture *f, struct answer *a);
/* Runs until nothing is under way. */
void settle(struct fixture *f);

/* Bytes that depend on seed and position. */
void fill(uint8_t *bytes, size_t len, uint32_t offset, uint32_t seed);
void start_write(struct fixture *f, uint64_t chunk, uint32_t offset, uint32_t len, uint32_t seed,
                 unsigned flags, struct answer *a);
int write_bytes(struct fixture *f, uint64_t chunk, uint32_t offset, const void *bytes, uint32_t len,
                unsigned flags, uint32_t *ret_result);
int write_fill(struct fixture *f, uint64_t chunk, uint32_t offset, uint32_t len, uint32_t seed,
               unsigned flags);
int truncate_to(struct fixture *f, uint64_t chunk, uint32_t from, unsigned flags);
int sync_chunk(struct fixture *f, uint64_t chunk);
int delete_chunk(struct fixture *f, uint64_t chunk);
/* Reads [offset, offset+len), verified; the rest of buf becomes zeros. Gives the status; *ret_len
 * may be NULL. */
int read_bytes(struct fixture *f, uint64_t chunk, uint32_t offset, uint32_t len, void *buf,
               uint32_t *ret_len);
/* The chunk holds fill(seed) there. */
void check_fill(struct fixture *f, uint64_t chunk, uint32_t offset, uint32_t len, uint32_t seed);
unsigned flags_of(struct fixture *f, uint64_t chunk);
uint32_t len_of(struct fixture *f, uint64_t chunk);
/* status of store_crcs with verify; the numbers may be NULL. */
int verify_chunk(struct fixture *f, uint64_t chunk, unsigned *ret_bad, uint64_t *ret_digest);
void chunk_path(struct fixture *f, uint64_t chunk, char *path, size_t size);

#define assert_ok(r) assert_int_equal(r, 0)

#endif
