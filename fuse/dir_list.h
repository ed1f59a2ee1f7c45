/*
 * A directory as an open handle has read it, page by page: position n is the n-th entry, and stays so
 * while others change the directory. Of all pages the name in front of each is kept, of the last few
 * the entries; an older one is read again when the kernel goes back that far. So a handle takes some
 * 20 bytes for a thousand entries, and at most DIR_LIST_PAGES pages. If the directory changed
 * meanwhile, an entry of a page that is read again may have another position in it.
 */
#ifndef FUSE_DIR_LIST_H
#define FUSE_DIR_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "libdfs/dfs_ll.h"

enum { DIR_LIST_PAGES = 4 };

struct dir_entry {
    char *name;
    uint32_t type;
    struct ll_attr attr; /* ino is set in any case; mode 0: nothing else is known */
};

struct dir_page; /* where a page begins */
struct dir_held; /* its entries */

struct dir_list {
    struct dir_page *pages; /* all that were read, in order */
    size_t page_count, page_capacity;
    size_t count;  /* entries in them */
    char *last;    /* the last name; NULL: none */
    bool end;      /* the last page is here */
    unsigned turn; /* the slot that is used next */
    struct dir_held *held[DIR_LIST_PAGES];
};

/* All zeros is an empty list. */
void dir_list_clear(struct dir_list *l);

/* What to read, so that a position is there. */
struct dir_want {
    size_t page;
    const char *after; /* names greater than this; the list's, until it changes */
};
/* False: nothing; it is there, or behind the end. */
bool dir_list_missing(const struct dir_list *l, size_t position, struct dir_want *ret_want);
/* What was read for want.page. Ignored if the list was cleared since. */
void dir_list_add(struct dir_list *l, size_t page, const struct ll_dirent *entries, unsigned count,
                  bool end);
/*
 * The entry at *position or, where a page came back shorter, the next; *position and *ret_page are
 * where it is. NULL: the end, or not here. It lives until dir_list_add() or dir_list_clear().
 */
const struct dir_entry *dir_list_get(const struct dir_list *l, size_t *position, size_t *ret_page);

#endif
