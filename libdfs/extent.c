#include "libdfs/extent.h"

#include <assert.h>

/* Members that start before `start` go left, the others right. */
static void split(struct extent *t, uint64_t start, struct extent **ret_left,
                  struct extent **ret_right)
{
    if (t == NULL) {
        *ret_left = NULL;
        *ret_right = NULL;
    } else if (t->start < start) {
        split(t->right, start, &t->right, ret_right);
        *ret_left = t;
    } else {
        split(t->left, start, ret_left, &t->left);
        *ret_right = t;
    }
}

static struct extent *join(struct extent *left, struct extent *right)
{
    if (left == NULL)
        return right;
    if (right == NULL)
        return left;
    if (left->priority >= right->priority) {
        left->right = join(left->right, right);
        return left;
    }
    right->left = join(left, right->left);
    return right;
}

/* xorshift32: balance needs no better chance, and the same calls give the same tree. */
static uint32_t next_priority(struct extent_set *s)
{
    uint32_t v = s->seed != 0 ? s->seed : UINT32_C(0x9e3779b9);

    v ^= v << 13;
    v ^= v >> 17;
    v ^= v << 5;
    s->seed = v;
    return v;
}

void extent_insert(struct extent_set *s, struct extent *e)
{
    struct extent **at = &s->root;

    assert(e->start < e->end);
    assert(extent_overlap(s, e->start, e->end) == NULL);
    e->priority = next_priority(s);
    while (*at != NULL && (*at)->priority >= e->priority)
        at = e->start < (*at)->start ? &(*at)->left : &(*at)->right;
    split(*at, e->start, &e->left, &e->right);
    *at = e;
    s->count++;
    s->bytes += e->end - e->start;
}

void extent_remove(struct extent_set *s, struct extent *e)
{
    struct extent **at = &s->root;

    while (*at != e) {
        assert(*at != NULL && "not a member");
        at = e->start < (*at)->start ? &(*at)->left : &(*at)->right;
    }
    *at = join(e->left, e->right);
    e->left = NULL;
    e->right = NULL;
    s->count--;
    s->bytes -= e->end - e->start;
}

void extent_resize(struct extent_set *s, struct extent *e, uint64_t start, uint64_t end)
{
    assert(start < end);
    s->bytes -= e->end - e->start;
    e->start = start;
    e->end = end;
    s->bytes += end - start;
}

struct extent *extent_at_or_after(const struct extent_set *s, uint64_t offset)
{
    struct extent *t = s->root;
    struct extent *found = NULL;

    while (t != NULL) {
        if (t->end > offset) {
            found = t;
            t = t->left;
        } else {
            t = t->right;
        }
    }
    return found;
}

struct extent *extent_before(const struct extent_set *s, uint64_t offset)
{
    struct extent *t = s->root;
    struct extent *found = NULL;

    while (t != NULL) {
        if (t->start < offset) {
            found = t;
            t = t->right;
        } else {
            t = t->left;
        }
    }
    return found;
}

struct extent *extent_overlap(const struct extent_set *s, uint64_t start, uint64_t end)
{
    struct extent *e = extent_at_or_after(s, start);

    return e != NULL && e->start < end ? e : NULL;
}
