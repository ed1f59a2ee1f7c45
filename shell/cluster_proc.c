/* The processes of a cluster: started in sessions of their own, known by DIR/run/NODE.pid. */
#include "shell/cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/compiler.h"

enum { READY_NAME_MAX = 108 };

static const char *const programs[] = {"dfs-namenode", "dfs-datanode", "dfs-fuse"};

/* A pid may have been given to somebody else since: the command line must name our configuration. */
static bool is_ours(pid_t pid, const char *conf)
{
    char path[64], line[8192];
    FILE *f;
    size_t n;

    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    f = fopen(path, "re");
    if (f == NULL)
        return false;
    n = fread(line, 1, sizeof(line) - 1, f);
    (void)fclose(f);
    if (n == 0) {
        /* In the middle of an exec it has none yet; one that has ended has no program either. */
        snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
        return readlink(path, line, sizeof(line)) > 0;
    }
    for (size_t i = 0; i < n; i++)
        if (line[i] == '\0')
            line[i] = ' ';
    line[n] = '\0';
    return strstr(line, conf) != NULL;
}

pid_t node_pid(const struct cluster *c, const struct cluster_node *n)
{
    char path[CLUSTER_PATH_MAX], conf[CLUSTER_PATH_MAX];
    FILE *f = fopen(cluster_path(c, path, "run/%s.pid", n->name), "re");
    int pid = 0;

    if (f == NULL)
        return 0;
    if (fscanf(f, "%d", &pid) != 1)
        pid = 0;
    (void)fclose(f);
    if (pid <= 0 || !is_ours(pid, cluster_path(c, conf, "conf/%s.conf", n->name)))
        return 0;
    return pid;
}

/* Beside this program (a build tree), in ../sbin (installed), else wherever PATH says. */
void cluster_find_program(const char *name, char *out, size_t size)
{
    static const char *const beside[] = {"/", "/../sbin/"};
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;

    if (len > 0) {
        self[len] = '\0';
        slash = strrchr(self, '/');
        *slash = '\0';
        for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
            int n = snprintf(out, size, "%s%s%s", self, beside[i], name);

            if (n > 0 && (size_t)n < size && access(out, X_OK) == 0)
                return;
        }
    }
    snprintf(out, size, "%s", name);
}

/*
 * What systemd would listen on: the daemon says READY=1 there. The kernel chooses the name, an
 * abstract one, which is written with "@" for its first byte.
 */
static int ready_socket(char ret_name[READY_NAME_MAX])
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    socklen_t len = sizeof(sa.sun_family);
    size_t name_len;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&sa, len) < 0 ||
        (len = sizeof(sa), getsockname(fd, (struct sockaddr *)&sa, &len)) < 0) {
        int r = -errno;

        (void)close(fd);
        return r;
    }
    name_len = MIN(len - offsetof(struct sockaddr_un, sun_path), (size_t)READY_NAME_MAX - 1);
    memcpy(ret_name, sa.sun_path, name_len);
    ret_name[0] = '@';
    ret_name[name_len] = '\0';
    return fd;
}

/* In the child: a session of its own, output to the log, nothing of ours left open. */
static _Noreturn void run_child(const struct cluster *c, const struct cluster_node *n,
                                const char *program, int exec_fd, const char *ready_name)
{
    char conf[CLUSTER_PATH_MAX], log[CLUSTER_PATH_MAX];
    int in, out;

    (void)setsid();
    (void)setenv("NOTIFY_SOCKET", ready_name, 1);
    in = open("/dev/null", O_RDONLY);
    out = open(cluster_path(c, log, "log/%s.log", n->name), O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
        _exit(127);
    for (int fd = 3; fd < 1024; fd++)
        if (fd != exec_fd)
            (void)close(fd);
    cluster_path(c, conf, "conf/%s.conf", n->name);
    if (n->kind == NODE_MOUNT)
        execlp(program, program, "--config", conf, "--foreground", n->where, (char *)NULL);
    else
        execlp(program, program, "--config", conf, "--foreground", (char *)NULL);
    fprintf(stderr, "cannot run %s: %s\n", program, strerror(errno));
    _exit(127);
}

int node_start(const struct cluster *c, struct cluster_node *n)
{
    char program[PATH_MAX], path[CLUSTER_PATH_MAX], ready_name[READY_NAME_MAX];
    FILE *f;
    pid_t pid;
    int fd, exec_pipe[2];

    if (node_pid(c, n) != 0)
        return 0;
    if (n->kind == NODE_MOUNT)
        node_clear_mount(n);
    cluster_find_program(programs[n->kind], program, sizeof(program));
    /* Closed by exec: until then the child can't be told from us by its command line. */
    if (pipe2(exec_pipe, O_CLOEXEC) < 0)
        return -errno;
    n->ready_fd = ready_socket(ready_name);
    pid = n->ready_fd < 0 ? -1 : fork();
    if (pid < 0) {
        fprintf(stderr, "dfs cluster: cannot start %s: %s\n", n->name, strerror(errno));
        return -errno;
    }
    if (pid == 0)
        run_child(c, n, program, exec_pipe[1], ready_name);
    (void)close(exec_pipe[1]);
    (void)read(exec_pipe[0], path, 1);
    (void)close(exec_pipe[0]);
    fd = open(cluster_path(c, path, "run/%s.pid", n->name),
              O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    f = fd < 0 ? NULL : fdopen(fd, "w");
    if (f == NULL) {
        fprintf(stderr, "dfs cluster: cannot write %s: %s\n", path, strerror(errno));
        (void)kill(pid, SIGTERM);
        return -EIO;
    }
    fprintf(f, "%d\n", (int)pid);
    (void)fclose(f);
    return 0;
}

/* "\\040" for a blank, and so on, as /proc/mounts has it. */
static void unescape(char *text)
{
    char *out = text;

    for (const char *p = text; *p != '\0';) {
        if (p[0] == '\\' && p[1] != '\0' && p[2] != '\0' && p[3] != '\0') {
            *out++ = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
            p += 4;
        } else {
            *out++ = *p++;
        }
    }
    *out = '\0';
}

bool node_is_mounted(const struct cluster_node *n)
{
    FILE *f = fopen("/proc/self/mounts", "re");
    char line[4096], where[2048];
    bool found = false;

    if (f == NULL)
        return false;
    while (fgets(line, sizeof(line), f) != NULL)
        if (sscanf(line, "%*s %2047s", where) == 1) {
            unescape(where);
            found |= strcmp(where, n->where) == 0;
        }
    (void)fclose(f);
    return found;
}

void node_clear_mount(const struct cluster_node *n)
{
    while (node_is_mounted(n) && umount2(n->where, MNT_DETACH) == 0)
        ;
}

static bool hears_ready(int fd)
{
    char text[256];
    ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

    text[n > 0 ? n : 0] = '\0';
    return strstr(text, "READY=1") != NULL;
}

static int wait_ready(const struct cluster *c, const struct cluster_node *n, unsigned timeout_ms)
{
    struct pollfd p = {.fd = n->ready_fd, .events = POLLIN};

    for (unsigned t = 0; t < timeout_ms; t += 20) {
        if (poll(&p, 1, 20) > 0 && hears_ready(n->ready_fd))
            return 0;
        (void)waitpid(-1, NULL, WNOHANG);
        if (node_pid(c, n) == 0)
            return -ECHILD;
    }
    return -ETIMEDOUT;
}

int node_wait_ready(const struct cluster *c, struct cluster_node *n, unsigned timeout_ms)
{
    int r;

    if (n->ready_fd < 0)
        return 0;
    r = wait_ready(c, n, timeout_ms);
    (void)close(n->ready_fd);
    n->ready_fd = -1;
    return r;
}

int node_signal(const struct cluster *c, const struct cluster_node *n, int signum, unsigned wait_ms)
{
    pid_t pid = node_pid(c, n);

    if (pid == 0)
        return -ESRCH;
    if (kill(pid, signum) < 0)
        return -errno;
    if (wait_ms == 0)
        return 0;
    for (unsigned t = 0; t < wait_ms; t += 10) {
        (void)waitpid(-1, NULL, WNOHANG);
        if (node_pid(c, n) == 0)
            return 0;
        clock_sleep_ms(10);
    }
    fprintf(stderr, "dfs cluster: %s did not stop within %u s; killing it\n", n->name,
            wait_ms / 1000);
    (void)kill(pid, SIGKILL);
    return -ETIMEDOUT;
}
