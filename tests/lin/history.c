/* Histories in memory and as text. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/lin/history.h"

enum {
    LINE_SIZE = 128 + LIN_ENTRIES_MAX * (LIN_NAME_SIZE + 32),
    WORDS_MAX = 8 + LIN_ENTRIES_MAX,
    ERRNO_MAX = 133,
};

static const char *const kinds[] = {
    [LIN_CREATE] = "create", [LIN_MKDIR] = "mkdir",    [LIN_LINK] = "link",
    [LIN_UNLINK] = "unlink", [LIN_RMDIR] = "rmdir",    [LIN_RENAME] = "rename",
    [LIN_LOOKUP] = "lookup", [LIN_READDIR] = "readdir"};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

struct lin_history *lin_history_new(void)
{
    return MEM_NEW(struct lin_history);
}

void lin_history_free(struct lin_history *h)
{
    if (!h)
        return;
    for (unsigned i = 0; i < h->count; i++)
        free((void *)(uintptr_t)h->events[i].result.entries);
    free(h->events);
    free(h->roots);
    free(h);
}

void lin_root(struct lin_history *h, uint64_t ino)
{
    h->roots = mem_realloc(h->roots, h->root_count + 1, sizeof(*h->roots));
    h->roots[h->root_count++] = ino;
}

unsigned lin_call(struct lin_history *h, uint64_t time, const struct lin_op *op)
{
    if (h->count == h->room) {
        h->room = h->room ? 2 * h->room : 64;
        h->events = mem_realloc(h->events, h->room, sizeof(*h->events));
    }
    h->events[h->count] = (struct lin_event){.op = *op, .called = time};
    h->unknown++;
    return h->count++;
}

void lin_return(struct lin_history *h, unsigned op, uint64_t time, const struct lin_result *result)
{
    struct lin_event *e = &h->events[op];

    assert(op < h->count && !e->has_return && time >= e->called);
    assert(result->entry_count <= LIN_ENTRIES_MAX);
    e->has_return = true;
    e->returned = time;
    e->result = *result;
    e->result.entries = NULL;
    if (result->entry_count > 0)
        e->result.entries = (struct lin_entry *)(void *)mem_memdup(
            result->entries, result->entry_count * sizeof(result->entries[0]));
    h->unknown--;
}

unsigned lin_op_count(const struct lin_history *h)
{
    return h->count;
}

unsigned lin_unknown_count(const struct lin_history *h)
{
    return h->unknown;
}

/* ---- out ---- */

void lin_print_op(const struct lin_op *op, FILE *file)
{
    fputs(kinds[op->kind], file);
    if (op->kind == LIN_LINK)
        fprintf(file, " %" PRIu64, op->ino);
    fprintf(file, " %" PRIu64, op->dir);
    if (op->kind != LIN_READDIR)
        fprintf(file, " %s", op->name);
    if (op->kind != LIN_RENAME)
        return;
    fprintf(file, " %" PRIu64 " %s", op->to_dir, op->to_name);
    if (op->flags & LIN_NOREPLACE)
        fputs(" noreplace", file);
    if (op->flags & LIN_EXCHANGE)
        fputs(" exchange", file);
}

void lin_print_result(const struct lin_event *e, FILE *file)
{
    const struct lin_result *r = &e->result;

    if (!e->has_return) {
        fputs("unknown", file);
        return;
    }
    if (r->error) {
        const char *name = strerrorname_np(r->error);

        fputs(name ? name : "EUNKNOWN", file);
        return;
    }
    fputs("ok", file);
    for (unsigned i = 0; i < r->entry_count; i++)
        fprintf(file, " %s=%" PRIu64 "%s", r->entries[i].name, r->entries[i].ino,
                r->entries[i].is_dir ? "/" : "");
    if (r->ino)
        fprintf(file, " %" PRIu64 "%s", r->ino, r->is_dir ? "/" : "");
}

static void write_return(const struct lin_event *e, FILE *file)
{
    fprintf(file, "ret %" PRIu64 " %u.%u ", e->returned, e->op.client, e->number);
    lin_print_result(e, file);
    fputc('\n', file);
}

static void number_events(struct lin_event *events, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        events[i].number = 0;
        for (unsigned k = i; k-- > 0;)
            if (events[k].op.client == events[i].op.client) {
                events[i].number = events[k].number + 1;
                break;
            }
    }
}

void lin_write(const struct lin_history *h, FILE *file)
{
    number_events(h->events, h->count);
    for (unsigned i = 0; i < h->root_count; i++)
        fprintf(file, "root %" PRIu64 "\n", h->roots[i]);
    for (unsigned i = 0; i < h->count; i++) {
        const struct lin_event *e = &h->events[i];

        fprintf(file, "call %" PRIu64 " %u.%u ", e->called, e->op.client, e->number);
        lin_print_op(&e->op, file);
        fputc('\n', file);
        if (e->has_return)
            write_return(e, file);
    }
}

/* ---- in ---- */

struct words {
    char *v[WORDS_MAX];
    unsigned count, at;
};

static void split(char *line, struct words *w)
{
    char *save = NULL;

    w->count = w->at = 0;
    for (char *p = strtok_r(line, " \t\n", &save); p && w->count < WORDS_MAX;
         p = strtok_r(NULL, " \t\n", &save))
        w->v[w->count++] = p;
}

static const char *next_word(struct words *w)
{
    return w->at < w->count ? w->v[w->at++] : "";
}

/* A number, then the end or `after`; *ret_rest is behind that. */
static bool number_of(const char *word, char after, uint64_t *ret, const char **ret_rest)
{
    char *end;

    if (*word < '0' || *word > '9')
        return false;
    errno = 0;
    *ret = strtoull(word, &end, 10);
    if (errno || (*end && *end != after))
        return false;
    *ret_rest = *end ? end + 1 : end;
    return true;
}

static bool next_number(struct words *w, uint64_t *ret)
{
    const char *rest;

    return number_of(next_word(w), '\0', ret, &rest);
}

static bool next_name(struct words *w, char name[LIN_NAME_SIZE])
{
    const char *word = next_word(w);
    size_t len = strlen(word);

    if (len == 0 || len >= LIN_NAME_SIZE)
        return false;
    memcpy(name, word, len + 1);
    return true;
}

/* "3.17": which client's which operation */
static bool next_op_id(struct words *w, unsigned *ret_client, unsigned *ret_number)
{
    const char *rest, *end;
    uint64_t client, number;

    if (!number_of(next_word(w), '.', &client, &rest) || !number_of(rest, '\0', &number, &end))
        return false;
    *ret_client = (unsigned)client;
    *ret_number = (unsigned)number;
    return client <= UINT32_MAX && number <= UINT32_MAX;
}

static bool parse_op(struct words *w, struct lin_op *op)
{
    const char *word = next_word(w);
    unsigned kind = 0;

    while (kind < KINDS && strcmp(kinds[kind], word) != 0)
        kind++;
    if (kind == KINDS)
        return false;
    op->kind = kind;
    if ((kind == LIN_LINK && !next_number(w, &op->ino)) || !next_number(w, &op->dir) ||
        op->dir == 0 || (kind != LIN_READDIR && !next_name(w, op->name)))
        return false;
    if (kind == LIN_RENAME) {
        if (!next_number(w, &op->to_dir) || op->to_dir == 0 || !next_name(w, op->to_name))
            return false;
        word = next_word(w);
        if (strcmp(word, "noreplace") == 0)
            op->flags = LIN_NOREPLACE;
        else if (strcmp(word, "exchange") == 0)
            op->flags = LIN_EXCHANGE;
        else if (*word)
            return false;
    }
    return w->at == w->count;
}

static bool parse_ino(const char *word, uint64_t *ret_ino, bool *ret_dir)
{
    const char *rest;

    if (!number_of(word, '/', ret_ino, &rest) || *rest)
        return false;
    *ret_dir = rest[-1] == '/';
    return true;
}

static bool parse_entry(char *word, struct lin_entry *e)
{
    char *is = strchr(word, '=');

    if (!is || is == word || is - word >= LIN_NAME_SIZE)
        return false;
    *is = '\0';
    memcpy(e->name, word, (size_t)(is - word) + 1);
    return parse_ino(is + 1, &e->ino, &e->is_dir);
}

static int errno_of(const char *name)
{
    for (int i = 1; i <= ERRNO_MAX; i++) {
        const char *known = strerrorname_np(i);

        if (known && strcmp(known, name) == 0)
            return i;
    }
    return 0;
}

static bool parse_result(struct words *w, enum lin_kind kind, struct lin_entry *entries,
                         struct lin_result *r)
{
    const char *word = next_word(w);

    *r = (struct lin_result){.entries = entries};
    if (strcmp(word, "ok") != 0) {
        r->error = errno_of(word);
        return r->error != 0 && w->at == w->count;
    }
    if (kind == LIN_READDIR) {
        for (; w->at < w->count; r->entry_count++)
            if (r->entry_count == LIN_ENTRIES_MAX ||
                !parse_entry(w->v[w->at++], &entries[r->entry_count]))
                return false;
        return true;
    }
    if (w->at < w->count && !parse_ino(next_word(w), &r->ino, &r->is_dir))
        return false;
    if (r->ino == 0 && kind == LIN_LOOKUP)
        return false;
    return w->at == w->count;
}

static struct lin_event *find_call(struct lin_history *h, unsigned client, unsigned number)
{
    for (unsigned i = h->count; i-- > 0;)
        if (h->events[i].op.client == client && h->events[i].number == number)
            return &h->events[i];
    return NULL;
}

static bool read_line(struct lin_history *h, char *line)
{
    struct lin_entry entries[LIN_ENTRIES_MAX];
    struct lin_op op = {0};
    struct lin_result result;
    struct lin_event *e;
    unsigned number;
    struct words w;
    const char *what;
    uint64_t time;

    split(line, &w);
    what = next_word(&w);
    if (*what == '\0' || *what == '#')
        return true;
    if (!next_number(&w, &time))
        return false;
    if (strcmp(what, "root") == 0) {
        lin_root(h, time);
        return w.at == w.count;
    }
    if (!next_op_id(&w, &op.client, &number))
        return false;
    e = find_call(h, op.client, number);
    if (strcmp(what, "call") == 0) {
        if (e || !parse_op(&w, &op))
            return false;
        (void)lin_call(h, time, &op);
        h->events[h->count - 1].number = number;
        return true;
    }
    if (strcmp(what, "ret") != 0 || !e || e->has_return || time < e->called ||
        !parse_result(&w, e->op.kind, entries, &result))
        return false;
    lin_return(h, (unsigned)(e - h->events), time, &result);
    return true;
}

int lin_read(struct lin_history *h, FILE *file, unsigned *ret_line)
{
    char line[LINE_SIZE];
    unsigned count = 0;

    while (fgets(line, sizeof(line), file)) {
        count++;
        if (!strchr(line, '\n') || !read_line(h, line)) {
            *ret_line = count;
            return -EINVAL;
        }
    }
    return 0;
}
