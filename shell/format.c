#include "shell/format.h"

#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/clock.h"
#include "common/mem.h"
#include "common/strutil.h"

enum { OWNER_BUFFER = 16384 };

static char type_letter(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return 'd';
    case S_IFLNK:
        return 'l';
    case S_IFIFO:
        return 'p';
    case S_IFSOCK:
        return 's';
    case S_IFCHR:
        return 'c';
    case S_IFBLK:
        return 'b';
    default:
        return '-';
    }
}

char *format_mode(uint32_t mode, char out[FORMAT_MODE_MAX])
{
    static const char letters[] = "rwxrwxrwx";

    out[0] = type_letter(mode);
    for (unsigned i = 0; i < 9; i++)
        out[i + 1] = '-';
    for (unsigned i = 0; i < 9; i++)
        if (mode & (0400U >> i))
            out[i + 1] = letters[i];
    if (mode & S_ISUID)
        out[3] = mode & S_IXUSR ? 's' : 'S';
    if (mode & S_ISGID)
        out[6] = mode & S_IXGRP ? 's' : 'S';
    if (mode & S_ISVTX)
        out[9] = mode & S_IXOTH ? 't' : 'T';
    out[10] = '\0';
    return out;
}

const char *format_type(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "directory";
    case S_IFLNK:
        return "symbolic link";
    case S_IFIFO:
        return "fifo";
    case S_IFSOCK:
        return "socket";
    case S_IFCHR:
        return "character device";
    case S_IFBLK:
        return "block device";
    default:
        return "regular file";
    }
}

/* Seconds rounded down, also before 1970. */
static time_t seconds_of(int64_t ns, long *ret_rest)
{
    const int64_t s = (int64_t)CLOCK_NS_PER_S;
    int64_t rest = ns % s;

    if (rest < 0)
        rest += s;
    *ret_rest = (long)rest;
    return (time_t)((ns - rest) / s);
}

char *format_time(int64_t ns, char out[FORMAT_TIME_MAX])
{
    long rest;
    time_t t = seconds_of(ns, &rest);
    struct tm tm;

    if (localtime_r(&t, &tm) == NULL || strftime(out, FORMAT_TIME_MAX, "%Y-%m-%d %H:%M", &tm) == 0)
        snprintf(out, FORMAT_TIME_MAX, "%" PRId64, (int64_t)t);
    return out;
}

char *format_time_full(int64_t ns, char out[FORMAT_TIME_MAX])
{
    char day[32] = "", zone[8] = "";
    long rest;
    time_t t = seconds_of(ns, &rest);
    struct tm tm;

    if (localtime_r(&t, &tm) != NULL) {
        (void)strftime(day, sizeof(day), "%Y-%m-%d %H:%M:%S", &tm);
        (void)strftime(zone, sizeof(zone), "%z", &tm);
    }
    snprintf(out, FORMAT_TIME_MAX, "%s.%09ld %s", day, rest, zone);
    return out;
}

char *format_user(uint32_t uid, char out[FORMAT_OWNER_MAX])
{
    char buffer[OWNER_BUFFER];
    struct passwd pw, *found = NULL;

    if (getpwuid_r(uid, &pw, buffer, sizeof(buffer), &found) == 0 && found != NULL)
        snprintf(out, FORMAT_OWNER_MAX, "%s", pw.pw_name);
    else
        snprintf(out, FORMAT_OWNER_MAX, "%" PRIu32, uid);
    return out;
}

char *format_group(uint32_t gid, char out[FORMAT_OWNER_MAX])
{
    char buffer[OWNER_BUFFER];
    struct group gr, *found = NULL;

    if (getgrgid_r(gid, &gr, buffer, sizeof(buffer), &found) == 0 && found != NULL)
        snprintf(out, FORMAT_OWNER_MAX, "%s", gr.gr_name);
    else
        snprintf(out, FORMAT_OWNER_MAX, "%" PRIu32, gid);
    return out;
}

char *format_bytes(uint64_t bytes, bool human, char out[32])
{
    if (human)
        return str_size(bytes, out);
    snprintf(out, 32, "%" PRIu64, bytes);
    return out;
}

void format_name(FILE *out, const char *name, bool terminal)
{
    for (const char *p = name; *p != '\0'; p++) {
        unsigned char b = (unsigned char)*p;

        fputc(terminal && (b < 0x20 || b == 0x7f) ? '?' : b, out);
    }
}

json_t *format_json_name(const char *name)
{
    json_t *j = json_string(name);
    char *text, *at;

    if (j != NULL)
        return j;
    text = at = mem_alloc(3 * strlen(name) + 1);
    for (const char *p = name; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x80) {
            *at++ = *p;
        } else {
            memcpy(at, "\xef\xbf\xbd", 3);
            at += 3;
        }
    }
    *at = '\0';
    j = json_string(text);
    free(text);
    return j;
}

json_t *format_json_stat(const char *path, const struct dfs_stat *st, const char *target)
{
    char user[FORMAT_OWNER_MAX], group[FORMAT_OWNER_MAX], mode[8];
    json_t *j;

    snprintf(mode, sizeof(mode), "%04o", st->mode & 07777);
    j = json_pack("{s:o, s:I, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}",
                  "path", format_json_name(path), "ino", (json_int_t)st->ino, "type",
                  format_type(st->mode), "mode", mode, "nlink", (json_int_t)st->nlink, "uid",
                  (json_int_t)st->uid, "gid", (json_int_t)st->gid, "user",
                  format_user(st->uid, user), "group", format_group(st->gid, group), "size",
                  (json_int_t)st->size, "blocks", (json_int_t)st->blocks, "atime_ns",
                  (json_int_t)st->atime_ns, "mtime_ns", (json_int_t)st->mtime_ns, "ctime_ns",
                  (json_int_t)st->ctime_ns, "btime_ns", (json_int_t)st->btime_ns);
    if (target != NULL)
        json_object_set_new(j, "target", format_json_name(target));
    return j;
}

void format_json_print(json_t *root)
{
    char *text = json_dumps(root, JSON_INDENT(2));

    if (text != NULL)
        puts(text);
    free(text);
    json_decref(root);
}

char *format_path(const char *dir, const char *name)
{
    size_t len = strlen(dir);

    return mem_printf("%s%s%s", dir, len > 0 && dir[len - 1] == '/' ? "" : "/", name);
}

char *format_base(const char *path)
{
    size_t end = strlen(path), from;

    while (end > 1 && path[end - 1] == '/')
        end--;
    from = end;
    while (from > 0 && path[from - 1] != '/')
        from--;
    return from == end ? mem_strdup("/") : mem_memdup(path + from, end - from);
}
