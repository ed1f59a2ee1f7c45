/* A directory for one test, and how it goes again. */
#ifndef TESTS_UNIT_RPC_SCRATCH_H
#define TESTS_UNIT_RPC_SCRATCH_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline char *scratch_new(void)
{
    const char *tmp = getenv("TMPDIR");
    char path[256];

    snprintf(path, sizeof(path), "%s/dfs-rpc-XXXXXX", tmp != NULL ? tmp : "/tmp");
    return mkdtemp(path) != NULL ? strdup(path) : NULL;
}

/* With the plain files in it. */
static inline void scratch_free(char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    char path[512];

    while (d != NULL && (e = readdir(d)) != NULL) {
        snprintf(path, sizeof(path), "%s/%.200s", dir, e->d_name);
        (void)unlink(path);
    }
    if (d != NULL)
        closedir(d);
    (void)rmdir(dir);
    free(dir);
}

#endif
