/* What chmod is told: "640", "u+rwX,go=", "+x", "g=u". Pure. */
#ifndef SHELL_MODE_H
#define SHELL_MODE_H

#include <stdbool.h>
#include <stdint.h>

enum { MODE_CLAUSES_MAX = 32 };

struct mode_change {
    bool is_octal;
    uint32_t octal;
    unsigned clause_count;
    struct mode_clause {
        uint32_t who;   /* bits of the classes that change: 04700, 02070, 01007 or several */
        bool masked;    /* no class was named: bits of the umask stay as they are */
        char op;        /* + - = */
        uint32_t perms; /* as for all classes: 0444, 0222, 0111, 06000, 01000 */
        bool exec_if;   /* X */
        char copy_from; /* u, g, o or 0 */
    } clauses[MODE_CLAUSES_MAX];
};

/* -EINVAL */
int mode_parse(const char *text, struct mode_change *ret_change);
/* The permission bits that a file of this mode gets. */
uint32_t mode_apply(const struct mode_change *c, uint32_t mode, uint32_t umask_bits);

#endif
