/*
 * The files of a snapshot in one directory: names, sizes, hashes. For any thread: no state.
 */
#ifndef NAMENODE_SNAP_FILES_H
#define NAMENODE_SNAP_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"

struct vfs;

enum {
    SNAP_NAME_MAX = 128,
    SNAP_FILES_MAX = 50000,
};

struct snap_file {
    char name[SNAP_NAME_MAX];
    uint64_t size;
    uint64_t hash;
};

struct snap_files {
    struct snap_file *list;
    size_t count, capacity;
    uint32_t *slots; /* by the hash of the name: its place in list, + 1; 2 * capacity of them */
};

void snap_files_done(struct snap_files *f);
/* -EBADMSG  not a plain name, or too many */
int snap_files_add(struct snap_files *f, const char *name, uint64_t size, uint64_t hash);
const struct snap_file *snap_files_find(const struct snap_files *f, const char *name);

/* Lists and hashes what is in dir. */
int snap_files_scan(struct vfs *vfs, const char *dir, struct snap_files *ret_files);
/* Removes from dir what is not in files. */
int snap_files_prune(struct vfs *vfs, const char *dir, const struct snap_files *files);
/* Syncs the file and checks its hash. -EBADMSG: it is not what it should be; it was removed, as is
 * one that cannot be synced. */
int snap_file_verify(struct vfs *vfs, const char *dir, const struct snap_file *file);
/* Syncs all of them, and dir: also those that an attempt before left, whole but perhaps unsynced.
 * One that cannot be synced is removed. */
int snap_files_sync(struct vfs *vfs, const char *dir, const struct snap_files *files);

#endif
