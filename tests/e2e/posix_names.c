/* Names: making, linking, renaming and removing them; directories; special files; times. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/posix.h"

/* ---- making ---- */

static void long_names(void)
{
    char ok[256], bad[257], deep[PATH_MAX + 10];

    memset(ok, 'n', 255);
    ok[255] = '\0';
    memset(bad, 'n', 256);
    bad[256] = '\0';
    say("255 and 256 bytes");
    close(TF(open(ok, O_CREAT | O_EXCL | O_WRONLY, 0644)));
    say_stat(ok);
    TF(open(bad, O_CREAT | O_WRONLY, 0644));
    T(mkdir(bad, 0755));
    T(symlink("x", bad));
    T(link(ok, bad));
    T(rename(ok, bad));
    T(mknod(bad, S_IFIFO | 0644, 0));
    T(unlink(bad));
    T(rmdir(bad));
    T(access(bad, F_OK));
    ok[0] = 'm';
    T(mkdir(ok, 0755));
    T(rmdir(ok));
    memset(deep, '/', sizeof(deep));
    deep[0] = '.';
    deep[PATH_MAX + 9] = '\0';
    T(access(deep, F_OK));
    T(access("", F_OK));
    T(mkdir("odd \n\t\xff\x80 name", 0755));
    say_stat("odd \n\t\xff\x80 name");
}

static void create_flags(void)
{
    T(mkdir("dir", 0755));
    put("file", "abc", 0644);
    T(symlink("file", "link"));
    T(symlink("nothing", "dangling"));
    TF(open("file", O_CREAT | O_EXCL | O_RDWR, 0644));
    TF(open("link", O_CREAT | O_EXCL | O_RDWR, 0644));
    TF(open("dangling", O_CREAT | O_EXCL | O_RDWR, 0644));
    TF(open("dir", O_CREAT | O_RDWR, 0644));
    TF(open("dir", O_RDWR));
    TF(open("dir", O_WRONLY | O_TRUNC));
    TF(open("file", O_DIRECTORY));
    TF(open("link", O_NOFOLLOW));
    TF(open("file/x", O_CREAT | O_RDWR, 0644));
    TF(open("file/", O_RDONLY));
    TF(open("new/", O_CREAT | O_RDWR, 0644));
    TF(open("nodir/new", O_CREAT | O_RDWR, 0644));
    TF(open("dangling", O_CREAT | O_RDWR, 0640));
    say_stat("nothing");
    close(TF(open("file", O_RDONLY | O_TRUNC)));
    say_stat("file");
    T(mkdir("dir", 0755));
    T(mkdir("file", 0755));
    T(mkdir("link", 0755));
    T(mkdir("x/y", 0755));
    T(mkdir("file/y", 0755));
    T(mkdir("dir/.", 0755));
    T(mkdir("dir/..", 0755));
    T(mkdir("slash/", 0755));
    T(mkdir("sticky", 07777));
    say_stat("sticky");
    umask(027);
    put("masked", "", 0666);
    close(open("masked2", O_CREAT | O_WRONLY, 0666));
    say_stat("masked2");
    T(mkdir("masked3", 0777));
    say_stat("masked3");
    T(mknod("masked4", S_IFIFO | 0666, 0));
    say_stat("masked4");
}

static void special_files(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "socket"};
    int s = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
    int r, w;
    char buf[8] = "";

    T(mknod("fifo", S_IFIFO | 0640, 0));
    T(mknod("sock", S_IFSOCK | 0644, 0));
    T(mknod("char", S_IFCHR | 0600, makedev(1, 3)));
    T(mknod("block", S_IFBLK | 0600, makedev(7, 259)));
    T(mknod("big", S_IFCHR | 0600, makedev(4095, 1048575)));
    T(mknod("file", S_IFREG | 0604, 0));
    T(mknod("dir", S_IFDIR | 0755, 0));
    T(mknod("fifo", S_IFIFO | 0640, 0));
    say_stat("fifo");
    say_stat("sock");
    say_stat("char");
    say_stat("block");
    say_stat("big");
    say_stat("file");
    TF(open("sock", O_RDONLY));
    TF(open("fifo", O_WRONLY | O_NONBLOCK));
    r = TF(open("fifo", O_RDONLY | O_NONBLOCK));
    w = TF(open("fifo", O_WRONLY));
    T(write(w, "fifo", 4));
    T(read(r, buf, sizeof(buf)));
    close(w);
    close(r);
    w = TF(open("char", O_RDWR)); /* /dev/null, unless the mount says nodev */
    T(write(w, "gone", 4));
    close(w);
    T(bind(s, (struct sockaddr *)&addr, sizeof(addr)));
    T(listen(s, 1));
    T(connect(c, (struct sockaddr *)&addr, sizeof(addr)));
    T(bind(c, (struct sockaddr *)&addr, sizeof(addr)));
    close(s);
    close(c);
    T(truncate("fifo", 0));
    T(truncate("dir2", 0));
    T(unlink("fifo"));
    T(unlink("char"));
}

static void symlinks(void)
{
    char target[4097], buf[5000];

    memset(target, 't', sizeof(target));
    target[4095] = '\0';
    T(symlink(target, "longest"));
    T(readlink("longest", buf, sizeof(buf)));
    T(memcmp(buf, target, 4095));
    T(readlink("longest", buf, 10));
    T(access("longest", F_OK));
    T(symlink("", "empty"));
    T(symlink("a", "b"));
    T(symlink("b", "a"));
    TF(open("a", O_RDONLY));
    T(chmod("a", 0600));
    T(lchown("a", 5, 6));
    say_stat("a");
    T(readlink(".", buf, sizeof(buf)));
    put("file", "", 0644);
    T(readlink("file", buf, sizeof(buf)));
    T(symlink("x", "file"));
    T(symlink("../symlinks/file", "up"));
    T(access("up", F_OK));
    T(unlink("up"));
    say_stat("file");
    T(symlink("file", "dirslash"));
    T(access("dirslash/", F_OK));
}

static void hard_links(void)
{
    int fd;

    put("file", "abc", 0644);
    T(mkdir("dir", 0755));
    T(symlink("file", "sym"));
    T(link("file", "two"));
    T(link("file", "dir/three"));
    say_stat("file");
    T(link("file", "two"));
    T(link("dir", "dir2"));
    T(link("nothing", "x"));
    T(link("file", "nodir/x"));
    T(link("file/x", "y"));
    T(linkat(AT_FDCWD, "sym", AT_FDCWD, "symhard", 0));
    say_stat("symhard");
    T(linkat(AT_FDCWD, "sym", AT_FDCWD, "followed", AT_SYMLINK_FOLLOW));
    say_stat("followed");
    put("two", "changed", 0644);
    say_content("dir/three");
    T(unlink("file"));
    say_stat("two");
    fd = open("two", O_RDONLY);
    T(unlink("two"));
    T(unlink("followed"));
    T(unlink("dir/three"));
    T(linkat(fd, "", AT_FDCWD, "again", AT_EMPTY_PATH));
    close(fd);
    T(mknod("fifo", S_IFIFO | 0644, 0));
    T(link("fifo", "fifo2"));
    say_stat("fifo");
}

/* ---- removing ---- */

static void removed_but_open(void)
{
    char buf[100];
    struct stat st;
    int fd, dir;

    put("file", "0123456789", 0644);
    fd = open("file", O_RDWR);
    T(unlink("file"));
    T(unlink("file"));
    T(pread(fd, buf, sizeof(buf), 5));
    T(pwrite(fd, "abc", 3, 9));
    T(fsync(fd));
    T(ftruncate(fd, 100000));
    T(pwrite(fd, "end", 3, 99990));
    T(fstat(fd, &st));
    say("links %lu size %ld", (unsigned long)st.st_nlink, st.st_size);
    T(fchmod(fd, 0600));
    T(fchown(fd, 3, 4));
    T(fstat(fd, &st));
    say("mode %o owner %u:%u", st.st_mode, st.st_uid, st.st_gid);
    T(pread(fd, buf, 3, 99990));
    say("%.3s", buf);
    T(ftruncate(fd, 0));
    T(close(fd));

    T(mkdir("dir", 0755));
    dir = open("dir", O_RDONLY | O_DIRECTORY);
    T(rmdir("dir"));
    T(fstat(dir, &st));
    say("links %lu", (unsigned long)st.st_nlink);
    TF(openat(dir, "x", O_CREAT | O_RDWR, 0644));
    T(mkdirat(dir, "x", 0755));
    T(symlinkat("x", dir, "y"));
    T(faccessat(dir, "x", F_OK, 0));
    T(fchdir(dir));
    T(getcwd(buf, sizeof(buf)) != NULL ? 0 : -1);
    T(chdir(".."));
    close(dir);
}

static void removing(void)
{
    T(mkdir("dir", 0755));
    T(mkdir("dir/sub", 0755));
    put("file", "", 0644);
    T(symlink("dir", "sym"));
    T(unlink("dir"));
    T(rmdir("dir"));
    T(rmdir("file"));
    T(rmdir("sym"));
    T(rmdir("dir/."));
    T(rmdir("dir/sub/.."));
    T(rmdir("dir/sub/"));
    T(unlink("file/"));
    T(unlink("sym/"));
    T(unlink("nothing"));
    T(rmdir("nothing"));
    T(unlink("nodir/x"));
    T(unlink("sym"));
    T(rmdir("dir"));
    T(rmdir("."));
}

/* ---- renaming ---- */

static void make_rename_set(void)
{
    put("f1", "one", 0644);
    put("f2", "two", 0600);
    mkdir("empty", 0755);
    mkdir("full", 0755);
    put("full/x", "", 0644);
    mkdir("other", 0700);
    symlink("f1", "s1");
    link("f1", "f1hard");
}

static void rename_plain(void)
{
    make_rename_set();
    T(rename("f1", "f1"));
    T(rename("f1", "f1hard"));
    say_stat("f1");
    T(rename("f1", "empty"));
    T(rename("empty", "f1"));
    T(rename("other", "empty"));
    say_stat("empty");
    T(rename("empty", "full"));
    T(rename("full", "full/x"));
    T(rename("full", "full/inside"));
    T(rename("full/x", "full"));
    T(rename("nothing", "f1"));
    T(rename("f1", "nodir/f1"));
    T(rename("f1", "f2/x"));
    T(rename("f1", "new/"));
    T(rename("full", "fuller/"));
    T(rename("fuller", "f2"));
    T(rename("s1", "f2"));
    say_stat("f2");
    T(rename(".", "x"));
    T(rename("fuller", "."));
    T(rename("fuller/..", "x"));
    T(rename("f1", "fuller/f1"));
    say_stat("fuller/f1");
    T(rename("fuller", "moved"));
    say_stat(".");
}

static void rename_flags(void)
{
    make_rename_set();
    T(renameat2(AT_FDCWD, "f1", AT_FDCWD, "f2", RENAME_NOREPLACE));
    T(renameat2(AT_FDCWD, "f1", AT_FDCWD, "f1", RENAME_NOREPLACE));
    T(renameat2(AT_FDCWD, "f1", AT_FDCWD, "f3", RENAME_NOREPLACE));
    T(renameat2(AT_FDCWD, "f3", AT_FDCWD, "f2", RENAME_EXCHANGE));
    say_content("f3");
    say_content("f2");
    T(renameat2(AT_FDCWD, "f3", AT_FDCWD, "full", RENAME_EXCHANGE));
    say_stat("f3");
    say_stat("full");
    T(renameat2(AT_FDCWD, "f3", AT_FDCWD, "other", RENAME_EXCHANGE));
    T(renameat2(AT_FDCWD, "full", AT_FDCWD, "other/x", RENAME_EXCHANGE));
    say_stat("other/x");
    T(renameat2(AT_FDCWD, "other", AT_FDCWD, "other/x", RENAME_EXCHANGE));
    T(renameat2(AT_FDCWD, "other/x", AT_FDCWD, "other", RENAME_EXCHANGE));
    T(renameat2(AT_FDCWD, "empty", AT_FDCWD, "other/x", RENAME_EXCHANGE));
    say_stat("other");
    say_stat(".");
    T(renameat2(AT_FDCWD, "f2", AT_FDCWD, "nothing", RENAME_EXCHANGE));
    T(renameat2(AT_FDCWD, "nothing", AT_FDCWD, "f2", RENAME_EXCHANGE));
    T(renameat2(AT_FDCWD, "s1", AT_FDCWD, "f2", RENAME_EXCHANGE));
    say_stat("s1");
    T(renameat2(AT_FDCWD, "f2", AT_FDCWD, "f4", RENAME_EXCHANGE | RENAME_NOREPLACE));
    T(renameat2(AT_FDCWD, "f2", AT_FDCWD, "f4", 0x100));
}

static void rename_over_open(void)
{
    char buf[10] = "";
    struct stat st;
    int old, new;

    put("old", "old content", 0644);
    put("new", "new content", 0644);
    old = open("old", O_RDWR);
    new = open("new", O_RDWR);
    T(rename("new", "old"));
    T(fstat(old, &st));
    say("links %lu", (unsigned long)st.st_nlink);
    T(pread(old, buf, 3, 0));
    say("%s", buf);
    T(pwrite(new, "NEW", 3, 0));
    T(pwrite(old, "OLD", 3, 0));
    say_content("old");
    T(close(old));
    T(close(new));
    say_content("old");
    say_stat("old");
}

/* ---- directories ---- */

enum { MANY = 1300 }; /* more than one page of names */

static unsigned count_names(DIR *d, bool *seen)
{
    struct dirent *e;
    unsigned n = 0;

    memset(seen, 0, MANY * sizeof(*seen));
    while ((e = readdir(d)) != NULL) {
        unsigned i = MANY;

        if (sscanf(e->d_name, "f%u", &i) == 1 && i < MANY) {
            if (seen[i])
                say("%s came twice", e->d_name);
            seen[i] = true;
            n++;
        }
    }
    return n;
}

static void listing(void)
{
    static bool seen[MANY];
    struct dirent *e;
    unsigned n = 0;
    char name[NAME_MAX + 1];
    long at = 0;
    DIR *d;

    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        if (mknod(name, S_IFREG | 0644, 0) < 0)
            say("%s: %s", name, strerror(errno));
    }
    d = opendir(".");
    T(count_names(d, seen));
    rewinddir(d);
    T(count_names(d, seen));

    /* A place that was told is found again, also when others come and go. */
    rewinddir(d);
    for (unsigned i = 0; i < 100; i++)
        e = readdir(d);
    at = telldir(d);
    e = readdir(d);
    snprintf(name, sizeof(name), "%s", e->d_name);
    for (unsigned i = 0; i < 500; i++)
        e = readdir(d);
    put("newcomer", "", 0644);
    seekdir(d, at);
    e = readdir(d);
    T(strcmp(name, e->d_name));

    /* rm -r: every name is found though they go as they are found. */
    rewinddir(d);
    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] == 'f' && e->d_type == DT_REG && unlink(e->d_name) == 0)
            n++;
    }
    say("removed %u", n);
    rewinddir(d);
    T(count_names(d, seen));
    closedir(d);
    T(unlink("newcomer"));
}

static void links_of_directories(void)
{
    T(mkdir("a", 0755));
    T(mkdir("b", 0755));
    T(mkdir("a/x", 0755));
    T(mkdir("a/y", 0755));
    say_stat("a");
    T(rename("a/x", "b/x"));
    say_stat("a");
    say_stat("b");
    T(mkdir("b/e", 0755));
    T(rename("a/y", "b/e"));
    say_stat("a");
    say_stat("b");
    T(rmdir("b/e"));
    say_stat("b");
    T(renameat2(AT_FDCWD, "b/x", AT_FDCWD, "a", RENAME_EXCHANGE));
    say_stat("a");
    say_stat("b");
}

/* ---- times ---- */

static void set_time(const char *path, long sec, long nsec)
{
    struct timespec ts[2] = {{.tv_sec = sec, .tv_nsec = nsec},
                             {.tv_sec = sec + 1, .tv_nsec = 999999999 - nsec}};
    struct stat st;

    T(utimensat(AT_FDCWD, path, ts, AT_SYMLINK_NOFOLLOW));
    if (lstat(path, &st) == 0)
        say("atime %ld.%09ld mtime %ld.%09ld", st.st_atim.tv_sec, st.st_atim.tv_nsec,
            st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static void times(void)
{
    struct timespec ts[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};

    put("file", "abc", 0644);
    T(symlink("file", "sym"));
    T(mkdir("dir", 0755));
    set_time("file", 0, 0);
    set_time("file", 1234567890, 123456789);
    set_time("file", -1, 500000000);
    set_time("file", -2000000000, 1);
    set_time("file", 4102444800, 999999999);
    set_time("file", 8589934592, 7);
    set_time("sym", 1000, 1000);
    set_time("dir", 2000, 2000);
    set_time("file", 5000, 5000);
    T(utimensat(AT_FDCWD, "file", ts, 0));
    ts[0].tv_sec = 77;
    ts[0].tv_nsec = 88;
    T(utimensat(AT_FDCWD, "file", ts, 0));
    ts[0].tv_nsec = 1000000000;
    T(utimensat(AT_FDCWD, "file", ts, 0));
    T(utimensat(AT_FDCWD, "nothing", NULL, 0));
}

struct clock_hands {
    struct timespec m, c;
};

static struct clock_hands hands(const char *path)
{
    struct stat st = {0};

    (void)lstat(path, &st);
    return (struct clock_hands){st.st_mtim, st.st_ctim};
}

static int moved(struct timespec from, struct timespec to)
{
    if (to.tv_sec != from.tv_sec)
        return to.tv_sec > from.tv_sec ? 1 : -1;
    return to.tv_nsec > from.tv_nsec ? 1 : to.tv_nsec < from.tv_nsec ? -1 : 0;
}

/* Which of the times an operation moved. */
#define MOVES(path, expr)                                                                          \
    do {                                                                                           \
        struct clock_hands before_ = hands(path), after_;                                          \
        usleep(15000);                                                                             \
        T(expr);                                                                                   \
        after_ = hands(path);                                                                      \
        say("%s: mtime %d ctime %d", path, moved(before_.m, after_.m),                             \
            moved(before_.c, after_.c));                                                           \
    } while (0)

static void times_that_move(void)
{
    char buf[4];
    int fd;

    put("file", "abc", 0644);
    T(mkdir("dir", 0755));
    put("dir/x", "", 0644);
    fd = open("file", O_RDWR);
    MOVES("file", read(fd, buf, 3));
    MOVES("file", write(fd, "x", 1));
    MOVES("file", ftruncate(fd, 4));
    MOVES("file", ftruncate(fd, 4));
    MOVES("file", truncate("file", 4));
    MOVES("file", fsync(fd));
    MOVES("file", close(fd));
    MOVES("file", chmod("file", 0600));
    MOVES("file", chmod("file", 0600));
    MOVES("file", chown("file", 1, 1));
    MOVES("file", link("file", "file2"));
    MOVES("file", unlink("file2"));
    MOVES("file", rename("file", "file"));
    MOVES("file", close(open("file", O_WRONLY | O_TRUNC)));
    MOVES("file", close(open("file", O_WRONLY | O_TRUNC)));
    MOVES("file", close(open("file", O_WRONLY)));
    MOVES("dir", mkdir("dir/a", 0755));
    MOVES("dir", rmdir("dir/a"));
    MOVES("dir", chmod("dir/x", 0644));
    MOVES("dir", close(open("dir/x", O_WRONLY | O_CREAT | O_TRUNC, 0644)));
    MOVES("dir", link("file", "dir/l"));
    MOVES("dir", rename("dir/l", "dir/m"));
    MOVES("dir", rename("dir/m", "l"));
    MOVES("dir", rename("l", "dir/x"));
    MOVES("dir", symlink("s", "dir/s"));
    MOVES("dir", unlink("dir/s"));
    MOVES("dir", unlink("dir/nothing"));
    MOVES("dir", rename("dir", "dir2") + rename("dir2", "dir"));
}

const struct scenario names_scenarios[] = {
    {"long_names", long_names},
    {"create_flags", create_flags},
    {"special_files", special_files},
    {"symlinks", symlinks},
    {"hard_links", hard_links},
    {"removed_but_open", removed_but_open},
    {"removing", removing},
    {"rename_plain", rename_plain},
    {"rename_flags", rename_flags},
    {"rename_over_open", rename_over_open},
    {"listing", listing},
    {"links_of_directories", links_of_directories},
    {"times", times},
    {"times_that_move", times_that_move},
    {0},
};
