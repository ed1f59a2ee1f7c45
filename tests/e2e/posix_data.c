/* Content: reading, writing, appending, holes, mappings, locks, extended attributes. */
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/e2e/posix.h"

/* A sum of all bytes and where they are; files may be large but not huge. */
static void say_sum(const char *path)
{
    static unsigned char buf[65536];
    unsigned long long sum = 14695981039346656037ULL, at = 0;
    int fd = open(path, O_RDONLY);
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        for (ssize_t i = 0; i < n; i++)
            sum = (sum ^ buf[i]) * 1099511628211ULL;
        at += (unsigned long long)n;
    }
    say("%s: %llu bytes, sum %016llx%s", path, at, sum, n < 0 ? strerrorname_np(errno) : "");
    close(fd);
}

static void fill(char *buf, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++)
        buf[i] = (char)(seed + i * 7 + (i >> 9));
}

/* ---- reading and writing ---- */

static void reading_and_writing(void)
{
    char buf[20000];
    struct iovec iov[3] = {{buf, 5}, {buf + 5, 0}, {buf + 5, 5000}};
    void *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd, ro;

    fill(buf, sizeof(buf), 1);
    fd = TF(open("file", O_RDWR | O_CREAT, 0644));
    ro = TF(open("file", O_RDONLY));
    T(write(fd, buf, 0));
    T(pwrite(fd, buf, 10, 100));
    T(pread(ro, buf, sizeof(buf), 0));
    T(pread(ro, buf, 10, 110));
    T(pread(ro, buf, 10, 1000));
    T(pread(ro, buf, 10, -1));
    T(pwrite(fd, buf, 10, -1));
    T(write(ro, buf, 1));
    T(ftruncate(ro, 0));
    T(ftruncate(fd, -1));
    T(writev(fd, iov, 3));
    T(readv(ro, iov, 3));
    T(lseek(fd, -1, SEEK_SET));
    T(lseek(fd, 100, SEEK_END));
    T(write(fd, "end", 3));
    say_stat("file");
    T(lseek(fd, 0, SEEK_CUR));
    T(read(fd, nowhere, 10));
    T(write(fd, nowhere, 10));
    T(pwritev2(fd, iov, 1, 7, RWF_APPEND));
    T(pwritev2(fd, iov, 1, 7, RWF_SYNC));
    T(preadv2(fd, iov, 1, 7, 0));
    T(truncate("file", 5));
    T(truncate("nothing", 5));
    T(truncate(".", 5));
    T(truncate("file", -5));
    T(fsync(fd));
    T(fdatasync(ro));
    T(syncfs(fd));
    T(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
    T(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
    say_sum("file");
    close(fd);
    close(ro);
}

static void appending(void)
{
    int a = TF(open("file", O_WRONLY | O_CREAT | O_APPEND, 0644));
    int b = TF(open("file", O_RDWR | O_APPEND));
    int w = TF(open("file", O_WRONLY));
    pid_t pid;

    T(write(a, "one", 3));
    T(write(b, "two", 3));
    T(pwrite(a, "three", 5, 0));
    T(pwrite(w, "ONE", 3, 0));
    T(ftruncate(w, 8));
    T(write(a, "four", 4));
    T(lseek(a, 0, SEEK_SET));
    T(write(a, "five", 4));
    T(lseek(a, 0, SEEK_CUR));
    say_content("file");
    T(fcntl(w, F_SETFL, O_APPEND));
    T(pwrite(w, "six", 3, 0));
    T(fcntl(a, F_SETFL, 0));
    T(pwrite(a, "O", 1, 0));
    say_content("file");
    T(fallocate(b, FALLOC_FL_ZERO_RANGE, 1, 2));
    /* Two processes, each through its own descriptor: nothing is overwritten. */
    pid = fork();
    for (unsigned i = 0; i < 300; i++) {
        int fd = pid == 0 ? a : b;

        if (i == 0)
            (void)fcntl(fd, F_SETFL, O_APPEND);
        if (write(fd, "0123456789", 10) != 10)
            say("write: %s", strerror(errno));
    }
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    say_sum("file");
    close(a);
    close(b);
    close(w);
}

static void sizes(void)
{
    static char buf[1 << 20];
    char small[4];
    int fd = TF(open("file", O_RDWR | O_CREAT, 0644));

    fill(buf, sizeof(buf), 3);
    T(pwrite(fd, buf, sizeof(buf), 0));
    T(ftruncate(fd, 500001));
    T(pwrite(fd, "end", 3, 900000));
    T(ftruncate(fd, 500));
    T(ftruncate(fd, 5000));
    T(ftruncate(fd, 70000));
    T(pwrite(fd, buf, 100000, 65000));
    say_sum("file");
    T(ftruncate(fd, 0));
    T(pwrite(fd, buf, 4096, 0));
    T(ftruncate(fd, 4095));
    T(ftruncate(fd, 4097));
    say_sum("file");
    T(ftruncate(fd, 10));
    T(pwrite(fd, "x", 1, 4095));
    say_sum("file");
    T(pwrite(fd, "high", 4, 5L << 30));
    T(pwrite(fd, "chunk border", 12, (3L << 30) - 5));
    T(pread(fd, small, 4, 5L << 30));
    say("%.4s", small);
    T(pread(fd, small, 4, (3L << 30)));
    say("%.4s", small);
    say_stat("file");
    T(ftruncate(fd, (3L << 30)));
    T(ftruncate(fd, 6L << 30));
    T(pread(fd, small, 4, 5L << 30));
    say("%d", small[0] | small[1] | small[2] | small[3]);
    T(pread(fd, small, 4, (3L << 30) - 5));
    say("%.4s", small);
    T(ftruncate(fd, 1L << 40));
    T(pwrite(fd, "t", 1, (1L << 40) - 1));
    T(ftruncate(fd, 20));
    say_sum("file");
    T(ftruncate(fd, INT64_MAX));
    T(pwrite(fd, "t", 1, INT64_MAX));
    T(pwrite(fd, "t", 1, (1L << 60)));
    say_stat("file");
    close(fd);
}

static void allocating(void)
{
    static char buf[300000];
    int ro, fd = TF(open("file", O_RDWR | O_CREAT, 0644));
    int fifo;

    fill(buf, sizeof(buf), 5);
    ro = open("file", O_RDONLY);
    T(fallocate(fd, 0, 0, 0));
    T(fallocate(fd, 0, -1, 10));
    T(fallocate(fd, 0, 10, -1));
    T(fallocate(fd, 0, INT64_MAX, 10));
    T(fallocate(ro, 0, 0, 10));
    T(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10));
    T(fallocate(fd, 0, 0, 1000));
    say_stat("file");
    T(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100000));
    say_stat("file");
    T(pwrite(fd, buf, sizeof(buf), 0));
    T(fallocate(fd, 0, 1000, 2000));
    say_sum("file");
    T(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000, 100000));
    say_sum("file");
    T(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 290000, 100000));
    say_stat("file");
    T(fallocate(fd, FALLOC_FL_ZERO_RANGE, 200000, 100));
    T(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 299990, 100));
    say_stat("file");
    T(fallocate(fd, FALLOC_FL_ZERO_RANGE, 299990, 100));
    say_sum("file");
    T(posix_fallocate(fd, 0, 400000));
    say_sum("file");
    T(mkfifo("fifo", 0644));
    fifo = open("fifo", O_RDWR);
    T(fallocate(fifo, 0, 0, 10));
    close(fifo);
    fifo = open(".", O_RDONLY);
    T(fallocate(fifo, 0, 0, 10));
    close(fifo);
    close(fd);
    close(ro);
}

/* What SEEK_DATA and SEEK_HOLE may say differs; that no byte is lost by them does not. */
static void seeking_data(void)
{
    off_t at = 0, hole, total = 0;
    int fd = TF(open("file", O_RDWR | O_CREAT, 0644));
    char buf[4096];

    T(lseek(fd, 0, SEEK_DATA));
    T(lseek(fd, 0, SEEK_HOLE));
    fill(buf, sizeof(buf), 9);
    for (unsigned i = 1; i < 6; i++)
        T(pwrite(fd, buf, 100, (off_t)i * 3000000));
    T(ftruncate(fd, 20000000));
    for (;;) {
        at = lseek(fd, at, SEEK_DATA);
        if (at < 0)
            break;
        hole = lseek(fd, at, SEEK_HOLE);
        for (; at < hole; at += (off_t)sizeof(buf)) {
            ssize_t n = pread(fd, buf, sizeof(buf), at);

            for (ssize_t i = 0; i < n && at + i < hole; i++)
                total += buf[i] != 0;
        }
        at = hole;
    }
    say("bytes that are not zero: %ld", (long)total);
    T(lseek(fd, 20000000, SEEK_DATA));
    T(lseek(fd, 20000000, SEEK_HOLE));
    close(fd);
}

/* ---- mappings ---- */

static sigjmp_buf on_bus;

static void bus(int signum)
{
    (void)signum;
    siglongjmp(on_bus, 1);
}

static void map_it(int flags)
{
    char *m, *p, buf[16] = "";
    int fd = TF(open("file", O_RDWR | O_CREAT | O_TRUNC | flags, 0644));

    T(ftruncate(fd, 100000));
    m = mmap(NULL, 131072, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    p = mmap(NULL, 131072, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    T(m == MAP_FAILED || p == MAP_FAILED ? -1 : 0);
    if (m == MAP_FAILED || p == MAP_FAILED)
        return;
    memcpy(m + 10, "mapped", 6);
    memcpy(m + 99990, "tail", 4);
    memcpy(p + 20000, "private", 7);
    T(msync(m, 100000, MS_SYNC));
    if (flags == 0) {
        T(pread(fd, buf, 6, 10));
        say("%s", buf);
        T(pwrite(fd, "written", 7, 50));
        say("%.7s %.7s", m + 50, p + 50);
    }
    say_sum("file");
    T(close(fd));
    memcpy(m + 70000, "after close", 11);
    T(munmap(m, 131072));
    say_sum("file");
    fd = TF(open("file", O_RDWR));
    m = mmap(NULL, 131072, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    say("%.11s", m + 70000);
    T(ftruncate(fd, 60000));
    signal(SIGBUS, bus);
    if (sigsetjmp(on_bus, 1) == 0)
        say("beyond the end: %d", *(volatile char *)(m + 70000));
    else
        say("beyond the end: SIGBUS");
    signal(SIGBUS, SIG_DFL);
    say("behind the end in its page: %d", m[60010]);
    memcpy(m + 59990, "0123456789", 10);
    T(msync(m, 60000, MS_SYNC));
    T(munmap(m, 131072));
    T(munmap(p, 131072));
    close(fd);
    say_sum("file");
    fd = TF(open("file", O_RDONLY));
    T(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
    close(fd);
}

static void mappings(void)
{
    map_it(0);
}

/* The pages of a mapping have their place, though the descriptor appends. */
static void mappings_of_appending_files(void)
{
    map_it(O_APPEND);
}

static void mappings_of_direct_files(void)
{
    map_it(O_DIRECT);
}

static void direct(void)
{
    char *buf = aligned_alloc(4096, 1 << 20);
    int fd = TF(open("file", O_RDWR | O_CREAT | O_DIRECT, 0644));
    int plain = TF(open("file", O_RDWR));

    fill(buf, 1 << 20, 4);
    T(write(fd, buf, 1 << 20));
    T(pwrite(fd, buf, 8192, 4096));
    T(pwrite(plain, "plain", 5, 8000));
    T(pread(fd, buf, 8192, 4096));
    say("%.5s", buf + 8000 - 4096);
    T(pwrite(fd, buf, 4096, 4096));
    T(pread(plain, buf, 4096, 4096));
    T(ftruncate(fd, 10000));
    T(pread(fd, buf, 8192, 8192));
    T(pread(fd, buf, 4096, 12288));
    close(fd);
    close(plain);
    free(buf);
    say_sum("file");
}

/* ---- between descriptors ---- */

static void copying(void)
{
    static char buf[200000];
    off_t in = 1000, out = 5000;
    int a, b, p[2];

    fill(buf, sizeof(buf), 8);
    a = TF(open("a", O_RDWR | O_CREAT, 0644));
    b = TF(open("b", O_RDWR | O_CREAT, 0644));
    T(write(a, buf, sizeof(buf)));
    T(copy_file_range(a, &in, b, &out, 100000, 0));
    say("%ld %ld", (long)in, (long)out);
    say_sum("b");
    in = 0;
    T(copy_file_range(a, &in, a, &out, 1000, 0));
    out = 500;
    in = 0;
    T(copy_file_range(a, &in, a, &out, 1000, 0));
    in = 300000;
    T(copy_file_range(a, &in, b, NULL, 1000, 0));
    in = 0;
    T(copy_file_range(a, &in, b, NULL, 1000, 1));
    T(sendfile(b, a, &in, 70000));
    say_sum("b");
    T(pipe(p));
    in = 10;
    T(splice(a, &in, p[1], NULL, 5000, 0));
    out = 90000;
    T(splice(p[0], NULL, b, &out, 5000, 0));
    say_sum("b");
    close(a);
    close(b);
    close(p[0]);
    close(p[1]);
}

static void locks(void)
{
    struct flock l = {.l_type = F_WRLCK, .l_start = 10, .l_len = 10};
    int fd = TF(open("file", O_RDWR | O_CREAT, 0644)), fd2;
    pid_t pid;

    T(flock(fd, LOCK_EX));
    fd2 = open("file", O_RDWR);
    T(flock(fd2, LOCK_SH | LOCK_NB));
    T(flock(fd, LOCK_UN));
    T(flock(fd2, LOCK_SH | LOCK_NB));
    T(fcntl(fd, F_SETLK, &l));
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        l.l_start = 15;
        T(fcntl(fd2, F_SETLK, &l));
        l.l_start = 20;
        T(fcntl(fd2, F_SETLK, &l));
        l.l_start = 0;
        l.l_len = 0;
        T(fcntl(fd2, F_GETLK, &l));
        say("%d %ld %ld", l.l_type, (long)l.l_start, (long)l.l_len);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    T(fcntl(fd2, F_OFD_SETLK, &(struct flock){.l_type = F_RDLCK}));
    close(fd2);
    close(fd);
}

/* ---- extended attributes ---- */

static void xattrs(void)
{
    char name[300], value[1000], list[1000];
    ssize_t n;
    int fd;

    memset(name, 'n', sizeof(name));
    memcpy(name, "user.", 5);
    name[255] = '\0';
    memset(value, 'v', sizeof(value));
    put("file", "", 0644);
    T(mkdir("dir", 0755));
    T(symlink("file", "sym"));
    T(symlink("nothing", "dangling"));
    T(mkfifo("fifo", 0644));
    T(listxattr("file", NULL, 0));
    T(setxattr("file", "user.a", value, 500, 0));
    T(getxattr("file", "user.a", NULL, 0));
    T(getxattr("file", "user.a", list, 499));
    T(getxattr("file", "user.a", list, 500));
    T(setxattr("file", "user.a", value, 10, XATTR_CREATE));
    T(setxattr("file", "user.b", value, 10, XATTR_REPLACE));
    T(setxattr("file", "user.b", value, 10, XATTR_CREATE));
    T(setxattr("file", "user.a", value, 3, XATTR_REPLACE));
    T(setxattr("file", "user.a", value, 3, 7));
    T(setxattr("file", "user.empty", "", 0, 0));
    T(getxattr("file", "user.empty", list, sizeof(list)));
    T(getxattr("file", "user.nothing", list, sizeof(list)));
    T(setxattr("file", name, value, 1, 0));
    n = T(listxattr("file", NULL, 0));
    T(listxattr("file", list, (size_t)n - 1));
    T(listxattr("file", list, sizeof(list)));
    name[255] = 'n';
    name[256] = '\0';
    T(setxattr("file", name, value, 1, 0));
    T(getxattr("file", name, value, 1));
    T(removexattr("file", "user.a"));
    T(removexattr("file", "user.a"));
    T(setxattr("file", "user.", value, 1, 0));
    T(setxattr("file", "", value, 1, 0));
    T(setxattr("file", "nonsense", value, 1, 0));
    T(setxattr("file", "system.nonsense", value, 1, 0));
    T(setxattr("file", "trusted.t", value, 1, 0));
    T(setxattr("file", "security.s", value, 1, 0));
    T(setxattr("dir", "user.d", value, 1, 0));
    T(lsetxattr("sym", "user.s", value, 1, 0));
    T(lsetxattr("sym", "trusted.s", value, 1, 0));
    T(lgetxattr("sym", "trusted.s", list, 10));
    T(setxattr("sym", "user.through", value, 1, 0));
    T(getxattr("file", "user.through", list, 10));
    T(setxattr("dangling", "user.s", value, 1, 0));
    T(setxattr("fifo", "user.s", value, 1, 0));
    T(getxattr("fifo", "user.s", list, 10));
    T(setxattr("fifo", "trusted.s", value, 1, 0));
    fd = open("file", O_RDONLY);
    T(fsetxattr(fd, "user.f", value, 1, 0));
    T(unlink("file"));
    T(fgetxattr(fd, "user.f", list, 10));
    T(fsetxattr(fd, "user.g", value, 1, 0));
    T(flistxattr(fd, list, sizeof(list)));
    close(fd);
}

const struct scenario data_scenarios[] = {
    {"reading_and_writing", reading_and_writing},
    {"appending", appending},
    {"sizes", sizes},
    {"allocating", allocating},
    {"seeking_data", seeking_data},
    {"mappings", mappings},
    {"mappings_of_appending_files", mappings_of_appending_files},
    {"mappings_of_direct_files", mappings_of_direct_files},
    {"direct", direct},
    {"copying", copying},
    {"locks", locks},
    {"xattrs", xattrs},
    {0},
};
