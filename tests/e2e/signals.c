/*
 * signals DIR SECONDS: works in DIR with a timer of 1 ms that has a handler, as a program that shows
 * its progress does. On a local disk no call is cut short by that; here none may be either.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t ticks;
static unsigned calls, failures;

static void on_alarm(int signum)
{
    (void)signum;
    ticks++;
}

static int expect(long result, long wanted, const char *what)
{
    calls++;
    if (result != wanted && (wanted != 0 || result < 0)) {
        failures++;
        fprintf(stderr, "%s gave %ld: %s\n", what, result, strerror(errno));
    }
    return (int)result;
}

static void round_of_calls(unsigned number)
{
    static char buf[70000];
    char name[32];
    struct stat st;
    int fd;

    snprintf(name, sizeof(name), "f%u", number % 10);
    fd = expect(open(name, O_CREAT | O_RDWR | O_TRUNC, 0644), 0, "open to create");
    expect(write(fd, buf, sizeof(buf)), sizeof(buf), "write");
    expect(fsync(fd), 0, "fsync");
    expect(close(fd), 0, "close");
    expect(stat(name, &st), 0, "stat");
    fd = expect(open(name, O_RDONLY), 0, "open");
    expect(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0, "fadvise");
    expect(read(fd, buf, sizeof(buf)), sizeof(buf), "read");
    expect(close(fd), 0, "close");
    expect(rename(name, "other"), 0, "rename");
    expect(chmod("other", 0600), 0, "chmod");
    expect(truncate("other", 5000), 0, "truncate");
    expect(mkdir("dir", 0755), 0, "mkdir");
    expect(rmdir("dir"), 0, "rmdir");
    expect(unlink("other"), 0, "unlink");
}

int main(int argc, char **argv)
{
    const struct itimerval every = {.it_interval.tv_usec = 1000, .it_value.tv_usec = 1000};
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    time_t end;

    if (argc != 3 || chdir(argv[1]) < 0)
        return 2;
    end = time(NULL) + atoi(argv[2]);
    if (sigaction(SIGALRM, &action, NULL) < 0 || setitimer(ITIMER_REAL, &every, NULL) < 0)
        return 2;
    for (unsigned i = 0; failures == 0 && (i < 20 || time(NULL) < end); i++)
        round_of_calls(i);
    printf("%u calls, %u failed, %d signals\n", calls, failures, (int)ticks);
    return failures != 0 || ticks == 0;
}
