/*
 * The data of a file goes, chunk by chunk, to placement groups of as many copies as the file is to
 * have. Each chunk is copied into a file that has no name, synced there, and swapped in, if nobody has
 * the file open then and nobody has changed it meanwhile; else what was copied is thrown away. So
 * readers and writers are never in the way of each other or of this, and at each moment the file has
 * all its data in as many copies as before or as it will have. Whoever ends this ends it between two
 * chunks: what is done is done, and is not done again.
 */
#ifndef SHELL_RECOPY_H
#define SHELL_RECOPY_H

#include <stdatomic.h>
#include <stdint.h>

struct client;
struct recopy;

/* -errno: the report that says which placement group has how many copies cannot be had. client is
 * borrowed. stop: true ends recopy_file() with -ECANCELED. */
int recopy_new(struct client *client, const atomic_bool *stop, struct recopy **ret_recopy);
void recopy_free(struct recopy *r);

struct recopy_count {
    uint64_t chunks; /* that hold bytes */
    uint64_t others; /* of these, in groups of other numbers of copies */
};
int recopy_count(struct recopy *r, uint64_t ino, unsigned copies, struct recopy_count *ret_count);

/*
 * All that is elsewhere. path is a regular file. *ret_bytes (on failure too): of the chunks that were
 * copied.
 * -EBUSY  somebody has it open, or changes it all the time: the rest stays where it is
 */
int recopy_file(struct recopy *r, const char *path, unsigned copies, uint64_t *ret_bytes);

#endif
