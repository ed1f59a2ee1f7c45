/* Calls of ll files that wait for their answer, for the tests of open files. */
#ifndef TESTS_UNIT_LIBDFS_FILE_CALLS_H
#define TESTS_UNIT_LIBDFS_FILE_CALLS_H

#include "tests/unit/libdfs/fake_cluster.h"

/* What a call came to; pass &r.call and &r. */
struct result {
    struct ll_call call;
    bool done;
    int status;
    struct ll_file *file;
    bool keep_cache;
    struct ll_attr attr;
    uint8_t *bytes;
    size_t len;
};

extern const struct ll_cred test_root;

int cluster_set_up(void **state);
int cluster_tear_down(void **state);
void result_open(void *ctx, int status, struct ll_file *file, const struct ll_attr *attr,
                 bool keep_cache);
void result_status(void *ctx, int status);
void result_attr(void *ctx, int status, const struct ll_attr *attr);
void result_data(void *ctx, int status, const struct iovec *iov, unsigned count, size_t len);
struct result file_open(struct cluster *c, uint64_t ino, int flags);
struct ll_file *file_create(struct cluster *c);
int file_put(struct cluster *c, struct ll_file *f, uint64_t offset, const void *bytes, size_t len);
int file_append(struct cluster *c, struct ll_file *f, const void *bytes, size_t len);
int file_flush(struct cluster *c, struct ll_file *f);
int file_sync(struct cluster *c, struct ll_file *f, bool datasync);
struct result file_get(struct cluster *c, struct ll_file *f, uint64_t offset, size_t len);
void file_expect(struct cluster *c, struct ll_file *f, uint64_t offset, const void *bytes,
                 size_t len);
int file_cut(struct cluster *c, struct ll_file *f, uint64_t size);
unsigned cluster_ops(const struct cluster *c);
unsigned cluster_reads(const struct cluster *c);
uint8_t *test_pattern(size_t len, uint64_t seed);
int file_allocate(struct cluster *c, struct ll_file *f, int mode, uint64_t offset, uint64_t len);

#endif
