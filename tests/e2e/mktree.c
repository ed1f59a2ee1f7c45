/*
 * mktree DIR COUNT [SEED]: a tree of COUNT files as real ones are: most small, some large, a few
 * sparse; modes, symbolic and hard links, empty directories, names with blanks, quotes and UTF-8.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t state;

static uint64_t next(void)
{
    uint64_t z = (state += 0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static void die(const char *what)
{
    fprintf(stderr, "mktree: %s: %s\n", what, strerror(errno));
    exit(1);
}

static size_t pick_size(void)
{
    unsigned r = (unsigned)(next() % 1000);

    if (r < 30)
        return 0;
    if (r < 700)
        return 1 + next() % 4096;
    if (r < 950)
        return 4097 + next() % 60000;
    if (r < 998)
        return 65536 + next() % 400000;
    return (1 << 20) + next() % (3 << 20);
}

static void write_file(const char *path, size_t size)
{
    static const mode_t modes[] = {0644, 0600, 0755, 0444, 0640, 0664, 04755, 02755};
    static uint8_t buf[65536];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

    if (fd < 0)
        die(path);
    if (size > 300000 && next() % 4 == 0 && lseek(fd, (off_t)(next() % 5000000), SEEK_SET) < 0)
        die(path);
    while (size > 0) {
        size_t n = size < sizeof(buf) ? size : sizeof(buf);

        for (size_t i = 0; i < n; i += 8) {
            uint64_t v = next();

            memcpy(buf + i, &v, 8);
        }
        if (write(fd, buf, n) != (ssize_t)n)
            die(path);
        size -= n;
    }
    if (fchmod(fd, modes[next() % 8]) < 0 || close(fd) < 0)
        die(path);
}

int main(int argc, char **argv)
{
    static const char *const odd[] = {"with blank", "quote'",   "\xc3\xa4\xc3\xb6", "-dash",
                                      "tab\t",      "dollar$x", "new\nline"};
    char dir[512], path[1024], target[1024], prev[1024] = "";
    long count;

    if (argc < 3) {
        fputs("usage: mktree DIR COUNT [SEED]\n", stderr);
        return 2;
    }
    count = atol(argv[2]);
    state = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    if (mkdir(argv[1], 0755) < 0 && errno != EEXIST)
        die(argv[1]);
    for (long i = 0; i < count; i++) {
        if (i % 50 == 0) {
            snprintf(dir, sizeof(dir), "%s/d%02ld", argv[1], i / 2500);
            if (mkdir(dir, 0755) < 0 && errno != EEXIST)
                die(dir);
            snprintf(dir, sizeof(dir), "%s/d%02ld/sub%ld", argv[1], i / 2500, i / 50 % 50);
            if (mkdir(dir, i % 200 == 0 ? 0700 : 0755) < 0 && errno != EEXIST)
                die(dir);
        }
        snprintf(path, sizeof(path), "%s/%s%ld", dir, i % 97 == 0 ? odd[next() % 7] : "file", i);
        if (i % 40 == 7) {
            snprintf(target, sizeof(target), "../sub%ld/file%ld", i / 50 % 50, i - 1);
            if (symlink(i % 80 == 7 ? target : "/nonexistent/target", path) < 0)
                die(path);
        } else if (i % 60 == 11 && prev[0] != '\0') {
            if (link(prev, path) < 0)
                die(path);
        } else {
            write_file(path, pick_size());
            snprintf(prev, sizeof(prev), "%s", path);
        }
    }
    snprintf(path, sizeof(path), "%s/empty", argv[1]);
    if (mkdir(path, 0755) < 0)
        die(path);
    return 0;
}
