/* posix DIRECTORY: runs every scenario in a new directory there and prints the transcript. */
#include "tests/e2e/posix.h"

#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *scenario = "";

void say(const char *fmt, ...)
{
    va_list ap;

    printf("%s: ", scenario);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
}

void say_result(const char *what, long result, int error)
{
    if (result < 0)
        say("%s = %s", what, strerrorname_np(error));
    else
        say("%s = %ld", what, result);
}

void say_stat(const char *path)
{
    struct stat st;

    if (lstat(path, &st) < 0) {
        say("lstat %s = %s", path, strerrorname_np(errno));
        return;
    }
    say("lstat %s: mode %06o owner %u:%u links %lu size %ld device %u:%u", path, st.st_mode,
        st.st_uid, st.st_gid, (unsigned long)st.st_nlink, S_ISDIR(st.st_mode) ? 0L : st.st_size,
        major(st.st_rdev), minor(st.st_rdev));
}

void put(const char *path, const char *content, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);

    if (fd < 0 || write(fd, content, strlen(content)) != (ssize_t)strlen(content) ||
        fchmod(fd, mode) < 0 || close(fd) < 0)
        say("cannot make %s: %s", path, strerror(errno));
}

void say_content(const char *path)
{
    char buf[200];
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);

    if (n < 0) {
        say("read %s = %s", path, strerrorname_np(errno));
    } else {
        buf[n] = '\0';
        say("content of %s: \"%s\"", path, buf);
    }
    if (fd >= 0)
        close(fd);
}

void as(uid_t uid, gid_t gid, const gid_t *groups, void (*fn)(void))
{
    size_t count = 0;
    pid_t pid;
    int status;

    while (groups != NULL && groups[count] != 0)
        count++;
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        if (setgroups(count, groups) < 0 || setresgid(gid, gid, gid) < 0 ||
            setresuid(uid, uid, uid) < 0)
            say("cannot become %u", uid);
        else
            fn();
        fflush(stdout);
        _exit(0);
    }
    if (waitpid(pid, &status, 0) != pid || status != 0)
        say("the child ended with %x", status);
}

static void run(const struct scenario *list)
{
    for (; list->name != NULL; list++) {
        scenario = list->name;
        umask(0);
        if (mkdir(list->name, 0777) < 0 || chdir(list->name) < 0) {
            say("cannot begin: %s", strerror(errno));
            exit(1);
        }
        umask(022);
        list->fn();
        umask(022);
        if (chdir("..") < 0)
            say("cannot go back: %s", strerror(errno));
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: posix DIRECTORY\n", stderr);
        return 2;
    }
    if (chdir(argv[1]) < 0) {
        perror(argv[1]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    run(names_scenarios);
    run(perm_scenarios);
    run(data_scenarios);
    return 0;
}
