#include "namenode/log_format.h"

#include <errno.h>
#include <string.h>

#include "common/bytes.h"
#include "common/crc32c.h"
#include "namenode/mutants.h"

enum {
    META_MAGIC = 0x316d6c64,    /* "dlm1" */
    SEGMENT_MAGIC = 0x31736c64, /* "dls1" */
    RECORD_MAGIC = 0x31726c64,  /* "dlr1" */
    RING_MAGIC = 0x31686c64,    /* "dlh1" */
    META_BYTES = 80,
    SEGMENT_BYTES = 56,
};

void log_meta_set_faulty(struct log_meta *m, uint64_t from, uint64_t to, uint64_t term)
{
    m->faulty_from = to > 0 ? from : 0;
    m->faulty_to = to;
    m->faulty_term = to > 0 ? term : 0;
}

size_t log_record_size(uint32_t len)
{
    return (LOG_RECORD_HEADER + (size_t)len + LOG_SECTOR - 1) / LOG_SECTOR * LOG_SECTOR;
}

uint32_t log_entry_crc(const struct raft_entry *e)
{
    uint8_t head[24];

    put_le64(head, e->index);
    put_le64(head + 8, e->term);
    put_le32(head + 16, (uint32_t)e->type);
    put_le32(head + 20, e->buf->len);
    return crc32c_update(crc32c(head, sizeof(head)), e->buf->data, e->buf->len);
}

void log_meta_encode(const struct log_meta *m, uint8_t out[LOG_BLOCK])
{
    memset(out, 0, LOG_BLOCK);
    put_le32(out, META_MAGIC);
    put_le64(out + 8, m->generation);
    put_le64(out + 16, m->hard_state.term);
    put_le64(out + 24, m->hard_state.vote.v);
    put_le64(out + 32, m->epoch);
    put_le64(out + 40, m->truncate_from);
    put_le64(out + 48, m->first_seq);
    put_le64(out + 56, m->faulty_from);
    put_le64(out + 64, m->faulty_to);
    put_le32(out + 72, m->faulty_term <= UINT32_MAX ? (uint32_t)m->faulty_term : 0);
    put_le32(out + META_BYTES - 4, crc32c(out, META_BYTES - 4));
}

/* Another version may be as long as it likes; one flipped bit in our own digit is none. */
static bool is_other_meta(const uint8_t in[LOG_BLOCK])
{
    uint8_t ours[META_BYTES];

    if (!is_other_version(get_le32(in), META_MAGIC))
        return false;
    memcpy(ours, in, sizeof(ours));
    put_le32(ours, META_MAGIC);
    return get_le32(ours + META_BYTES - 4) != crc32c(ours, META_BYTES - 4);
}

int log_meta_decode(const uint8_t in[LOG_BLOCK], struct log_meta *ret_meta)
{
    if (is_other_meta(in))
        return -EPROTONOSUPPORT;
    if (get_le32(in) != META_MAGIC || get_le32(in + META_BYTES - 4) != crc32c(in, META_BYTES - 4))
        return -EBADMSG;
    if (get_le64(in + 40) == 0) /* Entries count from 1: a log cannot begin before it. */
        return -EBADMSG;
    *ret_meta = (struct log_meta){
        .generation = get_le64(in + 8),
        .hard_state = {.term = get_le64(in + 16), .vote = {get_le64(in + 24)}},
        .epoch = get_le64(in + 32),
        .truncate_from = get_le64(in + 40),
        .first_seq = get_le64(in + 48),
        .faulty_from = get_le64(in + 56),
        .faulty_to = get_le64(in + 64),
        .faulty_term = get_le32(in + 72),
    };
    /* Not told: by a release that knew no such bound, or it was too long. This one always holds. */
    if (ret_meta->faulty_to > 0 && ret_meta->faulty_term == 0)
        ret_meta->faulty_term = ret_meta->hard_state.term;
    return 0;
}

void log_segment_header_encode(const struct log_segment_header *h, uint8_t out[LOG_BLOCK])
{
    memset(out, 0, LOG_BLOCK);
    put_le32(out, SEGMENT_MAGIC);
    put_le64(out + 8, h->seq);
    put_le64(out + 16, h->seed);
    put_le64(out + 24, h->epoch);
    put_le64(out + 32, h->first_index);
    put_le64(out + 40, h->bytes);
    put_le32(out + SEGMENT_BYTES - 4, crc32c(out, SEGMENT_BYTES - 4));
}

int log_segment_header_decode(const uint8_t in[LOG_BLOCK], struct log_segment_header *ret_header)
{
    if (get_le32(in) != SEGMENT_MAGIC ||
        get_le32(in + SEGMENT_BYTES - 4) != crc32c(in, SEGMENT_BYTES - 4))
        return -EBADMSG;
    if (get_le64(in + 32) == 0 || get_le64(in + 40) < LOG_SEGMENT_DATA ||
        get_le64(in + 40) > LOG_SEGMENT_MAX)
        return -EBADMSG;
    *ret_header = (struct log_segment_header){
        .seq = get_le64(in + 8),
        .seed = get_le64(in + 16),
        .epoch = get_le64(in + 24),
        .first_index = get_le64(in + 32),
        .bytes = get_le64(in + 40),
    };
    return 0;
}

static uint32_t record_crc(const uint8_t *header, uint64_t seed)
{
    uint8_t s[8];

    put_le64(s, seed);
    return crc32c_update(crc32c(s, sizeof(s)), header, LOG_RECORD_HEADER - 4);
}

void log_record_encode(const struct log_record *r, uint64_t seed, uint8_t out[LOG_RECORD_HEADER])
{
    memset(out, 0, LOG_RECORD_HEADER);
    put_le32(out, RECORD_MAGIC);
    put_le32(out + 4, r->len);
    put_le64(out + 8, r->index);
    put_le64(out + 16, r->term);
    put_le64(out + 24, r->batch_first);
    put_le64(out + 32, r->epoch);
    put_le32(out + 40, (uint32_t)r->type);
    put_le32(out + 44, r->entry_crc);
    put_le32(out + 48, r->prev_crc);
    put_le32(out + 60, record_crc(out, seed));
}

int log_record_decode(const uint8_t *in, size_t room, uint64_t seed, struct log_record *ret_record)
{
    uint32_t len, type;

    if (room < LOG_SECTOR || get_le32(in) != RECORD_MAGIC ||
        get_le32(in + 60) != record_crc(in, seed))
        return -EBADMSG;
    len = get_le32(in + 4);
    type = get_le32(in + 40);
    if (len > RAFT_ENTRY_BYTES_MAX || log_record_size(len) > room || type < RAFT_ENTRY_NORMAL ||
        type > RAFT_ENTRY_HASH)
        return -EBADMSG;
    *ret_record = (struct log_record){
        .index = get_le64(in + 8),
        .term = get_le64(in + 16),
        .type = (enum raft_entry_type)type,
        .len = len,
        .entry_crc = get_le32(in + 44),
        .prev_crc = get_le32(in + 48),
        .batch_first = get_le64(in + 24),
        .epoch = get_le64(in + 32),
    };
    return 0;
}

bool log_record_intact(const uint8_t *in, const struct log_record *r)
{
    uint8_t head[24];

    put_le64(head, r->index);
    put_le64(head + 8, r->term);
    put_le32(head + 16, (uint32_t)r->type);
    put_le32(head + 20, r->len);
    return crc32c_update(crc32c(head, sizeof(head)), in + LOG_RECORD_HEADER, r->len) ==
           r->entry_crc;
}

void log_ring_encode(const struct log_ring_entry *e, uint8_t out[LOG_RING_ENTRY])
{
    memset(out, 0, LOG_RING_ENTRY);
    put_le32(out, RING_MAGIC);
    put_le64(out + 8, e->index);
    put_le64(out + 16, e->term);
    put_le64(out + 24, e->epoch);
    put_le32(out + 32, e->entry_crc);
    put_le32(out + 60, crc32c(out, 60));
}

int log_ring_decode(const uint8_t in[LOG_RING_ENTRY], struct log_ring_entry *ret_entry)
{
    if (get_le32(in) != RING_MAGIC || get_le32(in + 60) != crc32c(in, 60))
        return -EBADMSG;
    *ret_entry = (struct log_ring_entry){
        .index = get_le64(in + 8),
        .term = get_le64(in + 16),
        .epoch = get_le64(in + 24),
        .entry_crc = get_le32(in + 32),
    };
    return 0;
}

bool log_is_void(const struct log_meta *m, uint64_t epoch, uint64_t index)
{
    return !MUTANT(RECORD_WITHOUT_EPOCH) &&
           (epoch > m->epoch || (epoch < m->epoch && index >= m->truncate_from));
}
