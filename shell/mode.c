#include "shell/mode.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static int parse_octal(const char *text, struct mode_change *ret_change)
{
    uint32_t v = 0;

    if (strlen(text) > 5)
        return -EINVAL;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p < '0' || *p > '7')
            return -EINVAL;
        v = v * 8 + (uint32_t)(*p - '0');
    }
    if (v > 07777)
        return -EINVAL;
    *ret_change = (struct mode_change){.is_octal = true, .octal = v};
    return 0;
}

static uint32_t class_bits(char c)
{
    return c == 'u' ? 04700U : c == 'g' ? 02070U : c == 'o' ? 01007U : c == 'a' ? 07777U : 0;
}

/* The letters after + - =; gives what follows them. */
static const char *parse_perms(const char *p, struct mode_clause *c)
{
    if (*p == 'u' || *p == 'g' || *p == 'o') {
        c->copy_from = *p;
        return p + 1;
    }
    for (;; p++) {
        switch (*p) {
        case 'r':
            c->perms |= 0444;
            break;
        case 'w':
            c->perms |= 0222;
            break;
        case 'x':
            c->perms |= 0111;
            break;
        case 'X':
            c->exec_if = true;
            break;
        case 's':
            c->perms |= 06000;
            break;
        case 't':
            c->perms |= 01000;
            break;
        default:
            return p;
        }
    }
}

int mode_parse(const char *text, struct mode_change *ret_change)
{
    struct mode_change change = {.is_octal = false};
    const char *p = text;

    if (*p >= '0' && *p <= '9')
        return parse_octal(text, ret_change);
    for (;;) {
        uint32_t who = 0;

        while (class_bits(*p) != 0)
            who |= class_bits(*p++);
        if (*p != '+' && *p != '-' && *p != '=')
            return -EINVAL;
        while (*p == '+' || *p == '-' || *p == '=') {
            struct mode_clause *c = &change.clauses[change.clause_count];

            if (change.clause_count++ == MODE_CLAUSES_MAX)
                return -EINVAL;
            *c = (struct mode_clause){.who = who == 0 ? 07777U : who, .masked = who == 0, .op = *p};
            p = parse_perms(p + 1, c);
        }
        if (*p == '\0')
            break;
        if (*p++ != ',')
            return -EINVAL;
    }
    *ret_change = change;
    return 0;
}

/* rwx of one class, for all three. */
static uint32_t spread(uint32_t mode, char from)
{
    uint32_t bits = (from == 'u' ? mode >> 6 : from == 'g' ? mode >> 3 : mode) & 7;

    return bits << 6 | bits << 3 | bits;
}

uint32_t mode_apply(const struct mode_change *change, uint32_t mode, uint32_t umask_bits)
{
    bool is_dir = S_ISDIR(mode);
    uint32_t m = mode & 07777;

    if (change->is_octal)
        return change->octal;
    for (unsigned i = 0; i < change->clause_count; i++) {
        const struct mode_clause *c = &change->clauses[i];
        uint32_t perms = c->copy_from != 0 ? spread(m, c->copy_from) : c->perms;
        uint32_t who = c->who, cleared = c->who;

        if (c->exec_if && (is_dir || (m & 0111) != 0))
            perms |= 0111;
        if (c->masked)
            who &= ~umask_bits;
        /* "=" leaves the set-id bits of a directory alone, as chmod(1) does. */
        if (is_dir)
            cleared &= ~06000U;
        if (c->op == '+')
            m |= perms & who;
        else if (c->op == '-')
            m &= ~(perms & who);
        else
            m = (m & ~cleared) | (perms & who);
    }
    return m;
}
