/*
 * One line on a terminal, kept up to date while a command works:
 *   1.2 GiB of 3.0 GiB, 812 of 20000 files, 214.3 MiB/s, 9 s left
 *   12.9 GiB, 7 of 64 placement groups, 311.0 MiB/s, 5 min 38 s left
 * Any thread may tell what it has done. Nothing is printed when stderr is no terminal.
 */
#ifndef SHELL_PROGRESS_H
#define SHELL_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress;

/* NULL when stderr is no terminal (or !wanted): all functions take NULL. */
struct progress *progress_new(bool wanted);
/* It works on other things than files: noun is the word for one. */
struct progress *progress_new_of(bool wanted, const char *noun);
/* Prints what was done in all. */
void progress_free(struct progress *p);
/* What there is to do; may grow. */
void progress_expect(struct progress *p, uint64_t files, uint64_t bytes);
void progress_add(struct progress *p, uint64_t files, uint64_t bytes);
/* Clears the line, before a message is printed. */
void progress_hide(struct progress *p);

enum { PROGRESS_LINE_MAX = 160 };
struct progress_state {
    uint64_t files_done, files_total, bytes_done, bytes_total, elapsed_ms;
    const char *noun; /* NULL: "file" */
};
/* The text of the line. A total of 0 is not known. The time left goes by bytes, or where no total of
 * bytes is known by files. */
char *progress_line(const struct progress_state *s, char out[PROGRESS_LINE_MAX]);

#endif
