/*
 * Configuration: an INI file (# and ; begin comments), read into a table, then asked for with
 * typed getters. Getters never fail: a bad value is remembered and the default is given, so that
 * conf_check() at the end can tell all mistakes at once, each with file, line, key and what is
 * allowed; keys nobody asked for are mistakes too, with a hint at the key that was meant.
 *
 *   conf_load(path, &conf)  ·  o.port = conf_u64(conf, "namenode", "port", 8670, 1, 65535) ...
 *   if (conf_check(conf) < 0) fputs(conf_problems(conf), stderr)
 *
 * The only door to inih. One thread.
 */
#ifndef COMMON_CONF_H
#define COMMON_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"

struct conf;

/* Empty, for programs that have only command-line options. */
struct conf *conf_new(void);
void conf_free(struct conf *c);
DEFINE_CLEANUP(conf, conf_free)

/*
 * *ret_conf is set also when the file has syntax errors: conf_check() tells them.
 * -errno of opening or reading it; -EFBIG
 */
int conf_load(const char *path, struct conf **ret_conf);
/* From memory; name stands for the file in messages. */
int conf_load_text(const char *name, const char *text, size_t len, struct conf **ret_conf);

/* Overrides, as a command-line option does; told as "command line" in messages. */
void conf_set(struct conf *c, const char *section, const char *key, const char *value);

/* NULL (or the default) when not set. Text lives as long as c. */
const char *conf_str(struct conf *c, const char *section, const char *key, const char *fallback);
/* Like conf_str, but it must be there. */
const char *conf_str_required(struct conf *c, const char *section, const char *key);
/* A path, or NULL: what the file has as a relative one is taken from the directory of the file. */
const char *conf_file(struct conf *c, const char *section, const char *key);
uint64_t conf_u64(struct conf *c, const char *section, const char *key, uint64_t fallback,
                  uint64_t min, uint64_t max);
/* "64M", "1.5 GiB", "4096": bytes. */
uint64_t conf_size(struct conf *c, const char *section, const char *key, uint64_t fallback,
                   uint64_t min, uint64_t max);
/* "15s", "250ms", "2m", "1h", "14d": milliseconds. A bare number is refused: which unit? */
uint64_t conf_duration_ms(struct conf *c, const char *section, const char *key, uint64_t fallback,
                          uint64_t min, uint64_t max);
/* on, off, yes, no, true, false, 1, 0 */
bool conf_bool(struct conf *c, const char *section, const char *key, bool fallback);
/* One of the words of a NULL-terminated list; its index. */
unsigned conf_choice(struct conf *c, const char *section, const char *key, const char *const *words,
                     unsigned fallback);

/* The nth key of a section in file order, NULL after the last: for sections that are lists. It
 * counts as asked for. */
const char *conf_key_at(struct conf *c, const char *section, size_t index);
bool conf_has_section(const struct conf *c, const char *section);

/* A section that belongs to another program of ours: its keys are not unknown. */
void conf_ignore_section(struct conf *c, const char *section);

/* For checks of the caller's own: told with file and line of the key. */
void conf_problem(struct conf *c, const char *section, const char *key, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* 0, or -EINVAL: conf_problems() has one line each. After the last getter. */
int conf_check(struct conf *c);
const char *conf_problems(const struct conf *c);

#endif
