/* The layout of the log in memory: which segments there are and where each entry is. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "namenode/log_disk.h"

static void segment_done(struct log_segment *s)
{
    free(s->slots);
}

void log_layout_done(struct log_layout *l)
{
    log_layout_cut(l, 0);
    free(l->segments);
    free(l->tail);
    *l = (struct log_layout){0};
}

struct log_segment *log_layout_add(struct log_layout *l, const struct log_segment_header *h)
{
    struct log_segment *s;

    if (l->count == l->capacity) {
        l->capacity = l->capacity ? 2 * l->capacity : 8;
        l->segments = mem_realloc(l->segments, l->capacity, sizeof(*l->segments));
    }
    s = &l->segments[l->count++];
    *s = (struct log_segment){.header = *h, .used = LOG_SEGMENT_DATA};
    return s;
}

void log_segment_add(struct log_segment *s, uint32_t entry_crc, uint32_t len)
{
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? 2 * s->capacity : 64;
        s->slots = mem_realloc(s->slots, s->capacity, sizeof(*s->slots));
    }
    s->slots[s->count++] = (struct log_slot){
        .sector = (uint32_t)(s->used / LOG_SECTOR),
        .entry_crc = entry_crc,
    };
    s->used += log_record_size(len);
}

void log_layout_cut(struct log_layout *l, size_t from)
{
    while (l->count > from)
        segment_done(&l->segments[--l->count]);
}

void log_layout_drop_front(struct log_layout *l, size_t count)
{
    for (size_t i = 0; i < count; i++)
        segment_done(&l->segments[i]);
    l->count -= count;
    memmove(l->segments, l->segments + count, l->count * sizeof(*l->segments));
}

const struct log_segment *log_layout_find(const struct log_layout *l, uint64_t index)
{
    for (size_t i = l->count; i-- > 0;) {
        const struct log_segment *s = &l->segments[i];

        if (index >= s->header.first_index)
            return index < s->header.first_index + s->count ? s : NULL;
    }
    return NULL;
}

uint32_t log_layout_last_crc(const struct log_layout *l)
{
    for (size_t i = l->count; i-- > 0;) {
        const struct log_segment *s = &l->segments[i];

        if (s->count > 0)
            return s->slots[s->count - 1].entry_crc;
    }
    return 0;
}
