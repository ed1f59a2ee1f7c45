/* Small help from the compiler: clean-up of locals, ownership hand-over, container_of. */
#ifndef COMMON_COMPILER_H
#define COMMON_COMPILER_H

#include <stddef.h>

/* Runs the type's release function when the variable leaves scope. */
#define CLEANUP(type) __attribute__((cleanup(type##_cleanup)))
#define DEFINE_CLEANUP(type, release)                                                              \
    static inline void type##_cleanup(struct type **p)                                             \
    {                                                                                              \
        release(*p);                                                                               \
    }

/* Gives the pointer away: the variable is NULL afterwards. */
#define STEAL(p)                                                                                   \
    ({                                                                                             \
        __typeof__(p) steal_p_ = (p);                                                              \
        (p) = NULL;                                                                                \
        steal_p_;                                                                                  \
    })

#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NODISCARD __attribute__((warn_unused_result))

#define MIN(a, b)                                                                                  \
    ({                                                                                             \
        __typeof__(a) min_a_ = (a);                                                                \
        __typeof__(b) min_b_ = (b);                                                                \
        min_a_ < min_b_ ? min_a_ : min_b_;                                                         \
    })
#define MAX(a, b)                                                                                  \
    ({                                                                                             \
        __typeof__(a) max_a_ = (a);                                                                \
        __typeof__(b) max_b_ = (b);                                                                \
        max_a_ > max_b_ ? max_a_ : max_b_;                                                         \
    })

/* The release of this build, as `--version` prints it. Static storage. */
const char *build_version(void);

#endif
