#include "common/args.h"

#include <assert.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* What getopt_long gives for the option at index i of the table: above every letter. */
enum { VALUE_BASE = 0x1000, VALUE_HELP = 0x2000, VALUE_VERSION = 0x2001 };

/* Words longer than this are not compared: nobody mistypes them so. */
enum { HINT_BYTES_MAX = 40, HINT_DISTANCE_MAX = 2 };

/* Levenshtein's distance, row by row. */
static unsigned distance(const char *a, const char *b)
{
    size_t a_len = strlen(a), b_len = strlen(b);
    unsigned row[HINT_BYTES_MAX + 1];

    for (size_t k = 0; k <= b_len; k++)
        row[k] = (unsigned)k;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i;
        for (size_t k = 1; k <= b_len; k++) {
            unsigned replace = diagonal + (a[i - 1] != b[k - 1]);
            unsigned change = MIN(row[k], row[k - 1]) + 1;

            diagonal = row[k];
            row[k] = MIN(replace, change);
        }
    }
    return row[b_len];
}

/* Smaller is nearer; above HINT_DISTANCE_MAX: not meant. */
static unsigned hint_score(const char *word, const char *candidate)
{
    size_t len = strlen(word);

    if (len > HINT_BYTES_MAX || strlen(candidate) > HINT_BYTES_MAX)
        return HINT_DISTANCE_MAX + 1;
    if (len >= 2 && strncmp(candidate, word, len) == 0)
        return 1;
    if (len <= 2) /* Nearly every short word is two changes away from every other. */
        return distance(word, candidate) <= 1 ? 2 : HINT_DISTANCE_MAX + 1;
    return distance(word, candidate);
}

const char *args_hint(const char *word, const char *const *words)
{
    const char *best = NULL;
    unsigned best_score = HINT_DISTANCE_MAX + 1;

    for (; *words != NULL; words++) {
        unsigned score = hint_score(word, *words);

        if (score < best_score) {
            best = *words;
            best_score = score;
        }
    }
    return best;
}

static unsigned option_count(const struct args_spec *spec)
{
    unsigned n = 0;

    while (spec->options != NULL && spec->options[n].name != NULL)
        n++;
    assert(n <= ARGS_OPTIONS_MAX);
    return n;
}

static void print_option(FILE *out, const struct arg_option *o)
{
    char left[64];
    int n;

    n = snprintf(left, sizeof left, "  %c%c%s --%s%s%s", o->letter ? '-' : ' ',
                 o->letter ? o->letter : ' ', o->letter ? "," : " ", o->name, o->value ? "=" : "",
                 o->value ? o->value : "");
    if (n < 30)
        fprintf(out, "%-30s%s\n", left, o->help);
    else
        fprintf(out, "%s\n%30s%s\n", left, "", o->help);
}

static void print_usage(const struct args_spec *spec, FILE *out)
{
    const char *line = spec->usage;
    const char *label = "Usage:";

    for (;;) {
        size_t len = strcspn(line, "\n");

        fprintf(out, "%-6s %s %.*s\n", label, spec->program, (int)len, line);
        if (line[len] == '\0')
            return;
        line += len + 1;
        label = "";
    }
}

void args_print_help(const struct args_spec *spec, FILE *out)
{
    static const struct arg_option common[] = {
        {"help", 'h', NULL, "show this help and exit", 1},
        {"version", 'V', NULL, "show the version and exit", 1},
    };
    unsigned count = option_count(spec);
    bool h_taken = false;

    print_usage(spec, out);
    fprintf(out, "%s\n\nOptions:\n", spec->about);
    for (unsigned i = 0; i < count; i++) {
        print_option(out, &spec->options[i]);
        h_taken = h_taken || spec->options[i].letter == 'h';
    }
    for (size_t i = 0; i < ARRAY_COUNT(common); i++) {
        struct arg_option o = common[i];

        if (o.letter == 'h' && h_taken)
            o.letter = 0;
        print_option(out, &o);
    }
    if (spec->more != NULL)
        fprintf(out, "\n%s\n", spec->more);
}

static void usage_tail(const struct args_spec *spec)
{
    fprintf(stderr, "Try '%s --help'.\n", spec->program);
}

int args_usage_error(const struct args_spec *spec, const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "%s: ", spec->program);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    usage_tail(spec);
    return ARGS_EXIT_USAGE;
}

void args_init(struct args *a, const struct args_spec *spec, int argc, char **argv)
{
    *a = (struct args){.spec = spec, .argc = argc, .argv = argv};
    optind = 0; /* glibc: start anew, also within a process that has parsed before. */
    opterr = 0;
}

static int exit_with(struct args *a, int code)
{
    a->exit_code = code;
    return ARGS_EXIT;
}

/* The tables that getopt_long wants. "h" and "V" may be taken by the caller. */
struct getopt_tables {
    struct option longs[ARGS_OPTIONS_MAX + 3];
    char shorts[2 * ARGS_OPTIONS_MAX + 8];
};

static void tables_fill(struct getopt_tables *t, const struct args_spec *spec)
{
    unsigned count = option_count(spec);
    char *s = t->shorts;

    memset(t, 0, sizeof *t);
    if (spec->stop_at_operand)
        *s++ = '+';
    *s++ = ':'; /* Tell a missing value from an unknown option. */
    for (unsigned i = 0; i < count; i++) {
        const struct arg_option *o = &spec->options[i];

        t->longs[i] = (struct option){o->name, o->value != NULL ? required_argument : no_argument,
                                      NULL, (int)(VALUE_BASE + i)};
        if (o->letter != 0) {
            *s++ = o->letter;
            if (o->value != NULL)
                *s++ = ':';
        }
    }
    if (strchr(t->shorts, 'h') == NULL)
        *s++ = 'h';
    if (strchr(t->shorts, 'V') == NULL)
        *s++ = 'V';
    t->longs[count] = (struct option){"help", no_argument, NULL, VALUE_HELP};
    t->longs[count + 1] = (struct option){"version", no_argument, NULL, VALUE_VERSION};
}

static const struct arg_option *option_of(const struct args_spec *spec, int value)
{
    unsigned count = option_count(spec);

    if (value >= VALUE_BASE && value < VALUE_BASE + (int)count)
        return &spec->options[value - VALUE_BASE];
    for (unsigned i = 0; i < count; i++) {
        if (spec->options[i].letter != 0 && spec->options[i].letter == value)
            return &spec->options[i];
    }
    return NULL;
}

/* "xyz" of "--xyz=1", malloc'ed. */
static char *long_name_of(const char *arg)
{
    const char *name = arg + 2;

    return strndup(name, strcspn(name, "="));
}

static int tell_unknown_long(struct args *a, const struct getopt_tables *t)
{
    const char *words[ARGS_OPTIONS_MAX + 3] = {NULL};
    char *name = long_name_of(a->argv[optind - 1]);
    unsigned prefix_count = 0;
    const char *hint;

    for (unsigned i = 0; t->longs[i].name != NULL; i++) {
        words[i] = t->longs[i].name;
        prefix_count += strncmp(words[i], name, strlen(name)) == 0;
    }
    hint = args_hint(name, words);
    if (prefix_count > 1)
        fprintf(stderr, "%s: option '--%s' is ambiguous", a->spec->program, name);
    else
        fprintf(stderr, "%s: unknown option '--%s'", a->spec->program, name);
    if (hint != NULL)
        fprintf(stderr, "; did you mean '--%s'?", hint);
    fputc('\n', stderr);
    usage_tail(a->spec);
    free(name);
    return exit_with(a, ARGS_EXIT_USAGE);
}

static int tell_mistake(struct args *a, const struct getopt_tables *t, int what)
{
    const struct arg_option *o = optopt == 0 ? NULL : option_of(a->spec, optopt);
    const char *given_name = o != NULL ? o->name : optopt == VALUE_HELP ? "help" : "version";

    if (what == ':' && o != NULL)
        return exit_with(a, args_usage_error(a->spec, "option '--%s' needs a value: --%s=%s",
                                             o->name, o->name, o->value));
    if (optopt == 0)
        return tell_unknown_long(a, t);
    if (optopt >= VALUE_BASE)
        return exit_with(a, args_usage_error(a->spec, "option '--%s' takes no value", given_name));
    return exit_with(a, args_usage_error(a->spec, "unknown option '-%c'", optopt));
}

static int finish(struct args *a)
{
    a->rest = a->argv + optind;
    a->rest_count = a->argc - optind;
    if (a->rest_count < a->spec->rest_min)
        return exit_with(
            a, args_usage_error(a->spec, "%s",
                                a->rest_count == 0 ? "an operand is missing" : "too few operands"));
    if (a->spec->rest_max >= 0 && a->rest_count > a->spec->rest_max)
        return exit_with(a, args_usage_error(a->spec, "'%s' is one operand too many",
                                             a->rest[a->spec->rest_max]));
    return ARGS_END;
}

int args_next(struct args *a)
{
    struct getopt_tables t;
    const struct arg_option *o;
    int value;

    tables_fill(&t, a->spec);
    value = getopt_long(a->argc, a->argv, t.shorts, t.longs, NULL);
    if (value == -1)
        return finish(a);
    if (value == '?' || value == ':')
        return tell_mistake(a, &t, value);

    o = option_of(a->spec, value);
    if (o != NULL) {
        a->value = optarg;
        return o->id;
    }
    if (value == VALUE_HELP || value == 'h') {
        args_print_help(a->spec, stdout);
    } else {
        printf("%s (dfs) %s\n", a->spec->program, build_version());
    }
    return exit_with(a, 0);
}
