#include "libdfs/removal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "common/compiler.h"
#include "common/limits.h"
#include "common/mem.h"

enum { SLICE = TREE_SLICE_MAX };

struct removal_name {
    struct removal_name *next; /* the one that this is in */
    uint64_t parent;
    char *name;
    char *from; /* in it: where the last slice stopped */
};

static void push(struct removal *r, uint64_t parent, const void *name, size_t len)
{
    struct removal_name *n = MEM_NEW(struct removal_name);

    n->parent = parent;
    n->name = mem_memdup(name, len);
    n->from = mem_strdup("");
    LL_PREPEND(r->names, n);
}

static void pop(struct removal *r)
{
    struct removal_name *n = r->names;

    LL_DELETE(r->names, n);
    free(n->name);
    free(n->from);
    free(n);
}

void removal_init(struct removal *r, struct ino parent, const char *name)
{
    *r = (struct removal){.names = NULL};
    push(r, parent.v, name, strlen(name));
}

void removal_done(struct removal *r)
{
    while (r->names != NULL)
        pop(r);
}

static ProtobufCBinaryData bytes_of(char *text)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)text, .len = strlen(text)};
}

void removal_ask(const struct removal *r, Dfs__RemoveTreeOp *ret_op)
{
    dfs__remove_tree_op__init(ret_op);
    ret_op->parent = r->names->parent;
    ret_op->name = bytes_of(r->names->name);
    ret_op->from = bytes_of(r->names->from);
    ret_op->limit = SLICE;
}

/* In front of what is there; what does not fit is left out with the names before it. */
static bool prepend(struct removal *r, const void *text, size_t len)
{
    char *out = r->removed.failed;
    size_t have = strlen(out), gap = have > 0;

    if (len == 0)
        return true;
    if (have + gap + len >= sizeof(r->removed.failed))
        return false;
    memmove(out + len + gap, out, have + 1);
    memcpy(out, text, len);
    if (gap > 0)
        out[len] = '/';
    return true;
}

/* Each name but the first is in the one before, at the path where that one stopped for it. */
static void tell_where(struct removal *r, const Dfs__TreeReply *reply)
{
    const struct removal_name *n;

    r->removed.failed[0] = '\0';
    if (reply != NULL && !prepend(r, reply->path.data, reply->path.len))
        return;
    LL_FOREACH (r->names->next, n) {
        if (!prepend(r, n->from, strlen(n->from)))
            return;
    }
}

static void keep_from(struct removal *r, ProtobufCBinaryData next)
{
    bool good = next.len > 0 && next.len <= TREE_NEXT_BYTES_MAX;

    free(r->names->from);
    r->names->from = good ? mem_memdup(next.data, next.len) : mem_strdup("");
}

int removal_take(struct removal *r, int status, const Dfs__TreeReply *reply)
{
    bool is_inner = r->names->next != NULL;
    uint64_t count;

    /* A directory inside that somebody else took away or moved elsewhere is what we wanted. */
    if (is_inner && (status == -ENOENT || status == -ESTALE)) {
        pop(r);
        return 1;
    }
    if (status < 0) {
        tell_where(r, NULL);
        return status;
    }
    count = (uint64_t)reply->files + reply->directories;
    r->removed.files += reply->files;
    r->removed.directories += reply->directories;
    if (reply->error < 0) {
        tell_where(r, reply);
        return reply->error;
    }
    if (reply->done) {
        pop(r);
        return r->names != NULL;
    }
    keep_from(r, reply->next);
    if (reply->deep_parent != 0 && reply->deep_name.len <= NAME_BYTES_MAX)
        push(r, reply->deep_parent, reply->deep_name.data, reply->deep_name.len);
    else if (count == 0)
        return -EIO; /* Asked again, it would say the same. */
    return 1;
}
