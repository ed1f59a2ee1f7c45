/*
 * Metadata work from several processes that notices everything: each call is timed, each result is
 * checked against what must be there, and the first error ends it.
 *
 *   meta_load DIRECTORY [PROCESSES [THINK-US]]
 *
 * Works in new directories below DIRECTORY until SIGTERM or SIGINT. What took long is printed when it
 * has ended, one line each: "slow START-US DURATION-US CALL", START since the epoch. At last each
 * process prints "calls N". Exit status 1, and "error ..." on stderr, after the first error.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SLOW_US = 10000, KEPT = 24, BYTES = 100, PROCESSES_MAX = 256 };

/* Shared with the workers, who take no signal: it would interrupt their calls. */
static volatile sig_atomic_t *stopping;

static void on_signal(int signum)
{
    (void)signum;
    *stopping = 1;
}

static int64_t now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

struct worker {
    uint64_t calls;
    int64_t began_us;
};

static void begin(struct worker *w)
{
    w->began_us = now_us();
}

/* The call is over. What it should have returned is known; anything else is an error. */
static void end(struct worker *w, const char *call, const char *name, bool good)
{
    int err = errno;
    int64_t took_us = now_us() - w->began_us;
    char line[128];

    w->calls++;
    if (!good) {
        fprintf(stderr, "error %lld %s %s: %s\n", (long long)now_us(), call, name, strerror(err));
        _exit(1);
    }
    if (took_us < SLOW_US)
        return;
    snprintf(line, sizeof(line), "slow %lld %lld %s\n", (long long)w->began_us, (long long)took_us,
             call);
    (void)!write(STDOUT_FILENO, line, strlen(line)); /* Whole lines, of all processes. */
}

static void make_file(struct worker *w, const char *name)
{
    static const char content[BYTES];
    int fd;

    begin(w);
    fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);
    end(w, "create", name, fd >= 0);
    begin(w);
    end(w, "write", name, write(fd, content, sizeof(content)) == sizeof(content));
    begin(w);
    end(w, "close", name, close(fd) == 0);
}

static void look(struct worker *w, const char *name, bool is_there)
{
    struct stat st;
    int r;

    errno = 0;
    begin(w);
    r = stat(name, &st);
    end(w, "stat", name, is_there ? r == 0 && st.st_size == BYTES : r < 0 && errno == ENOENT);
}

static void list(struct worker *w, unsigned want)
{
    const struct dirent *e;
    unsigned count = 0;
    DIR *d;

    begin(w);
    d = opendir(".");
    errno = d == NULL ? errno : 0;
    while (d != NULL && (e = readdir(d)) != NULL)
        count += e->d_name[0] != '.';
    end(w, "readdir", ".", d != NULL && errno == 0 && count == want);
    begin(w);
    end(w, "closedir", ".", closedir(d) == 0);
}

/* One file comes, one goes; names change in between. */
static void round_of(struct worker *w, unsigned i)
{
    char made[32], moved[32], old[32], dir[32];

    snprintf(made, sizeof(made), "made-%u", i);
    snprintf(moved, sizeof(moved), "moved-%u", i);
    snprintf(dir, sizeof(dir), "dir-%u", i);
    make_file(w, made);
    look(w, made, true);
    begin(w);
    end(w, "rename", made, rename(made, moved) == 0);
    look(w, made, false);
    look(w, moved, true);
    begin(w);
    end(w, "mkdir", dir, mkdir(dir, 0755) == 0);
    begin(w);
    end(w, "rmdir", dir, rmdir(dir) == 0);
    if (i >= KEPT) {
        snprintf(old, sizeof(old), "moved-%u", i - KEPT);
        begin(w);
        end(w, "unlink", old, unlink(old) == 0);
    }
    list(w, i < KEPT ? i + 1 : KEPT);
}

static _Noreturn void run_worker(const char *directory, unsigned number, unsigned think_us)
{
    struct worker w = {0};
    char path[4096];

    snprintf(path, sizeof(path), "%s/load-%d-%u", directory, (int)getppid(), number);
    begin(&w);
    end(&w, "mkdir", path, mkdir(path, 0755) == 0 && chdir(path) == 0);
    for (unsigned i = 0; !*stopping; i++) {
        round_of(&w, i);
        if (think_us > 0)
            (void)usleep(think_us);
    }
    snprintf(path, sizeof(path), "calls %llu\n", (unsigned long long)w.calls);
    _exit(write(STDOUT_FILENO, path, strlen(path)) > 0 ? 0 : 1);
}

int main(int argc, char **argv)
{
    struct sigaction sa = {.sa_handler = on_signal};
    unsigned count = argc > 2 ? (unsigned)atoi(argv[2]) : 8;
    unsigned think_us = argc > 3 ? (unsigned)atoi(argv[3]) : 1000;
    int status, result = 0;

    if (argc < 2 || count < 1 || count > PROCESSES_MAX) {
        fprintf(stderr, "usage: meta_load DIRECTORY [PROCESSES [THINK-US]]\n");
        return 2;
    }
    stopping =
        mmap(NULL, sizeof(*stopping), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (stopping == MAP_FAILED) {
        perror("meta_load");
        return 2;
    }
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    for (unsigned i = 0; i < count; i++) {
        if (fork() == 0)
            run_worker(argv[1], i, think_us);
    }
    (void)sigaction(SIGTERM, &sa, NULL);
    (void)sigaction(SIGINT, &sa, NULL);
    for (unsigned left = count; left > 0;) {
        if (wait(&status) < 0)
            continue; /* A signal. */
        left--;
        if (status == 0)
            continue;
        result = 1;
        *stopping = 1;
    }
    return result;
}
