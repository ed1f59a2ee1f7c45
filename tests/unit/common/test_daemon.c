/* Daemons: the terminal sees whether the start worked, and two never share a directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/daemon.h"
#include "common/vfs.h"

/*
 * Runs body in the child of a daemon_background() in a process of its own; gives the exit status
 * that a terminal would see and what was said there.
 */
static int start(void (*body)(struct daemon *d), char *said, size_t size)
{
    int pipe_fds[2], status;
    size_t len = 0;
    ssize_t n;
    pid_t pid;

    assert_int_equal(pipe(pipe_fds), 0);
    pid = fork();
    if (pid == 0) {
        struct daemon d = {0};

        (void)dup2(pipe_fds[1], STDERR_FILENO);
        (void)close(pipe_fds[0]);
        (void)close(pipe_fds[1]);
        if (daemon_background(&d, NULL) < 0)
            _exit(99);
        body(&d);
        _exit(5);
    }
    (void)close(pipe_fds[1]);
    while (len < size - 1 && (n = read(pipe_fds[0], said + len, size - 1 - len)) > 0)
        len += (size_t)n;
    said[len] = '\0';
    (void)close(pipe_fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void body_ready(struct daemon *d)
{
    daemon_ready(d);
}

static void body_fails(struct daemon *d)
{
    daemon_fail(d, "cannot listen on %s", "port 1");
}

static void body_dies(struct daemon *d)
{
    (void)d;
    (void)raise(SIGKILL);
}

static void body_ends(struct daemon *d)
{
    (void)d;
}

static void the_parent_leaves_when_the_child_serves(void **state)
{
    char said[512];

    (void)state;
    assert_int_equal(start(body_ready, said, sizeof said), 0);
    assert_string_equal(said, "");
}

static void the_childs_reason_reaches_the_terminal(void **state)
{
    char said[512];

    (void)state;
    assert_int_equal(start(body_fails, said, sizeof said), 5); /* as the child exits */
    assert_string_equal(said, "cannot listen on port 1\n");
}

static void a_child_that_just_dies_is_told_too(void **state)
{
    char said[512];

    (void)state;
    assert_int_equal(start(body_dies, said, sizeof said), 1);
    assert_non_null(strstr(said, "killed by signal 9"));
    assert_int_equal(start(body_ends, said, sizeof said), 1);
    assert_non_null(strstr(said, "ended at its start with status 5"));
}

static void a_second_lock_names_the_holder(void **state)
{
    char dir[] = "/tmp/dfs-test-XXXXXX", err[256] = "", want[64], absent[64];
    int first = -1, second = -1;

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(daemon_lock_dir(dir, &first, err, sizeof err), 0);
    assert_int_equal(daemon_lock_dir(dir, &second, err, sizeof err), -EBUSY);
    assert_int_equal(second, -1);
    (void)snprintf(want, sizeof want, "held by process %ld", (long)getpid());
    assert_non_null(strstr(err, want));
    (void)close(first);
    assert_int_equal(daemon_lock_dir(dir, &second, err, sizeof err), 0);
    (void)close(second);
    assert_int_equal(vfs_remove_all(vfs_posix(), dir), 0);
    assert_int_equal(daemon_lock_dir(dir, &second, err, sizeof err), -ENOENT);
    (void)snprintf(absent, sizeof absent, "%s/lock", dir);
    assert_non_null(strstr(err, absent));
}

static void systemd_is_told(void **state)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    char name[64], got[64] = "";
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    (void)state;
    (void)snprintf(name, sizeof name, "@dfs-test-%ld", (long)getpid());
    memcpy(sa.sun_path, name, strlen(name));
    sa.sun_path[0] = '\0';
    assert_int_equal(bind(fd, (struct sockaddr *)&sa,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
                     0);
    (void)setenv("NOTIFY_SOCKET", name, 1);
    daemon_notify("READY=1");
    (void)unsetenv("NOTIFY_SOCKET");
    daemon_notify("STOPPING=1");
    assert_int_equal(recv(fd, got, sizeof got, MSG_DONTWAIT), 7);
    assert_string_equal(got, "READY=1");
    assert_true(recv(fd, got, sizeof got, MSG_DONTWAIT) < 0);
    (void)close(fd);
}

static void more_files_may_be_opened(void **state)
{
    (void)state;
    assert_true(daemon_raise_nofile(64) >= 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parent_leaves_when_the_child_serves),
        cmocka_unit_test(the_childs_reason_reaches_the_terminal),
        cmocka_unit_test(a_child_that_just_dies_is_told_too),
        cmocka_unit_test(a_second_lock_names_the_holder),
        cmocka_unit_test(systemd_is_told),
        cmocka_unit_test(more_files_may_be_opened),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
