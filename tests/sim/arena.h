/*
 * All that a program allocates, in one piece of memory at one address: so its whole state is saved and
 * brought back by copying bytes, pointers included. For programs linked with LINK_TO_ARENA, which lead
 * malloc() and its kin here; one thread.
 */
#ifndef TESTS_SIM_ARENA_H
#define TESTS_SIM_ARENA_H

#include <stddef.h>

/* From now on allocations are made in the arena; what it held before is forgotten. */
void arena_begin(void);
/* They are made elsewhere; and in the arena again, which goes on. */
void arena_end(void);
void arena_resume(void);

/* How much has to be copied now. */
size_t arena_size(void);
void arena_save(void *to);
/* As it was when `from` was saved; size: what arena_size() said then. */
void arena_restore(const void *from, size_t size);

#endif
