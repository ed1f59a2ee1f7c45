/*
 * The bytes of the Raft log on disk: pure encoders and decoders, no I/O.
 * All integers little-endian, every structure with its CRC32C.
 *
 *   meta      two copies of one 4 KiB slot: hard state, and what of the rest is valid
 *   seg-SEQ   | header | header again | record … | zeros, or records of an earlier use |
 *   ring      LOG_RING_COUNT headers of 64 bytes, entry i at slot i % LOG_RING_COUNT
 *
 * What makes a stale record recognizable:
 *   seed    random per use of a segment, goes into each record's CRC: old bytes of a recycled
 *           segment never validate
 *   epoch   grows with each truncation and each start; records (and ring headers) of an older epoch
 *           at or beyond meta.truncate_from are void
 *   prev    CRC of the entry before
 *   batch   first index of the write that a record was part of: all records before that were synced
 *           before this one was written, so a bad one among them is damage and not a torn write
 */
#ifndef NAMENODE_LOG_FORMAT_H
#define NAMENODE_LOG_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raft/types.h"

enum {
    LOG_BLOCK = 4096, /* grain of meta slots and segment headers */
    LOG_SECTOR = 512, /* grain of records */
    LOG_RECORD_HEADER = 64,
    LOG_SEGMENT_DATA = 2 * LOG_BLOCK, /* where records begin */
    LOG_SEGMENT_MAX = 1 << 30,        /* bytes of a file; what says more is damaged */
    LOG_RING_ENTRY = 64,
    LOG_RING_COUNT = 16384,
};

struct log_meta {
    uint64_t generation;
    struct raft_hard_state hard_state;
    uint64_t epoch;
    uint64_t truncate_from;
    uint64_t first_seq;   /* segments with a lower sequence number are not part of the log */
    uint64_t faulty_from; /* entries that were durable once and are lost; 0: none */
    uint64_t faulty_to;
    uint64_t faulty_term; /* none of them is of a later term; 0: none */
};

struct log_segment_header {
    uint64_t seq;
    uint64_t seed;
    uint64_t epoch;
    uint64_t first_index;
    uint64_t bytes; /* of the file */
};

struct log_record {
    uint64_t index;
    uint64_t term;
    enum raft_entry_type type;
    uint32_t len;       /* of the payload */
    uint32_t entry_crc; /* of index, term, type, len and payload */
    uint32_t prev_crc;  /* entry_crc of the entry before; 0: not known */
    uint64_t batch_first;
    uint64_t epoch;
};

struct log_ring_entry {
    uint64_t index;
    uint64_t term;
    uint64_t epoch;
    uint32_t entry_crc;
};

/* to 0: nothing is lost. */
void log_meta_set_faulty(struct log_meta *m, uint64_t from, uint64_t to, uint64_t term);

/* Bytes a record takes on disk. */
size_t log_record_size(uint32_t len);
uint32_t log_entry_crc(const struct raft_entry *e);

/* All decoders: -EBADMSG when it is not what it should be; the output is untouched then. */
void log_meta_encode(const struct log_meta *m, uint8_t out[LOG_BLOCK]);
/* -EPROTONOSUPPORT: of another version; it is read before all the rest, and stands for it. */
int log_meta_decode(const uint8_t in[LOG_BLOCK], struct log_meta *ret_meta);

void log_segment_header_encode(const struct log_segment_header *h, uint8_t out[LOG_BLOCK]);
int log_segment_header_decode(const uint8_t in[LOG_BLOCK], struct log_segment_header *ret_header);

/* Header alone; the payload follows it, then zeros up to log_record_size(). */
void log_record_encode(const struct log_record *r, uint64_t seed, uint8_t out[LOG_RECORD_HEADER]);
/* Checks the header; room: bytes from in to the end of the segment, all of the record must fit. */
int log_record_decode(const uint8_t *in, size_t room, uint64_t seed, struct log_record *ret_record);
/* Whether the payload, which follows the header at in, is the one that was written. */
bool log_record_intact(const uint8_t *in, const struct log_record *r);

void log_ring_encode(const struct log_ring_entry *e, uint8_t out[LOG_RING_ENTRY]);
int log_ring_decode(const uint8_t in[LOG_RING_ENTRY], struct log_ring_entry *ret_entry);

/* Whether something written in this epoch at this index is void. */
bool log_is_void(const struct log_meta *m, uint64_t epoch, uint64_t index);

#endif
