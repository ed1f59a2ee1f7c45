/*
 * Memory that is never NULL: when the machine has none left the program says so and aborts, since
 * nothing sensible can be done then and no caller would test it. Sizes that come from outside are
 * checked against common/limits.h before they get here.
 */
#ifndef COMMON_MEM_H
#define COMMON_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size);
/* Zeroed; count * size is checked for overflow. */
void *mem_zalloc(size_t count, size_t size);
/* count * size is checked for overflow. */
void *mem_realloc(void *p, size_t count, size_t size);
char *mem_strdup(const char *s);
/* With a NUL added. */
char *mem_memdup(const void *data, size_t len);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* One zeroed struct: struct node *n = MEM_NEW(struct node); free() gives it back. */
#define MEM_NEW(type) ((type *)mem_zalloc(1, sizeof(type)))

#endif
