#include "common/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/strutil.h"
#include "common/vfs.h"

enum { MESSAGE_BYTES_MAX = 1024 };

/* What the child writes for "serving"; anything else is the reason why not. */
static const char ready_mark[] = "\001";

static size_t read_all(int fd, char *out, size_t size)
{
    size_t len = 0;

    while (len < size) {
        ssize_t n = read(fd, out + len, size - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    return len;
}

/* The parent's life from here on: it ends with what the child says. */
static _Noreturn void wait_for_child(int fd, pid_t child, const char *log_path)
{
    char text[MESSAGE_BYTES_MAX];
    size_t len = read_all(fd, text, sizeof text);
    int status = 0;

    if (len == 1 && text[0] == ready_mark[0])
        _exit(0);
    if (len > 0) {
        fprintf(stderr, "%.*s\n", (int)len, text);
        if (waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) != 0)
            _exit(WEXITSTATUS(status));
    } else if (waitpid(child, &status, 0) == child && WIFSIGNALED(status)) {
        fprintf(stderr, "the daemon was killed by signal %d at its start; log: %s\n",
                WTERMSIG(status), log_path != NULL ? log_path : "none");
    } else {
        fprintf(stderr, "the daemon ended at its start with status %d; log: %s\n",
                WEXITSTATUS(status), log_path != NULL ? log_path : "none");
    }
    _exit(1);
}

static void redirect(int log_fd)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null_fd >= 0) {
        (void)dup2(null_fd, STDIN_FILENO);
        (void)close(null_fd);
    }
    (void)dup2(log_fd, STDOUT_FILENO);
    (void)dup2(log_fd, STDERR_FILENO);
    (void)close(log_fd);
}

int daemon_background(struct daemon *d, const char *log_path)
{
    int log_fd = open(log_path != NULL ? log_path : "/dev/null",
                      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    int status[2];
    pid_t child;
    int r;

    if (log_fd < 0)
        return -errno;
    if (pipe2(status, O_CLOEXEC) < 0) {
        r = -errno;
        (void)close(log_fd);
        return r;
    }
    child = fork();
    if (child < 0) {
        r = -errno;
        (void)close(log_fd);
        (void)close(status[0]);
        (void)close(status[1]);
        return r;
    }
    if (child > 0) {
        (void)close(status[1]);
        wait_for_child(status[0], child, log_path);
    }
    (void)close(status[0]);
    (void)setsid();
    (void)signal(SIGPIPE, SIG_IGN); /* The parent may go first. */
    redirect(log_fd);
    *d = (struct daemon){.status_fd = status[1], .is_background = true};
    return 0;
}

static void tell_parent(struct daemon *d, const char *text, size_t len)
{
    if (!d->is_background)
        return;
    /* The parent may be gone (^C in the terminal): then nobody wants to know. */
    if (write(d->status_fd, text, len) < 0 || close(d->status_fd) < 0)
        (void)0;
    d->is_background = false;
}

void daemon_ready(struct daemon *d)
{
    tell_parent(d, ready_mark, 1);
    daemon_notify("READY=1");
}

void daemon_fail(struct daemon *d, const char *fmt, ...)
{
    char text[MESSAGE_BYTES_MAX];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fprintf(stderr, "%s\n", text);
    tell_parent(d, text, strlen(text));
}

void daemon_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t len;
    int fd;

    if (path == NULL || (path[0] != '/' && path[0] != '@'))
        return;
    len = strlen(path);
    if (len >= sizeof sa.sun_path)
        return;
    memcpy(sa.sun_path, path, len);
    if (path[0] == '@')
        sa.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&sa,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    (void)close(fd);
}

static void name_holder(int fd, const char *path, char *err, size_t err_size)
{
    char pid[32];
    ssize_t n = pread(fd, pid, sizeof pid - 1, 0);

    pid[n > 0 ? n : 0] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
    (void)snprintf(err, err_size, "%s is held by process %s: is the daemon already running?", path,
                   pid[0] != '\0' ? pid : "(unknown)");
}

static int lock_and_sign(int fd, const char *path, char *err, size_t err_size)
{
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int r = -errno;

        if (r == -EWOULDBLOCK) {
            name_holder(fd, path, err, err_size);
            return -EBUSY;
        }
        (void)snprintf(err, err_size, "cannot lock %s: %s", path, strerrordesc_np(-r));
        return r;
    }
    if (ftruncate(fd, 0) < 0 || dprintf(fd, "%ld\n", (long)getpid()) < 0) {
        int r = -errno;

        (void)snprintf(err, err_size, "cannot write %s: %s", path, strerrordesc_np(-r));
        return r;
    }
    return 0;
}

int daemon_lock_dir(const char *dir, int *ret_fd, char *err, size_t err_size)
{
    char *path = str_path_join(dir, "lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    int r;

    if (fd < 0) {
        r = -errno;
        (void)snprintf(err, err_size, "cannot open %s: %s", path, strerrordesc_np(-r));
    } else {
        r = lock_and_sign(fd, path, err, err_size);
    }
    free(path);
    if (r < 0) {
        if (fd >= 0)
            (void)close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

int daemon_write_pid_file(const char *path)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());

    return vfs_replace_file(vfs_posix(), path, text, (size_t)n, 0644);
}

uint64_t daemon_raise_nofile(uint64_t want)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    if (limit.rlim_cur >= want)
        return limit.rlim_cur;
    if (limit.rlim_max < want) { /* Root may raise the hard limit too. */
        struct rlimit higher = {.rlim_cur = want, .rlim_max = want};

        if (setrlimit(RLIMIT_NOFILE, &higher) == 0)
            return want;
    }
    limit.rlim_cur = MIN((rlim_t)want, limit.rlim_max);
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}
