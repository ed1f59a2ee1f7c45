#include "fuse/dir_list.h"

#include <stdlib.h>
#include <string.h>

#include "common/compiler.h"
#include "common/mem.h"

struct dir_page {
    size_t first; /* the position of its first entry */
    char *after;  /* its names are greater */
};

struct dir_held {
    size_t page;
    unsigned count;
    struct dir_entry entries[];
};

static void drop(struct dir_list *l, unsigned slot)
{
    struct dir_held *h = STEAL(l->held[slot]);

    for (unsigned i = 0; h != NULL && i < h->count; i++)
        free(h->entries[i].name);
    free(h);
}

void dir_list_clear(struct dir_list *l)
{
    for (unsigned i = 0; i < DIR_LIST_PAGES; i++)
        drop(l, i);
    for (size_t i = 0; i < l->page_count; i++)
        free(l->pages[i].after);
    free(l->pages);
    free(l->last);
    *l = (struct dir_list){.pages = NULL};
}

static const struct dir_held *held(const struct dir_list *l, size_t page)
{
    for (unsigned i = 0; i < DIR_LIST_PAGES; i++) {
        if (l->held[i] != NULL && l->held[i]->page == page)
            return l->held[i];
    }
    return NULL;
}

/* Of a position that is in one of the pages. */
static size_t page_of(const struct dir_list *l, size_t position)
{
    size_t low = 0, high = l->page_count;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (l->pages[middle].first <= position)
            low = middle;
        else
            high = middle;
    }
    return low;
}

bool dir_list_missing(const struct dir_list *l, size_t position, struct dir_want *ret_want)
{
    size_t page;

    if (position >= l->count) {
        *ret_want = (struct dir_want){.page = l->page_count, .after = l->last ? l->last : ""};
        return !l->end;
    }
    page = page_of(l, position);
    *ret_want = (struct dir_want){.page = page, .after = l->pages[page].after};
    return held(l, page) == NULL;
}

static void page_append(struct dir_list *l, const struct ll_dirent *entries, unsigned count)
{
    if (l->page_count == l->page_capacity) {
        l->page_capacity = MAX((size_t)4, l->page_capacity * 2);
        l->pages = mem_realloc(l->pages, l->page_capacity, sizeof(*l->pages));
    }
    l->pages[l->page_count++] =
        (struct dir_page){.first = l->count, .after = l->last ? STEAL(l->last) : mem_strdup("")};
    l->count += count;
    l->last = mem_strdup(entries[count - 1].name);
}

/* Those that belong to a page that is read again: no more than it has room for, none of the next. */
static unsigned count_again(const struct dir_list *l, size_t page, const struct ll_dirent *entries,
                            unsigned count)
{
    bool is_last = page + 1 == l->page_count;
    size_t room = (is_last ? l->count : l->pages[page + 1].first) - l->pages[page].first;
    const char *last = is_last ? l->last : l->pages[page + 1].after;
    unsigned n = (unsigned)MIN((size_t)count, room);

    while (n > 0 && strcmp(entries[n - 1].name, last) > 0)
        n--;
    return n;
}

void dir_list_add(struct dir_list *l, size_t page, const struct ll_dirent *entries, unsigned count,
                  bool end)
{
    struct dir_held *h;

    if (page > l->page_count || held(l, page) != NULL)
        return;
    if (page == l->page_count) {
        l->end = end || count == 0;
        if (count == 0)
            return;
        page_append(l, entries, count);
    } else {
        count = count_again(l, page, entries, count);
    }
    h = mem_alloc(sizeof(*h) + count * sizeof(h->entries[0]));
    h->page = page;
    h->count = count;
    for (unsigned i = 0; i < count; i++) {
        struct dir_entry *e = &h->entries[i];

        *e = (struct dir_entry){
            .name = mem_strdup(entries[i].name), .type = entries[i].type, .attr = entries[i].attr};
        e->attr.ino = entries[i].ino;
    }
    drop(l, l->turn);
    l->held[l->turn] = h;
    l->turn = (l->turn + 1) % DIR_LIST_PAGES;
}

const struct dir_entry *dir_list_get(const struct dir_list *l, size_t *position, size_t *ret_page)
{
    while (*position < l->count) {
        size_t page = page_of(l, *position);
        const struct dir_held *h = held(l, page);
        size_t at = *position - l->pages[page].first;

        if (h == NULL)
            return NULL;
        *ret_page = page;
        if (at < h->count)
            return &h->entries[at];
        *position = page + 1 == l->page_count ? l->count : l->pages[page + 1].first;
    }
    return NULL;
}
