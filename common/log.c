#include "common/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 2048, LAST_ERROR_BYTES_MAX = 1024 };

/* The one place with state of the whole process: where all threads of a program log to. */
static struct {
    const char *program;
    enum log_level level;
    /* Under lock. */
    pthread_mutex_t lock;
    char last_error[LAST_ERROR_BYTES_MAX];
} sink = {"dfs", LOG_LEVEL_INFO, PTHREAD_MUTEX_INITIALIZER, ""};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_init(const char *program, enum log_level level)
{
    sink.program = program;
    sink.level = level;
}

enum log_level log_level(void)
{
    return sink.level;
}

int log_level_parse(const char *text, enum log_level *ret_level)
{
    for (size_t i = 0; i < ARRAY_COUNT(level_names); i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

const char *log_last_error(void)
{
    return sink.last_error;
}

static void keep_error(const char *text, size_t len)
{
    pthread_mutex_lock(&sink.lock);
    (void)snprintf(sink.last_error, sizeof sink.last_error, "%.*s", (int)len, text);
    pthread_mutex_unlock(&sink.lock);
}

static size_t line_begin(char *line, size_t size, enum log_level level, const char *msg)
{
    struct timespec now;
    struct tm tm;
    int n;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &tm);
    n = snprintf(line, size, "%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ %s %s: %s", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, now.tv_nsec / 1000,
                 level_names[level], sink.program, msg);
    return MIN((size_t)n, size - 1);
}

/* Facts may hold what came from outside: one call, one line, whatever they contain. */
static void blank_controls(char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            s[i] = '?';
    }
}

void log_write(enum log_level level, const char *msg, const char *fmt_facts, ...)
{
    char line[LINE_BYTES_MAX + 1];
    size_t len = line_begin(line, LINE_BYTES_MAX, level, msg);
    size_t head = len - MIN(strlen(msg), len);
    int saved_errno = errno;
    va_list ap;
    int n;

    va_start(ap, fmt_facts);
    n = vsnprintf(line + len, LINE_BYTES_MAX - len, fmt_facts, ap);
    va_end(ap);
    if (n > 1) /* More than the space in front. */
        len = MIN(len + (size_t)n, (size_t)LINE_BYTES_MAX - 1);
    blank_controls(line, len);
    if (level == LOG_LEVEL_ERROR)
        keep_error(line + head, len - head);
    line[len++] = '\n';
    if (write(STDERR_FILENO, line, len) < 0) {
        /* Nowhere left to say it. */
    }
    errno = saved_errno;
}
