/* See removed.h. */
#include "fuse/removed.h"

#include <stdlib.h>

#include <uthash.h>

#include "common/mem.h"

enum { REMOVED_MAX = 4096 };

struct removed_dir {
    struct ino ino;
    struct ll_attr attr;
    UT_hash_handle hh;
};

static struct removed_dir *find(const struct mount *m, struct ino ino)
{
    struct removed_dir *d;

    HASH_FIND(hh, m->removed, &ino, sizeof(ino), d);
    return d;
}

static void drop(struct mount *m, struct removed_dir *d)
{
    HASH_DEL(m->removed, d);
    free(d);
}

void removed_add(struct mount *m, const struct ll_attr *attr)
{
    struct removed_dir *d;

    if (find(m, attr->ino) != NULL)
        return;
    /* The oldest goes: uthash keeps the order of adding. */
    if (HASH_COUNT(m->removed) >= REMOVED_MAX)
        drop(m, m->removed);
    d = MEM_NEW(struct removed_dir);
    d->ino = attr->ino;
    d->attr = *attr;
    HASH_ADD(hh, m->removed, ino, sizeof(d->ino), d);
}

void removed_forget(struct mount *m, struct ino ino)
{
    struct removed_dir *d = m->removed == NULL ? NULL : find(m, ino);

    if (d != NULL)
        drop(m, d);
}

const struct ll_attr *removed_find(const struct mount *m, struct ino ino)
{
    const struct removed_dir *d = m->removed == NULL ? NULL : find(m, ino);

    return d == NULL ? NULL : &d->attr;
}

void removed_clear(struct mount *m)
{
    while (m->removed != NULL)
        drop(m, m->removed);
}
