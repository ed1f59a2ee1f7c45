/* Text for people: sizes, durations, paths. */
#ifndef COMMON_STRUTIL_H
#define COMMON_STRUTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STR_SIZE_MAX = 32 };

/* "512 B", "1.5 GiB". Gives out. */
char *str_size(uint64_t bytes, char out[STR_SIZE_MAX]);
/* "3.2 s", "4 min 10 s", "2 h 5 min". Gives out. */
char *str_duration(uint64_t ms, char out[STR_SIZE_MAX]);

/*
 * "4096", "64K", "64 KiB", "1.5G": powers of 1,024, with or without i and B, any case.
 * -EINVAL, -ERANGE
 */
int str_parse_size(const char *text, uint64_t *ret_bytes);
/*
 * "250ms", "15s", "2m", "2min", "1h", "14d"; "0" needs no unit.
 * -EINVAL, -ERANGE
 */
int str_parse_duration_ms(const char *text, uint64_t *ret_ms);
/* Decimal digits only. -EINVAL, -ERANGE */
int str_parse_u64(const char *text, uint64_t *ret_value);

/*
 * "host:port" or "[v6]:port", split. host has room for host_size.
 * -EINVAL
 */
int str_parse_addr(const char *text, char *host, size_t host_size, uint16_t *ret_port);
/*
 * "host", "host:port", "[v6]" or "[v6]:port" with its port, malloc'ed; NULL: it is none of these,
 * or longer than ADDR_TEXT_MAX - 1 (common/limits.h).
 */
char *str_full_addr(const char *text, uint16_t default_port);
/*
 * The same for a list separated by commas, blanks around which do not count: "a:1,b:2", malloc'ed.
 * NULL: err says which item is wrong, or that there are none or more than max.
 */
char *str_full_addrs(const char *list, uint16_t default_port, unsigned max, char *err,
                     size_t err_size);

/* "a/b" from "a" or "a/" and "b"; malloc'ed. */
char *str_path_join(const char *dir, const char *name);

bool str_has_prefix(const char *s, const char *prefix);

#endif
