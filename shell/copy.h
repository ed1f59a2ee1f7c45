/*
 * put, get and cp: files and trees from one place to another, several files at a time.
 *
 * A reader never sees half a file: each is written under a temporary name beside its own and then
 * renamed. A directory gets its mode and times when everything in it is there.
 */
#ifndef SHELL_COPY_H
#define SHELL_COPY_H

#include <stdbool.h>

#include "shell/place.h"

struct client;

enum { COPY_JOBS_DEFAULT = 8, COPY_JOBS_MAX = 256 };

struct copy_options {
    bool recursive;  /* directories too */
    bool overwrite;  /* files that are there are replaced */
    bool keep_times; /* modes are always kept */
    bool keep_owner;
    bool progress;
    unsigned jobs;
};

/*
 * Copies the sources into dest when that is a directory, else the only source to dest. Failures
 * are told and counted at c, and the copy goes on. -ENOTDIR: dest must be a directory and is not.
 */
int copy_run(struct client *c, const struct place *from, const struct place *to, char **sources,
             int source_count, const char *dest, const struct copy_options *options);

/* One open stream, for "-": until its end. 0 or -errno. */
int copy_from_fd(const struct place *to, int fd, const char *dest, bool overwrite);
int copy_to_fd(const struct place *from, const char *source, int fd);

#endif
