/*
 * The log: lines on stderr, one write(2) each, from any thread.
 *
 *   2026-11-24T03:15:22.123456Z warn dfs-datanode: chunk write refused chunk=7 epoch=3 want=4
 *
 * The message is constant, so that it can be searched for; facts follow as key=value:
 *
 *   log_warn("chunk write refused", "chunk=%" PRIu64 " epoch=%" PRIu64, chunk.v, epoch);
 *   log_info("serving", "");
 *
 * Libraries return, programs log: once, where the failure is handled.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "common/compiler.h"

/* NONE: of a simulator, in which errors are what is wanted. */
enum log_level {
    LOG_LEVEL_NONE = -1,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG
};

/* Once, at the start, before there are threads. Until then: program "dfs", level info. program is
 * kept, not copied. */
void log_init(const char *program, enum log_level level);

enum log_level log_level(void);

/*
 * "error", "warn", "info" or "debug".
 * -EINVAL  anything else
 */
int log_level_parse(const char *text, enum log_level *ret_level);

/* Use the macros: they skip the formatting of what is not logged. fmt_facts begins with a space. */
void log_write(enum log_level level, const char *msg, const char *fmt_facts, ...) PRINTF_LIKE(3, 4);

#define log_at_(level_, msg, ...)                                                                  \
    do {                                                                                           \
        if ((level_) <= log_level())                                                               \
            log_write((level_), "" msg, " " __VA_ARGS__);                                          \
    } while (0)
#define log_error(msg, ...) log_at_(LOG_LEVEL_ERROR, msg, __VA_ARGS__)
#define log_warn(msg, ...) log_at_(LOG_LEVEL_WARN, msg, __VA_ARGS__)
#define log_info(msg, ...) log_at_(LOG_LEVEL_INFO, msg, __VA_ARGS__)
#define log_debug(msg, ...) log_at_(LOG_LEVEL_DEBUG, msg, __VA_ARGS__)

/* The last error that was logged, message and facts; "" if none. For those who end because of it. */
const char *log_last_error(void);

#endif
