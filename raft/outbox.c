/* Nothing leaves before what it rests on is on disk. See outbox.h. */
#include "raft/outbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raft/mem.h"

static void release_arrays(struct outbox *o)
{
    for (size_t i = 0; i < o->array_count; i++) {
        for (size_t k = 0; k < o->arrays[i].count; k++)
            raft_buf_unref(o->arrays[i].entries[k].buf);
        free(o->arrays[i].entries);
    }
    o->array_count = 0;
}

void outbox_done(struct outbox *o)
{
    release_arrays(o);
    free(o->pending);
    free(o->held);
    free(o->entries);
    free(o->fresh);
    free(o->messages);
    free(o->reads);
    free(o->wanted);
    free(o->arrays);
}

void outbox_begin(struct outbox *o)
{
    release_arrays(o);
    o->hard_state_changed = false;
    o->log_reset = false;
    o->truncate_from = 0;
    o->entry_count = 0;
    o->fresh_count = 0;
    o->message_count = 0;
    o->read_count = 0;
    o->wanted_count = 0;
    o->offered = false;
    o->conf_changed = false;
    o->fault = RAFT_FAULT_NONE;
    o->fault_from = RAFT_NOBODY;
}

void outbox_message(struct outbox *o, const struct raft_msg *msg, bool after_log)
{
    o->fresh = raft_grow(o->fresh, o->fresh_count, &o->fresh_cap, sizeof(*o->fresh));
    o->fresh[o->fresh_count++] = (struct held_msg){.after_log = after_log, .msg = *msg};
}

void outbox_entry(struct outbox *o, const struct raft_entry *entry)
{
    o->entries = raft_grow(o->entries, o->entry_count, &o->entry_cap, sizeof(*o->entries));
    o->entries[o->entry_count++] = *entry;
}

void outbox_read(struct outbox *o, uint64_t id, int result, uint64_t index)
{
    o->reads = raft_grow(o->reads, o->read_count, &o->read_cap, sizeof(*o->reads));
    o->reads[o->read_count++] = (struct raft_read){id, result, index};
}

void outbox_snapshot_wanted(struct outbox *o, struct raft_id peer)
{
    o->wanted = raft_grow(o->wanted, o->wanted_count, &o->wanted_cap, sizeof(*o->wanted));
    o->wanted[o->wanted_count++] = peer;
}

struct raft_entry *outbox_entries(struct outbox *o, size_t count)
{
    struct raft_entry *entries = raft_alloc(count, sizeof(*entries));

    o->arrays = raft_grow(o->arrays, o->array_count, &o->array_cap, sizeof(*o->arrays));
    o->arrays[o->array_count++] = (struct entry_array){entries, count};
    return entries;
}

void outbox_entries_filled(struct outbox *o, size_t count)
{
    o->arrays[o->array_count - 1].count = count;
}

void outbox_drop_held(struct outbox *o)
{
    o->held_count = 0;
}

void outbox_truncated(struct outbox *o, uint64_t from)
{
    for (size_t i = 0; i < o->pending_count; i++) {
        if (o->pending[i].last_index >= from)
            o->pending[i].last_index = from - 1;
    }
}

static void send_now(struct outbox *o, const struct raft_msg *msg)
{
    o->messages = raft_grow(o->messages, o->message_count, &o->message_cap, sizeof(*o->messages));
    o->messages[o->message_count++] = *msg;
}

static void hold(struct outbox *o, const struct held_msg *m)
{
    /* Only a leader sends entries, and its term is long durable. */
    assert(m->msg.type != RAFT_MSG_APPEND);
    if (o->held_count == HELD_MAX)
        return;
    o->held = raft_grow(o->held, o->held_count, &o->held_cap, sizeof(*o->held));
    o->held[o->held_count++] = *m;
}

static void release_held(struct outbox *o)
{
    size_t kept = 0;

    for (size_t i = 0; i < o->held_count; i++) {
        if (o->held[i].after <= o->durable)
            send_now(o, &o->held[i].msg);
        else
            o->held[kept++] = o->held[i];
    }
    o->held_count = kept;
}

static bool is_vote(const struct raft_msg *msg)
{
    return msg->type == RAFT_MSG_VOTE || msg->type == RAFT_MSG_VOTE_REPLY;
}

void outbox_commit(struct outbox *o, uint64_t last_index, bool early_votes)
{
    if (o->hard_state_changed || o->log_reset || o->truncate_from > 0 || o->entry_count > 0) {
        o->issued++;
        if (o->hard_state_changed)
            o->hard_state_write = o->issued;
        o->pending = raft_grow(o->pending, o->pending_count, &o->pending_cap, sizeof(*o->pending));
        o->pending[o->pending_count++] = (struct pending_write){o->issued, last_index};
    }
    release_held(o);
    for (size_t i = 0; i < o->fresh_count; i++) {
        struct held_msg *m = &o->fresh[i];

        /* Every message names our term; a term we might forget is not to be named. */
        m->after = m->after_log ? o->issued : o->hard_state_write;
        if (early_votes && is_vote(&m->msg))
            m->after = 0;
        if (m->after <= o->durable)
            send_now(o, &m->msg);
        else
            hold(o, m);
    }
    o->fresh_count = 0;
}

uint64_t outbox_durable(struct outbox *o, uint64_t id)
{
    uint64_t last_index = 0;
    size_t done = 0;

    assert(id <= o->issued);
    while (done < o->pending_count && o->pending[done].id <= id) {
        if (o->pending[done].last_index > last_index)
            last_index = o->pending[done].last_index;
        done++;
    }
    o->pending_count -= done;
    memmove(o->pending, o->pending + done, o->pending_count * sizeof(*o->pending));
    if (id > o->durable)
        o->durable = id;
    return last_index;
}

bool outbox_hard_state_durable(const struct outbox *o)
{
    return o->hard_state_write <= o->durable;
}
