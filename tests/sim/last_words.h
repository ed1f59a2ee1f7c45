/*
 * However a simulator's process ends in the middle of a schedule (an assertion, a signal, a
 * sanitizer's report), the seed is told: without it nobody could look again.
 */
#ifndef SIM_LAST_WORDS_H
#define SIM_LAST_WORDS_H

#include <stdint.h>

/* Once, before the first schedule. */
void last_words_prepare(void);
/* The schedule that runs from now on. */
void last_words_seed(uint64_t seed);

/* For the test of this: dies of that signal; 0: reads beyond an allocation, which only a sanitizer
 * notices, and returns if there is none. */
void last_words_try(int signal_number);

#endif
