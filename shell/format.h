/* Attributes, times and names as text, for people and as JSON. */
#ifndef SHELL_FORMAT_H
#define SHELL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "libdfs/dfs.h"

enum { FORMAT_MODE_MAX = 11, FORMAT_TIME_MAX = 72, FORMAT_OWNER_MAX = 64 };

/* "drwxr-sr-t" */
char *format_mode(uint32_t mode, char out[FORMAT_MODE_MAX]);
/* "directory", "regular file", "symbolic link", ... */
const char *format_type(uint32_t mode);
/* "2026-11-24 04:06", local time. */
char *format_time(int64_t ns, char out[FORMAT_TIME_MAX]);
/* "2026-11-24 04:06:28.123456789 +0000" */
char *format_time_full(int64_t ns, char out[FORMAT_TIME_MAX]);
/* The name of a user or group; its number when it has none. */
char *format_user(uint32_t uid, char out[FORMAT_OWNER_MAX]);
char *format_group(uint32_t gid, char out[FORMAT_OWNER_MAX]);
/* A count of bytes: exact, or with human "1.5 GiB". */
char *format_bytes(uint64_t bytes, bool human, char out[32]);
/* For a terminal, control characters become '?', as with ls(1); for a pipe nothing changes. */
void format_name(FILE *out, const char *name, bool terminal);

/* Bytes that are no UTF-8 become U+FFFD: JSON has no other way to say them. */
json_t *format_json_name(const char *name);
/* {"path", "type", "mode", "uid", ...}; target of a symbolic link may be NULL. */
json_t *format_json_stat(const char *path, const struct dfs_stat *st, const char *target);
/* Prints and frees. */
void format_json_print(json_t *root);

/* "/a/b" of "/a" and "b"; malloc'ed. */
char *format_path(const char *dir, const char *name);
/* The last name of a path, without slashes behind it; "/" of the root. malloc'ed. */
char *format_base(const char *path);

#endif
