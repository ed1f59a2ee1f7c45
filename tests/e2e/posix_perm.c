/* Who may do what: owners, groups, supplementary groups, setgid and sticky directories, setuid. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/e2e/posix.h"

static const gid_t staff[] = {STAFF, 0}, extra[] = {EXTRA, 0};

static void as_alice(void (*fn)(void))
{
    as(ALICE, STAFF, NULL, fn);
}
static void as_bob(void (*fn)(void))
{
    as(BOB, STAFF, NULL, fn);
}
static void as_carol(void (*fn)(void))
{
    as(CAROL, OTHERS, staff, fn);
}
static void as_dave(void (*fn)(void))
{
    as(DAVE, OTHERS, NULL, fn);
}

static void owned(const char *path, uid_t uid, gid_t gid, mode_t mode)
{
    put(path, "#!/bin/sh\nexit 0\n", 0600);
    if (chown(path, uid, gid) < 0 || chmod(path, mode) < 0)
        say("cannot prepare %s", path);
}

static void owned_dir(const char *path, uid_t uid, gid_t gid, mode_t mode)
{
    if (mkdir(path, 0700) < 0 || chown(path, uid, gid) < 0 || chmod(path, mode) < 0)
        say("cannot prepare %s", path);
}

/* ---- bits ---- */

static const char *who;

/* One letter for each thing that is allowed. */
static void probe(void)
{
    char line[200], name[20];
    size_t n = 0;

    for (unsigned bits = 0; bits < 8; bits++) {
        static const char *const classes = "ugo";

        for (unsigned c = 0; c < 3; c++) {
            int fd;

            snprintf(name, sizeof(name), "%c%u", classes[c], bits);
            n += (size_t)snprintf(line + n, sizeof(line) - n, " %s:", name);
            if ((fd = open(name, O_RDONLY)) >= 0)
                line[n++] = 'r';
            close(fd);
            if ((fd = open(name, O_WRONLY)) >= 0)
                line[n++] = 'w';
            close(fd);
            if (access(name, X_OK) == 0)
                line[n++] = 'x';
            line[n] = '\0';
        }
    }
    say("%s%s", who, line);
}

static void probe_dirs(void)
{
    char path[40];

    for (unsigned bits = 0; bits < 8; bits++) {
        struct stat st;
        DIR *d;

        snprintf(path, sizeof(path), "d%u", bits);
        d = opendir(path);
        say("%s lists %s: %s", who, path, d != NULL ? "yes" : strerrorname_np(errno));
        if (d != NULL)
            closedir(d);
        snprintf(path, sizeof(path), "d%u/inside", bits);
        T(stat(path, &st));
        snprintf(path, sizeof(path), "d%u/%s", bits, who);
        T(mknod(path, S_IFREG | 0600, 0));
        T(unlink(path));
        snprintf(path, sizeof(path), "d%u", bits);
        T(chdir(path));
        (void)!chdir("..");
    }
}

static void everybody(void (*fn)(void))
{
    who = "alice";
    as_alice(fn);
    who = "bob";
    as_bob(fn);
    who = "carol";
    as_carol(fn);
    who = "dave";
    as_dave(fn);
    who = "root";
    as(0, 0, NULL, fn);
}

static void permission_bits(void)
{
    char name[40];

    for (unsigned bits = 0; bits < 8; bits++) {
        snprintf(name, sizeof(name), "u%u", bits);
        owned(name, ALICE, STAFF, bits << 6);
        snprintf(name, sizeof(name), "g%u", bits);
        owned(name, ALICE, STAFF, bits << 3);
        snprintf(name, sizeof(name), "o%u", bits);
        owned(name, ALICE, STAFF, bits);
    }
    everybody(probe);
}

static void directory_bits(void)
{
    char name[40];

    for (unsigned bits = 0; bits < 8; bits++) {
        snprintf(name, sizeof(name), "d%u", bits);
        owned_dir(name, ALICE, STAFF, 0700 | bits << 3);
        snprintf(name, sizeof(name), "d%u/inside", bits);
        put(name, "", 0644);
    }
    everybody(probe_dirs);
}

/* ---- attributes ---- */

static void change_attributes(void)
{
    struct timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
    struct timespec set[2] = {{.tv_sec = 5}, {.tv_sec = 6}};
    char buf[10];

    say("%s:", who);
    T(chmod("file", 0660));
    T(chmod("file", 02660));
    say_stat("file");
    T(chmod("file", 0664));
    T(chown("file", ALICE, -1));
    T(chown("file", -1, STAFF));
    T(chown("file", -1, OTHERS));
    T(chown("file", -1, EXTRA));
    T(chown("file", BOB, -1));
    say_stat("file");
    T(utimensat(AT_FDCWD, "file", now, 0));
    T(utimensat(AT_FDCWD, "file", set, 0));
    now[0].tv_nsec = UTIME_OMIT;
    T(utimensat(AT_FDCWD, "file", now, 0));
    T(truncate("file", 3));
    T(setxattr("file", "user.by", who, strlen(who), 0));
    T(getxattr("file", "user.by", buf, sizeof(buf)));
    T(setxattr("file", "trusted.by", who, strlen(who), 0));
    T(getxattr("file", "trusted.by", buf, sizeof(buf)));
    T(removexattr("file", "user.by"));
    T(link("file", "linked"));
    T(unlink("linked"));
}

static void attributes(void)
{
    owned_dir("d", 0, 0, 0777);
    T(chdir("d"));
    owned("file", ALICE, STAFF, 0664);
    everybody(change_attributes);
    T(chown("file", ALICE, STAFF));
    T(chmod("file", 0644));
    say("alice in one more group:");
    as(ALICE, STAFF, extra, change_attributes);
    T(chown("file", ALICE, STAFF));
    T(chmod("file", 0600));
    everybody(change_attributes);
    T(chdir(".."));
}

/* ---- setuid, setgid ---- */

static const char *victim;

static void write_it(void)
{
    int fd = open(victim, O_WRONLY);

    T(pwrite(fd, "x", 1, 0));
    say_stat(victim);
    close(fd);
}
static void truncate_it(void)
{
    T(truncate(victim, 2));
}
static void open_trunc_it(void)
{
    close(TF(open(victim, O_WRONLY | O_TRUNC)));
}
static void allocate_it(void)
{
    int fd = open(victim, O_WRONLY);

    T(fallocate(fd, 0, 0, 100));
    say_stat(victim);
    close(fd);
}
static void chgrp_it(void)
{
    T(chown(victim, -1, STAFF));
}
static void chmod_then_write(void)
{
    int fd = open(victim, O_RDWR);

    T(chmod(victim, 06755));
    say_stat(victim);
    T(pwrite(fd, "y", 1, 0));
    say_stat(victim);
    T(chmod(victim, 06711));
    T(pwrite(fd, "y", 1, 0));
    say_stat(victim);
    T(chmod(victim, 0700));
    T(pwrite(fd, "y", 1, 0));
    say_stat(victim);
    close(fd);
}

static void setid_bits(void)
{
    static const struct {
        const char *name;
        void (*fn)(void);
    } acts[] = {{"write", write_it},       {"truncate", truncate_it}, {"open", open_trunc_it},
                {"allocate", allocate_it}, {"chgrp", chgrp_it},       {"chmod", chmod_then_write}};
    static const mode_t modes[] = {06777, 06767, 02767, 04755};
    char name[40];

    owned_dir("d", ALICE, STAFF, 0777);
    T(chdir("d"));
    for (size_t a = 0; a < sizeof(acts) / sizeof(acts[0]); a++) {
        for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++) {
            for (unsigned by = 0; by < 3; by++) {
                snprintf(name, sizeof(name), "%s-%o-%u", acts[a].name, modes[m], by);
                owned(name, ALICE, STAFF, modes[m]);
                victim = name;
                if (by == 0)
                    as_alice(acts[a].fn);
                else if (by == 1)
                    as_dave(acts[a].fn);
                else
                    as(0, 0, NULL, acts[a].fn);
                say_stat(name);
            }
        }
    }
    owned("root-chown", ALICE, STAFF, 06777);
    T(chown("root-chown", BOB, STAFF));
    say_stat("root-chown");
    owned("root-chgrp", ALICE, STAFF, 02767);
    T(chown("root-chgrp", -1, OTHERS));
    say_stat("root-chgrp");
    T(chdir(".."));
}

static void make_in_setgid(void)
{
    char name[40];

    snprintf(name, sizeof(name), "%s-file", who);
    close(TF(open(name, O_CREAT | O_WRONLY, 02755)));
    say_stat(name);
    snprintf(name, sizeof(name), "%s-dir", who);
    T(mkdir(name, 0755));
    say_stat(name);
    snprintf(name, sizeof(name), "%s-fifo", who);
    T(mknod(name, S_IFIFO | 02777, 0));
    say_stat(name);
    snprintf(name, sizeof(name), "%s-sym", who);
    T(symlink("x", name));
    say_stat(name);
    snprintf(name, sizeof(name), "%s-file", who);
    T(chmod(name, 02755));
    say_stat(name);
}

static void setgid_directory(void)
{
    owned_dir("d", ALICE, STAFF, 02777);
    T(chdir("d"));
    everybody(make_in_setgid);
    T(chdir(".."));
}

/* ---- sticky directories ---- */

static void take_from_sticky(void)
{
    char name[40];

    T(unlink("alice-file"));
    T(rename("alice-file2", "taken"));
    T(rename("taken", "alice-file2"));
    T(rmdir("alice-dir"));
    snprintf(name, sizeof(name), "%s-own", who);
    put(name, "", 0644);
    T(rename(name, "alice-file2"));
    T(renameat2(AT_FDCWD, name, AT_FDCWD, "alice-file2", RENAME_EXCHANGE));
    T(link("alice-file2", "hard"));
    T(unlink("hard"));
    T(rename("alice-dir", "moved"));
    T(unlink(name));
}

static void sticky_directory(void)
{
    owned_dir("d", 0, 0, 01777);
    T(chdir("d"));
    for (unsigned round = 0; round < 2; round++) {
        owned("alice-file", ALICE, STAFF, 0666);
        owned("alice-file2", ALICE, STAFF, 0666);
        owned_dir("alice-dir", ALICE, STAFF, 0777);
        if (round == 0) {
            who = "dave";
            as_dave(take_from_sticky);
            who = "bob";
            as_bob(take_from_sticky);
        } else {
            T(chdir(".."));
            T(chown("d", DAVE, OTHERS)); /* The directory's owner may. */
            T(chdir("d"));
            who = "dave";
            as_dave(take_from_sticky);
        }
        (void)!rmdir("alice-dir");
        (void)!rmdir("moved");
    }
    T(chdir(".."));
}

/* ---- moving directories ---- */

static void move_dirs(void)
{
    T(rename("readonly", "d/elsewhere")); /* ".." inside would have to change */
    T(rename("mine", "d/mine"));
    T(rename("d/mine", "mine"));
    T(rename("readonly", "renamed"));
    T(rename("renamed", "readonly"));
    T(rename("mine/x", "readonly/x"));
}

static void moving_directories(void)
{
    owned_dir("top", ALICE, STAFF, 0777);
    T(chdir("top"));
    owned_dir("d", ALICE, STAFF, 0777);
    owned_dir("readonly", ALICE, STAFF, 0555);
    owned_dir("mine", DAVE, OTHERS, 0755);
    put("mine/x", "", 0666);
    who = "dave";
    as_dave(move_dirs);
    who = "alice";
    as_alice(move_dirs);
    T(chdir(".."));
}

/* ---- what is decided when a file is opened stays so ---- */

static int kept;

static void use_kept(void)
{
    char buf[4];

    T(pread(kept, buf, 3, 0));
    T(pwrite(kept, "new", 3, 0));
    T(ftruncate(kept, 3));
    T(fchmod(kept, 0777));
    TF(open("file", O_RDWR));
    TF(open("/proc/self/fd/0", O_RDONLY | O_CLOEXEC) >= 0 ? 0 : 0);
}

static void open_and_lose(void)
{
    int fd = open("file", O_RDWR);
    char buf[4];

    T(fchmod(fd, 0));
    T(pread(fd, buf, 3, 0));
    T(pwrite(fd, "own", 3, 0));
    T(ftruncate(fd, 10));
    T(fsync(fd));
    TF(open("file", O_RDONLY));
    close(fd);
    fd = TF(open("readonly", O_CREAT | O_EXCL | O_RDWR, 0400));
    T(write(fd, "content", 7));
    close(fd);
    TF(open("readonly", O_WRONLY));
}

static void rights_of_descriptors(void)
{
    owned_dir("d", ALICE, STAFF, 0777);
    T(chdir("d"));
    owned("file", ALICE, STAFF, 0600);
    kept = open("file", O_RDWR);
    as_dave(use_kept);
    close(kept);
    as_alice(open_and_lose);
    say_stat("file");
    say_content("readonly");
    T(chdir(".."));
}

static void run_them(void)
{
    T(system("./script"));
    T(system("./noexec 2>/dev/null"));
    T(system("./true"));
}

static void executing(void)
{
    int fd;

    owned_dir("d", ALICE, STAFF, 0777);
    T(chdir("d"));
    owned("script", ALICE, STAFF, 0755);
    owned("noexec", ALICE, STAFF, 0644);
    T(system("cp /bin/sleep sleep && cp /bin/true true && chmod 755 sleep true"));
    as_dave(run_them);
    T(system("./sleep 5 & echo $! >pid; while [ \"$(readlink /proc/$(cat pid)/exe)\" != "
             "\"$PWD/sleep\" ];"
             " do sleep 0.05; done"));
    fd = TF(open("sleep", O_WRONLY));
    close(fd);
    T(truncate("sleep", 0));
    T(unlink("sleep"));
    T(system("kill $(cat pid)"));
    T(chdir(".."));
}

const struct scenario perm_scenarios[] = {
    {"permission_bits", permission_bits},
    {"directory_bits", directory_bits},
    {"attributes", attributes},
    {"setid_bits", setid_bits},
    {"setgid_directory", setgid_directory},
    {"sticky_directory", sticky_directory},
    {"moving_directories", moving_directories},
    {"rights_of_descriptors", rights_of_descriptors},
    {"executing", executing},
    {0},
};
