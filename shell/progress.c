#include "shell/progress.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/compiler.h"
#include "common/mem.h"
#include "common/strutil.h"

enum { REDRAW_MS = 100, RATE_AFTER_MS = 200 };

struct progress {
    pthread_mutex_t lock;
    uint64_t start_ns, drawn_ns;
    struct progress_state state;
    bool is_shown;
};

/* In whole seconds, rounded up: tenths would only flicker. */
static char *time_left(uint64_t ms, char out[STR_SIZE_MAX])
{
    uint64_t s = (ms + 999) / 1000;

    if (s >= 60)
        return str_duration(s * 1000, out);
    snprintf(out, STR_SIZE_MAX, "%" PRIu64 " s", s);
    return out;
}

static void PRINTF_LIKE(2, 3) append(char *line, const char *fmt, ...)
{
    size_t len = strlen(line);
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(line + len, PROGRESS_LINE_MAX - len, fmt, ap);
    va_end(ap);
}

/* 0: not known. */
static uint64_t ms_left(const struct progress_state *s)
{
    bool by_bytes = s->bytes_total > 0;
    uint64_t done = by_bytes ? s->bytes_done : s->files_done;
    uint64_t total = by_bytes ? s->bytes_total : s->files_total;

    if (done == 0 || total <= done)
        return 0;
    return (uint64_t)((double)s->elapsed_ms * (double)(total - done) / (double)done);
}

char *progress_line(const struct progress_state *s, char out[PROGRESS_LINE_MAX])
{
    bool has_bytes = s->bytes_done > 0 || s->bytes_total > 0 || s->noun == NULL;
    char text[STR_SIZE_MAX];

    out[0] = '\0';
    if (has_bytes)
        append(out, "%s", str_size(s->bytes_done, text));
    if (s->bytes_total > 0)
        append(out, " of %s", str_size(s->bytes_total, text));
    append(out, "%s%" PRIu64, has_bytes ? ", " : "", s->files_done);
    if (s->files_total > 0)
        append(out, " of %" PRIu64, s->files_total);
    append(out, " %s%s", s->noun == NULL ? "file" : s->noun,
           (s->files_total > 0 ? s->files_total : s->files_done) == 1 ? "" : "s");
    if (s->elapsed_ms < RATE_AFTER_MS)
        return out;
    if (has_bytes)
        append(out, ", %s/s", str_size(s->bytes_done * 1000 / s->elapsed_ms, text));
    if (ms_left(s) > 0)
        append(out, ", %s left", time_left(ms_left(s), text));
    return out;
}

/* A line that is wider than the terminal could not be drawn over. */
static void draw(const struct progress_state *s)
{
    char line[PROGRESS_LINE_MAX];
    struct winsize ws;

    progress_line(s, line);
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 1 && strlen(line) >= ws.ws_col)
        line[ws.ws_col - 1] = '\0';
    fprintf(stderr, "\r%s\033[K", line);
}

struct progress *progress_new_of(bool wanted, const char *noun)
{
    struct progress *p;

    if (!wanted || !isatty(STDERR_FILENO))
        return NULL;
    p = MEM_NEW(struct progress);
    pthread_mutex_init(&p->lock, NULL);
    p->start_ns = clock_monotonic_ns(clock_system());
    p->state.noun = noun;
    return p;
}

struct progress *progress_new(bool wanted)
{
    return progress_new_of(wanted, NULL);
}

static void hide_locked(struct progress *p)
{
    if (p->is_shown)
        fputs("\r\033[K", stderr);
    p->is_shown = false;
}

void progress_free(struct progress *p)
{
    char line[PROGRESS_LINE_MAX];

    if (p == NULL)
        return;
    hide_locked(p);
    p->state.elapsed_ms = (clock_monotonic_ns(clock_system()) - p->start_ns) / CLOCK_NS_PER_MS;
    p->state.files_total = p->state.bytes_total = 0;
    fprintf(stderr, "%s\n", progress_line(&p->state, line));
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void progress_expect(struct progress *p, uint64_t files, uint64_t bytes)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->state.files_total += files;
    p->state.bytes_total += bytes;
    pthread_mutex_unlock(&p->lock);
}

void progress_add(struct progress *p, uint64_t files, uint64_t bytes)
{
    uint64_t now;

    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->state.files_done += files;
    p->state.bytes_done += bytes;
    now = clock_monotonic_ns(clock_system());
    if (now - p->drawn_ns >= REDRAW_MS * CLOCK_NS_PER_MS) {
        p->drawn_ns = now;
        p->state.elapsed_ms = (now - p->start_ns) / CLOCK_NS_PER_MS;
        draw(&p->state);
        p->is_shown = true;
    }
    pthread_mutex_unlock(&p->lock);
}

void progress_hide(struct progress *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    hide_locked(p);
    pthread_mutex_unlock(&p->lock);
}
