/*
 * What put, get and cp decide: where things go, what is refused, what is left behind by failure.
 * Both places are directories of the local disk, with faults that count down.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/limits.h"
#include "common/mem.h"
#include "shell/client.h"
#include "shell/copy.h"

enum { OLD_S = 1000000000 };

struct fixture {
    char dir[64];
    struct place from, to;
    struct place_ops faulty;
    struct copy_options options;
    struct client client;
    char said[4096];
};

/* The next call but n fails, once; below 0: none does. Any thread. */
static atomic_int fail_pread = -1, fail_pwrite = -1, fail_close = -1, fail_rename = -1;

static bool fails(atomic_int *in)
{
    return atomic_load(in) >= 0 && atomic_fetch_sub(in, 1) == 0;
}

static ssize_t faulty_pread(struct place_file *f, void *buf, size_t size, uint64_t offset)
{
    return fails(&fail_pread) ? -EIO : place_local().ops->pread(f, buf, size, offset);
}

static int faulty_pwrite(struct place_file *f, const void *buf, size_t size, uint64_t offset)
{
    return fails(&fail_pwrite) ? -ENOSPC : place_local().ops->pwrite(f, buf, size, offset);
}

static int faulty_close(struct place_file *f)
{
    int r = place_local().ops->close(f);

    return fails(&fail_close) ? -EDQUOT : r;
}

static int faulty_rename(const struct place *p, const char *from, const char *to, bool replace)
{
    return fails(&fail_rename) ? -EROFS : place_local().ops->rename(p, from, to, replace);
}

/* As chown(2) of somebody who isn't root: the set-id bits go. */
static int faulty_set_owner(const struct place *p, const char *path, uint32_t uid, uint32_t gid)
{
    struct stat st;

    (void)p, (void)uid, (void)gid;
    return lstat(path, &st) < 0 || chmod(path, st.st_mode & 0777) < 0 ? -errno : 0;
}

static int set_up(void **state)
{
    struct fixture *f = MEM_NEW(struct fixture);

    snprintf(f->dir, sizeof(f->dir), "/tmp/dfs-copy-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(chdir(f->dir), 0);
    assert_int_equal(mkdir("src", 0755) | mkdir("dst", 0755), 0);
    f->faulty = *place_local().ops;
    f->faulty.pread = faulty_pread;
    f->faulty.pwrite = faulty_pwrite;
    f->faulty.close = faulty_close;
    f->faulty.rename = faulty_rename;
    f->faulty.set_owner = faulty_set_owner;
    f->from = f->to = (struct place){.ops = &f->faulty};
    f->options = (struct copy_options){.recursive = true, .jobs = 1};
    umask(022);
    *state = f;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(chdir("/"), 0);
    assert_int_equal(nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    free(f);
    return 0;
}

static void put_file(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void assert_file(const char *path, const char *text)
{
    char got[256] = "";
    FILE *file = fopen(path, "re");

    if (file == NULL)
        print_message("# no %s\n", path);
    assert_non_null(file);
    got[fread(got, 1, sizeof(got) - 1, file)] = '\0';
    (void)fclose(file);
    assert_string_equal(got, text);
}

static bool is_there(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

static mode_t mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode;
}

static int64_t mtime_of(const char *path)
{
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    return st.st_mtim.tv_sec;
}

static void make_old(const char *path)
{
    const struct timespec times[] = {{OLD_S, 1}, {OLD_S, 2}};

    assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static bool temporary_found;

static int look_for_temporary(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type;
    temporary_found |= strncmp(path + ftw->base, ".dfs-new-", 9) == 0;
    return 0;
}

static void assert_no_temporaries(const struct fixture *f)
{
    temporary_found = false;
    assert_int_equal(nftw(f->dir, look_for_temporary, 8, FTW_PHYS), 0);
    assert_false(temporary_found);
}

/* The words: sources, then where they go. Gives what copy_run() does. */
static int copy(struct fixture *f, const char *const *words)
{
    char *sources[8] = {NULL};
    FILE *sink = tmpfile();
    int count = 0, saved = dup(STDERR_FILENO), r;

    for (; words[count + 1] != NULL; count++)
        sources[count] = (char *)(uintptr_t)words[count];
    client_init(&f->client, "dfs cp");
    (void)fflush(stderr);
    (void)dup2(fileno(sink), STDERR_FILENO);
    r = copy_run(&f->client, &f->from, &f->to, sources, count, words[count], &f->options);
    (void)fflush(stderr);
    (void)dup2(saved, STDERR_FILENO);
    (void)close(saved);
    rewind(sink);
    f->said[fread(f->said, 1, sizeof(f->said) - 1, sink)] = '\0';
    (void)fclose(sink);
    assert_no_temporaries(f);
    return r;
}

#define COPY(f, ...) copy((f), (const char *const[]){__VA_ARGS__, NULL})

/* All of it went well. */
#define COPIED(f, ...)                                                                             \
    do {                                                                                           \
        assert_int_equal(COPY(f, __VA_ARGS__), 0);                                                 \
        assert_string_equal((f)->said, "");                                                        \
        assert_int_equal((f)->client.failures, 0);                                                 \
    } while (0)

/* One thing failed, which was told; the rest went on. */
#define COMPLAINED(f, words, ...)                                                                  \
    do {                                                                                           \
        assert_int_equal(COPY(f, __VA_ARGS__), 0);                                                 \
        if (strcmp((f)->said, "dfs cp: " words "\n") != 0)                                         \
            print_message("# said: %s\n", (f)->said);                                              \
        assert_string_equal((f)->said, "dfs cp: " words "\n");                                     \
        assert_int_equal((f)->client.failures, 1);                                                 \
    } while (0)

/* ---- where it goes ---- */

static void into_a_directory_or_to_a_name(void **state)
{
    struct fixture *f = *state;

    put_file("src/a", "A", 0644);
    COPIED(f, "src/a", "dst");
    assert_file("dst/a", "A");
    COPIED(f, "src/a", "dst/b");
    assert_file("dst/b", "A");
    COPIED(f, "src/a", "dst/../dst/c");
    assert_file("dst/c", "A");
    COPIED(f, "src", "dst");
    assert_file("dst/src/a", "A");
    COPIED(f, "src", "dst/new");
    assert_file("dst/new/a", "A");
}

/* What a link leads to is a directory too. */
static void a_link_to_a_directory_is_gone_into(void **state)
{
    struct fixture *f = *state;

    put_file("src/a", "A", 0644);
    assert_int_equal(symlink("dst", "to"), 0);
    COPIED(f, "src/a", "to");
    assert_file("dst/a", "A");
}

static void several_sources_need_a_directory(void **state)
{
    struct fixture *f = *state;

    put_file("src/a", "A", 0644);
    put_file("src/b", "B", 0644);
    assert_int_equal(COPY(f, "src/a", "src/b", "dst/none"), -ENOTDIR);
    assert_int_equal(COPY(f, "src/a", "src/b", "src/a"), -ENOTDIR);
    assert_false(is_there("dst/none"));
    assert_file("src/a", "A");
    COPIED(f, "src/a", "src/b", "dst");
    assert_file("dst/a", "A");
    assert_file("dst/b", "B");
}

/* "cp a dir/" of somebody who thinks that dir is there must not make a file of that name. */
static void a_slash_at_the_end_means_a_directory(void **state)
{
    struct fixture *f = *state;

    put_file("src/a", "A", 0644);
    COPIED(f, "src/", "dst/new/");
    assert_file("dst/new/a", "A");
    COPIED(f, "src//", "dst/");
    assert_file("dst/src/a", "A");
    f->options.recursive = false;
    assert_int_equal(COPY(f, "src/a", "dst/none/"), -ENOTDIR);
    assert_false(is_there("dst/none"));
}

/* "." has no name to be had in the directory: what is in it goes there. So with ".." and "/". */
static void a_source_without_a_name_fills_the_directory(void **state)
{
    struct fixture *f = *state;

    put_file("src/a", "A", 0644);
    assert_int_equal(mkdir("src/sub", 0755) | mkdir("dst/in", 0755), 0);
    COPIED(f, "src/.", "dst/in");
    assert_file("dst/in/a", "A");
    f->options.overwrite = true;
    assert_int_equal(unlink("dst/in/a"), 0);
    COPIED(f, "src/sub/..", "dst/in");
    assert_file("dst/in/a", "A");
    assert_false(is_there("dst/a"));
}

/* A place whose root is src/. */
static char *at_root(const char *path)
{
    return mem_printf("src%s", path);
}

static int rooted_stat(const struct place *p, const char *path, bool follow, struct dfs_stat *st)
{
    char *real = at_root(path);
    int r = place_local().ops->stat(p, real, follow, st);

    free(real);
    return r;
}

static int rooted_opendir(const struct place *p, const char *path, struct place_dir **ret_dir)
{
    char *real = at_root(path);
    int r = place_local().ops->opendir(p, real, ret_dir);

    free(real);
    return r;
}

static int rooted_open(const struct place *p, const char *path, struct place_file **ret_file)
{
    char *real = at_root(path);
    int r = place_local().ops->open(p, real, ret_file);

    free(real);
    return r;
}

static struct place_ops rooted_ops(void)
{
    struct place_ops ops = *place_local().ops;

    ops.stat = rooted_stat;
    ops.opendir = rooted_opendir;
    ops.open = rooted_open;
    return ops;
}

static void the_root_of_the_other_place_is_such_a_source(void **state)
{
    struct fixture *f = *state;
    const struct place_ops rooted = rooted_ops();

    f->from = (struct place){.ops = &rooted, .dfs = (struct dfs *)(uintptr_t)f};
    assert_int_equal(mkdir("src/d", 0755), 0);
    put_file("src/d/a", "A", 0644);
    COPIED(f, "/", "dst");
    assert_file("dst/d/a", "A");
    COPIED(f, "/", "new");
    assert_file("new/d/a", "A");
    COPIED(f, "/d", "dst/e");
    assert_file("dst/e/a", "A");
}

/* "get /tmp /tmp/copy" copies no directory into itself. */
static void names_of_two_places_have_nothing_to_do_with_each_other(void **state)
{
    struct fixture *f = *state;
    const struct place_ops rooted = rooted_ops();
    char dest[96];

    f->from = (struct place){.ops = &rooted, .dfs = (struct dfs *)(uintptr_t)f};
    assert_int_equal(mkdir("src/tmp", 0755), 0);
    put_file("src/tmp/a", "A", 0644);
    snprintf(dest, sizeof(dest), "%s/dst/copy", f->dir);
    COPIED(f, "/tmp", dest);
    assert_file("dst/copy/a", "A");
}

static void a_directory_is_not_copied_into_itself(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mkdir("src/sub", 0755), 0);
    put_file("src/sub/a", "A", 0644);
    COMPLAINED(f, "src: a directory cannot be copied into itself", "src", "src/new");
    COMPLAINED(f, "src: a directory cannot be copied into itself", "src", "src/sub");
    COMPLAINED(f, "src: a directory cannot be copied into itself", "src//", "src/");
    assert_false(is_there("src/new") || is_there("src/sub/src") || is_there("src/src"));
    COPIED(f, "src", "src2"); /* A name that only begins so is another. */
    assert_file("src2/sub/a", "A");
    COPIED(f, "src/sub", "src/new");
    assert_file("src/new/a", "A");
}

/* The same by another name: else it would go on until names are too long. */
static void nor_by_another_name(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mkdir("src/sub", 0755) | symlink("src", "link"), 0);
    put_file("src/sub/a", "A", 0644);
    COMPLAINED(f, "src/new: a directory cannot be copied into itself", "src", "link/new");
    assert_false(is_there("src/new/new"));
    COMPLAINED(f, "src/in: a directory cannot be copied into itself", "src", "dst/../src/in");
    assert_false(is_there("src/in/in"));
    COMPLAINED(f, "src: a directory cannot be copied into itself", "src", "./src/../.");
}

/* ---- what is there ---- */

static void what_is_there_stays_unless_it_is_to_be_overwritten(void **state)
{
    struct fixture *f = *state;

    put_file("src/a", "new", 0644);
    put_file("dst/a", "old", 0600);
    COMPLAINED(f, "dst/a: is there already; -f overwrites it", "src/a", "dst");
    assert_file("dst/a", "old");
    f->options.overwrite = true;
    COPIED(f, "src/a", "dst");
    assert_file("dst/a", "new");
    assert_int_equal(mode_of("dst/a") & 07777, 0644);
}

/* The name is taken, wherever it leads; what it leads to is not what is overwritten. */
static void a_link_that_is_there_is_not_written_through(void **state)
{
    struct fixture *f = *state;

    put_file("src/a", "new", 0644);
    put_file("kept", "kept", 0644);
    assert_int_equal(symlink("../kept", "dst/a") | symlink("none", "dst/b"), 0);
    COMPLAINED(f, "dst/a: is there already; -f overwrites it", "src/a", "dst/a");
    COMPLAINED(f, "dst/b: is there already; -f overwrites it", "src/a", "dst/b");
    f->options.overwrite = true;
    COPIED(f, "src/a", "dst/a");
    assert_true(S_ISREG(mode_of("dst/a")));
    assert_file("kept", "kept");
}

/* Somebody else makes the name while the data is written. */
static int late_rename(const struct place *p, const char *from, const char *to, bool replace)
{
    put_file(to, "theirs", 0644);
    return place_local().ops->rename(p, from, to, replace);
}

static void who_comes_second_does_not_overwrite(void **state)
{
    struct fixture *f = *state;

    put_file("src/a", "ours", 0644);
    f->faulty.rename = late_rename;
    COMPLAINED(f, "dst/a: is there already; -f overwrites it", "src/a", "dst");
    assert_file("dst/a", "theirs");
}

/* Two trees become one; whose directory it was keeps its attributes. */
static void a_directory_that_is_there_is_filled(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mkdir("src/d", 0711) | mkdir("dst/src", 0755) | mkdir("dst/src/d", 0750), 0);
    put_file("src/d/a", "A", 0644);
    put_file("dst/src/d/b", "B", 0644);
    f->options.keep_times = true;
    COPIED(f, "src", "dst");
    assert_file("dst/src/d/a", "A");
    assert_file("dst/src/d/b", "B");
    assert_int_equal(mode_of("dst/src/d") & 07777, 0750);
}

static void a_file_in_the_place_of_a_directory_stops_that_directory_only(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mkdir("src/d", 0755) | mkdir("dst/src", 0755), 0);
    put_file("src/d/a", "A", 0644);
    put_file("src/z", "Z", 0644);
    put_file("dst/src/d", "file", 0644);
    f->options.overwrite = true;
    COMPLAINED(f, "dst/src/d: Not a directory", "src", "dst");
    assert_file("dst/src/d", "file");
    assert_file("dst/src/z", "Z");
}

static void a_directory_in_the_place_of_a_file_stays(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mkdir("dst/a", 0755), 0);
    put_file("src/a", "A", 0644);
    f->options.overwrite = true;
    COMPLAINED(f, "dst/a: Is a directory", "src/a", "dst");
    assert_true(S_ISDIR(mode_of("dst/a")));
}

/* ---- what is copied ---- */

static void a_tree_is_the_same_there(void **state)
{
    struct fixture *f = *state;
    char target[16] = "";

    assert_int_equal(mkdir("src/d", 0755) | mkdir("src/d/empty", 0700), 0);
    put_file("src/d/a", "A", 0640);
    put_file("src/d/none", "", 0644);
    put_file("src/setid", "S", 0755);
    assert_int_equal(chmod("src/setid", 06751) | symlink("../none", "src/d/link"), 0);
    assert_int_equal(mkfifo("src/fifo", 0620) | chmod("src/fifo", 0620), 0);
    assert_int_equal(chmod("src/d", 0711), 0);
    f->options.jobs = 4;
    umask(077); /* Whose umask it is makes no difference: it is a copy. */
    COPIED(f, "src", "dst");
    assert_file("dst/src/d/a", "A");
    assert_file("dst/src/d/none", "");
    assert_int_equal(mode_of("dst/src/d"), S_IFDIR | 0711);
    assert_int_equal(mode_of("dst/src/d/empty"), S_IFDIR | 0700);
    assert_int_equal(mode_of("dst/src/d/a"), S_IFREG | 0640);
    assert_int_equal(mode_of("dst/src/setid"), S_IFREG | 06751);
    assert_int_equal(mode_of("dst/src/fifo"), S_IFIFO | 0620);
    assert_int_equal(readlink("dst/src/d/link", target, sizeof(target)), 7);
    assert_string_equal(target, "../none");
}

/* A change of owner takes the set-id bits away: the mode comes after it. */
static void set_id_bits_outlive_the_change_of_owner(void **state)
{
    struct fixture *f = *state;

    put_file("src/a", "A", 0755);
    assert_int_equal(chmod("src/a", 04755), 0);
    f->options.keep_owner = true;
    COPIED(f, "src/a", "dst");
    assert_int_equal(mode_of("dst/a") & 07777, 04755);
}

/* A directory's time would change with each file that is put into it: it is set at the end. */
static void times_are_kept_when_it_is_asked_for(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mkdir("src/d", 0755) | symlink("x", "src/d/link"), 0);
    put_file("src/d/a", "A", 0444);
    make_old("src/d/a");
    make_old("src/d/link");
    make_old("src/d");
    COPIED(f, "src/d", "dst/now");
    assert_true(mtime_of("dst/now/a") > OLD_S);
    assert_true(mtime_of("dst/now") > OLD_S);
    f->options.keep_times = true;
    COPIED(f, "src/d", "dst/old");
    assert_int_equal(mtime_of("dst/old/a"), OLD_S);
    assert_int_equal(mtime_of("dst/old/link"), OLD_S);
    assert_int_equal(mtime_of("dst/old"), OLD_S);
}

/* A disk image of 1 TiB with 1 GiB in it must fit where 2 GiB are free. */
static void holes_stay_holes(void **state)
{
    struct fixture *f = *state;
    const off_t size = 5 * (off_t)IO_SIZE_MAX + 7;
    int fd = open("src/holes", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    char got[4] = "";
    struct stat st;

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "abc", 3, 2 * (off_t)IO_SIZE_MAX), 3);
    assert_int_equal(ftruncate(fd, size), 0);
    assert_int_equal(close(fd), 0);
    COPIED(f, "src/holes", "dst");
    assert_int_equal(stat("dst/holes", &st), 0);
    assert_int_equal(st.st_size, size);
    assert_true(st.st_blocks * 512 <= (off_t)IO_SIZE_MAX + 65536);
    fd = open("dst/holes", O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, got, 3, 2 * (off_t)IO_SIZE_MAX), 3);
    assert_string_equal(got, "abc");
    assert_int_equal(close(fd), 0);
}

/* ---- what fails ---- */

static void a_directory_is_asked_for_by_r(void **state)
{
    struct fixture *f = *state;

    put_file("a", "A", 0644);
    f->options.recursive = false;
    COMPLAINED(f, "src: is a directory; -r copies it", "src", "a", "dst");
    assert_false(is_there("dst/src"));
    assert_file("dst/a", "A");
}

static void what_is_missing_does_not_keep_the_rest(void **state)
{
    struct fixture *f = *state;

    put_file("src/a", "A", 0644);
    COMPLAINED(f, "src/none: No such file or directory", "src/none", "src/a", "dst");
    assert_file("dst/a", "A");
}

/* Whichever step it is: the old file is whole, the new one is not there, the next goes on. */
static void a_failure_leaves_what_was_there(void **state)
{
    struct fixture *f = *state;

    put_file("src/a", "new", 0644);
    put_file("src/b", "B", 0644);
    put_file("dst/a", "old", 0644);
    f->options.overwrite = true;
    fail_pwrite = 0;
    COMPLAINED(f, "dst/a: No space left on device", "src/a", "src/b", "dst");
    assert_file("dst/a", "old");
    assert_file("dst/b", "B");
    fail_close = 0; /* Written bytes that did not arrive are told by close(2). */
    COMPLAINED(f, "dst/a: Disk quota exceeded", "src/a", "dst");
    assert_file("dst/a", "old");
    fail_rename = 0;
    COMPLAINED(f, "dst/a: Read-only file system", "src/a", "dst");
    assert_file("dst/a", "old");
    fail_pread = 0;
    COMPLAINED(f, "src/a: Input/output error", "src/a", "dst");
    assert_file("dst/a", "old");
    COPIED(f, "src/a", "dst");
    assert_file("dst/a", "new");
}

/* Half of it was there already. */
static void a_failure_in_the_middle_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    char *data = mem_zalloc(1, 2 * IO_SIZE_MAX + 1);

    memset(data, 'x', 2 * IO_SIZE_MAX);
    put_file("src/big", data, 0644);
    free(data);
    fail_pwrite = 1;
    COMPLAINED(f, "dst/big: No space left on device", "src/big", "dst");
    assert_false(is_there("dst/big"));
    fail_pread = 1;
    COMPLAINED(f, "src/big: Input/output error", "src/big", "dst");
    assert_false(is_there("dst/big"));
}

/* ---- "-" ---- */

static int pipe_with(const char *text)
{
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(write(fds[1], text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fds[1]), 0);
    return fds[0];
}

static int from_pipe(struct fixture *f, const char *text, const char *dest, bool overwrite)
{
    int fd = pipe_with(text), r = copy_from_fd(&f->to, fd, dest, overwrite);

    assert_int_equal(close(fd), 0);
    assert_no_temporaries(f);
    return r;
}

static void a_stream_becomes_a_file(void **state)
{
    struct fixture *f = *state;

    umask(027); /* There is no mode to copy: it is as any new file's. */
    assert_int_equal(from_pipe(f, "one", "dst/a", false), 0);
    assert_file("dst/a", "one");
    assert_int_equal(mode_of("dst/a") & 07777, 0640);
    assert_int_equal(from_pipe(f, "two", "dst/a", false), -EEXIST);
    assert_file("dst/a", "one");
    fail_pwrite = 0;
    assert_int_equal(from_pipe(f, "two", "dst/a", true), -ENOSPC);
    fail_close = 0;
    assert_int_equal(from_pipe(f, "two", "dst/a", true), -EDQUOT);
    assert_file("dst/a", "one");
    assert_int_equal(from_pipe(f, "", "dst/a", true), 0);
    assert_file("dst/a", "");
    assert_int_equal(from_pipe(f, "x", "dst/none/a", true), -ENOENT);
}

static void a_file_becomes_a_stream(void **state)
{
    struct fixture *f = *state;
    char *data = mem_zalloc(1, IO_SIZE_MAX + 2);
    int fd = open("out", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    struct stat st;

    assert_true(fd >= 0);
    memset(data, 'x', IO_SIZE_MAX + 1);
    put_file("src/big", data, 0644);
    free(data);
    assert_int_equal(copy_to_fd(&f->from, "src/big", fd), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, IO_SIZE_MAX + 1);
    assert_int_equal(copy_to_fd(&f->from, "src/none", fd), -ENOENT);
    fail_pread = 1;
    assert_int_equal(copy_to_fd(&f->from, "src/big", fd), -EIO);
    assert_int_equal(close(fd), 0);
    assert_int_equal(copy_to_fd(&f->from, "src/big", -1), -EBADF);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(into_a_directory_or_to_a_name),
        TEST(a_link_to_a_directory_is_gone_into),
        TEST(several_sources_need_a_directory),
        TEST(a_slash_at_the_end_means_a_directory),
        TEST(a_source_without_a_name_fills_the_directory),
        TEST(the_root_of_the_other_place_is_such_a_source),
        TEST(a_directory_is_not_copied_into_itself),
        TEST(nor_by_another_name),
        TEST(names_of_two_places_have_nothing_to_do_with_each_other),
        TEST(what_is_there_stays_unless_it_is_to_be_overwritten),
        TEST(a_link_that_is_there_is_not_written_through),
        TEST(who_comes_second_does_not_overwrite),
        TEST(a_directory_that_is_there_is_filled),
        TEST(a_file_in_the_place_of_a_directory_stops_that_directory_only),
        TEST(a_directory_in_the_place_of_a_file_stays),
        TEST(a_tree_is_the_same_there),
        TEST(set_id_bits_outlive_the_change_of_owner),
        TEST(times_are_kept_when_it_is_asked_for),
        TEST(holes_stay_holes),
        TEST(a_directory_is_asked_for_by_r),
        TEST(what_is_missing_does_not_keep_the_rest),
        TEST(a_failure_leaves_what_was_there),
        TEST(a_failure_in_the_middle_leaves_nothing),
        TEST(a_stream_becomes_a_file),
        TEST(a_file_becomes_a_stream),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
