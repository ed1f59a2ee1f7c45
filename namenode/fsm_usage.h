/*
 * What lies below each directory, kept exactly: files, directories, bytes of the whole tree (a U
 * record; none where nothing lies).
 *
 * A file counts once, in its home: the directory that `parent` of its inode names. With one link
 * that is where its name is. With several, K records say how many of the names are in which
 * directory; when the last name in the home goes, another directory with a name becomes the home.
 * An inode without links counts nowhere.
 *
 * A batch keeps the directories that it touched in memory, each knowing the one above, up to the
 * root: an operation adds at every level, and usage_write_out() writes each level once a batch,
 * however many files were made in it.
 *
 * Every change of a link or a size goes through here. In a store of a format before
 * FSM_FORMAT_USAGE all of it does nothing. What fails is the store: tx->fatal.
 */
#ifndef NAMENODE_FSM_USAGE_H
#define NAMENODE_FSM_USAGE_H

#include <stdbool.h>
#include <stdint.h>

#include <uthash.h>

#include "namenode/records.h"

struct tx;

/* A directory that the batch has come across. In the arena; the table is tx->usage. */
struct usage_node {
    uint64_t ino;
    struct usage_node *above; /* NULL: the root */
    struct usage_rec rec;     /* quotas: changed by fsm_quota.c alone */
    bool is_stored;           /* the store has a record */
    bool changed;
    UT_hash_handle hh;
};

/* With all above it. NULL: the store failed. */
struct usage_node *usage_node(struct tx *tx, uint64_t ino);
/* The lowest directory that both lie in or are. */
const struct usage_node *usage_common(const struct usage_node *a, const struct usage_node *b);

/* What an inode that is no directory counts for. */
struct usage_rec usage_of_file(const struct inode_rec *inode);
/* What goes along when a name of the inode moves out of dir. */
struct usage_rec usage_of_name(struct tx *tx, uint64_t dir, const struct inode_rec *inode);

/*
 * A name of the inode came, went, or moved to another directory. To be called before nlink is
 * changed, and with a new inode's record put. `parent` of files is kept here, that of directories
 * by the caller, who also puts the inode afterwards.
 */
void usage_created(struct tx *tx, uint64_t dir, struct inode_rec *inode); /* its first name */
void usage_linked(struct tx *tx, uint64_t dir, struct inode_rec *inode);
void usage_unlinked(struct tx *tx, uint64_t dir, struct inode_rec *inode);
void usage_moved(struct tx *tx, uint64_t from, uint64_t to, struct inode_rec *inode);
/* The inode has its new size. */
void usage_resized(struct tx *tx, const struct inode_rec *inode, uint64_t old_size);

/* From the tree as it is, for a store that has no counters yet. tx->state.format is set already. */
int usage_rebuild(struct tx *tx);

/* Into the overlay: the last of a batch. */
void usage_write_out(struct tx *tx);
/* Forgets what the batch has gathered. */
void usage_reset(struct tx *tx);

/* Such a record is not stored. */
bool usage_rec_is_zero(const struct usage_rec *rec);

/* For reads: the record as the last batch left it, zeros where there is none. */
int usage_get(struct tx *tx, uint64_t dir, struct usage_rec *ret_rec);

#endif
