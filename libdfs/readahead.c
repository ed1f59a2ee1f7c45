#include "libdfs/readahead.h"

#include "common/compiler.h"

static const uint64_t piece = 1 << 20;

bool readahead_on_read(struct readahead *r, uint64_t offset, uint64_t len, uint64_t size,
                       uint32_t window_max, uint64_t *ret_from, uint64_t *ret_to)
{
    uint64_t end = offset + len;
    bool continues = offset + READAHEAD_NEAR >= r->next && offset <= r->next + READAHEAD_NEAR;
    uint64_t to;

    if (continues) {
        r->misses = 0;
        if (r->hits < READAHEAD_HITS)
            r->hits++;
        r->next = MAX(r->next, end);
    } else {
        if (r->misses < READAHEAD_MISSES)
            r->misses++;
        if (r->hits < READAHEAD_HITS || r->misses >= READAHEAD_MISSES) {
            r->hits = 0;
            r->window = 0;
            r->ahead = 0;
            r->next = end;
        }
        return false;
    }
    if (r->hits < READAHEAD_HITS)
        return false;

    if (r->window == 0) {
        r->window = MIN((uint32_t)READAHEAD_FIRST, window_max);
        r->grow_at = end + r->window;
    } else if (end >= r->grow_at) {
        /* All that was guessed came true: be bolder. */
        window_max = MIN(window_max, (uint32_t)READAHEAD_MAX);
        r->window = MIN(r->window * 2, window_max);
        r->grow_at = end + r->window;
    }
    to = (r->next + r->window + piece - 1) / piece * piece;
    r->ahead = MAX(r->ahead, to);
    *ret_from = offset / piece * piece;
    *ret_to = MIN(r->ahead, (size + piece - 1) / piece * piece);
    return *ret_from < *ret_to;
}
