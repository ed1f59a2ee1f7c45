/* differential: attributes and extended attributes, by path. */
#include "tests/e2e/differential.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Each time is set, is now, or stays. */
static void change_times(const char *path)
{
    struct timespec ts[2] = {{.tv_sec = 1000000 + below(1000000), .tv_nsec = 123456789},
                             {.tv_sec = 1500000000 + below(1000000), .tv_nsec = 123456789}};
    int flag = below(2) ? 0 : AT_SYMLINK_NOFOLLOW;

    for (int i = 0; i < 2; i++)
        if (below(3) == 0)
            ts[i].tv_nsec = below(2) ? UTIME_NOW : UTIME_OMIT;
    note("utimensat %s %ld %ld flags %x", path, ts[0].tv_nsec, ts[1].tv_nsec, flag);
    if (BOTH("utimensat", utimensat(root[s], path, ts, flag)) == 0 && ts[0].tv_nsec == 123456789)
        check_times(path, flag == 0);
}

/* (-1, -1) is left out: it changes nothing on the mount, and the ctime on a local disk. */
static void change_owner(const char *path)
{
    static const int ids[] = {-1, 0, 1001, 1002};
    int uid = ids[below(4)], gid = ids[below(4)] + (below(2) ? 1000 : 0);
    int flag = below(2) ? 0 : AT_SYMLINK_NOFOLLOW;

    if (gid == 999)
        gid = -1;
    if (uid == -1 && gid == -1)
        gid = 2001;
    note("chown %s %d:%d flags %x", path, uid, gid, flag);
    BOTH("chown", fchownat(root[s], path, (uid_t)uid, (gid_t)gid, flag));
}

static void change_size(const char *path)
{
    off_t size = (off_t)(next() % (size_max < 200000 ? size_max : 200000));
    int f[SIDES];

    if (below(2)) {
        note("truncate %s to %ld", path, (long)size);
        BOTH("truncate", fchdir(root[s]) < 0 ? -1 : truncate(path, size));
        return;
    }
    note("open, truncate and close %s to %ld", path, (long)size);
    if (BOTH("open", (f[s] = openat(root[s], path, O_WRONLY | O_NONBLOCK)) < 0 ? -1 : 0) == 0) {
        BOTH("ftruncate", ftruncate(f[s], size));
        BOTH("close", close(f[s]));
    }
}

void change_attr(const char *path)
{
    static const int may[] = {F_OK, R_OK, W_OK, X_OK, R_OK | W_OK, R_OK | W_OK | X_OK};
    mode_t mode = below(010000);
    int how = may[below(6)];

    switch (below(6)) {
    case 0:
        note("chmod %s %o", path, mode);
        BOTH("chmod", fchmodat(root[s], path, mode, 0));
        break;
    case 1:
    case 2:
        change_times(path);
        break;
    case 3:
        change_owner(path);
        break;
    case 4:
        change_size(path);
        break;
    default:
        note("access %s %d", path, how);
        BOTH("access", faccessat(root[s], path, how, AT_EACCESS));
        break;
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a list as listxattr() gives it, sorted; a file system's own order is its own. */
static void sort_names(char *list, ssize_t len, char *out, size_t size)
{
    const char *names[64];
    size_t n = 0, used = 0;

    for (char *p = list; p < list + len && n < 64; p += strlen(p) + 1)
        names[n++] = p;
    qsort(names, n, sizeof(names[0]), by_text);
    out[0] = '\0';
    for (size_t i = 0; i < n; i++)
        used += (size_t)snprintf(out + used, used < size ? size - used : 0, "%s|", names[i]);
}

static void list_xattrs(const char *path, bool follow)
{
    static char names[SIDES][8192], sorted[SIDES][8192];
    size_t room = below(4) == 0 ? below(40) : sizeof(names[0]);
    ssize_t n;

    note("list the xattrs of %s%s into %zu bytes", path, follow ? "" : " itself", room);
    n = BOTH("listxattr", fchdir(root[s]) < 0 ? -1
                          : follow            ? listxattr(path, names[s], room)
                                              : llistxattr(path, names[s], room));
    if (n <= 0 || room == 0)
        return;
    for (int s = 0; s < SIDES; s++)
        sort_names(names[s], n, sorted[s], sizeof(sorted[s]));
    if (strcmp(sorted[0], sorted[1]) != 0)
        differ("xattrs of %s:\n#   %s\n#   %s", path, sorted[0], sorted[1]);
}

static void get_xattr(const char *path, const char *name, bool follow)
{
    static char value[SIDES][256];
    size_t room = below(4) == 0 ? below(20) : sizeof(value[0]);
    ssize_t n;

    note("get xattr %s of %s%s into %zu bytes", name, path, follow ? "" : " itself", room);
    n = BOTH("getxattr", fchdir(root[s]) < 0 ? -1
                         : follow            ? getxattr(path, name, value[s], room)
                                             : lgetxattr(path, name, value[s], room));
    if (n > 0 && room > 0 && memcmp(value[0], value[1], (size_t)n) != 0)
        differ("xattr %s of %s", name, path);
}

/* ACLs are left out: the mount refuses them. */
void use_xattr(const char *path)
{
    static const char long_name[] =
        "user.long-12345678901234567890123456789012345678901234567890123456789012345678901234567890"
        "12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
        "01234567890123456789012345678901234567890123456789012345678901234567890123456789x";
    static const char *const names[] = {"user.test", "user.a",       "user.b", "user.B",
                                        long_name,   "trusted.test", "user.",  "nonsense.a"};
    const char *name = names[below(4) == 0 ? below(8) : below(4)];
    bool follow = below(4) != 0;
    char value[64];
    int flags = (int)below(3);
    size_t len;

    snprintf(value, sizeof(value), "value %lu", step);
    len = below(5) == 0 ? 0 : strlen(value);
    switch (below(4)) {
    case 0:
        note("set xattr %s of %s%s flags %d", name, path, follow ? "" : " itself", flags);
        BOTH("setxattr", fchdir(root[s]) < 0 ? -1
                         : follow            ? setxattr(path, name, value, len, flags)
                                             : lsetxattr(path, name, value, len, flags));
        break;
    case 1:
        get_xattr(path, name, follow);
        break;
    case 2:
        list_xattrs(path, follow);
        break;
    default:
        note("remove xattr %s of %s%s", name, path, follow ? "" : " itself");
        BOTH("removexattr", fchdir(root[s]) < 0 ? -1
                            : follow            ? removexattr(path, name)
                                                : lremovexattr(path, name));
        break;
    }
}
