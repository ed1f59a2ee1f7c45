/*
 * A small program on libdfs: connects, writes a file, reads it back, lists its directory.
 *
 *   cc example.c $(pkg-config --cflags --libs libdfs) -o example
 *   DFS_CONFIG=/etc/dfs/dfs.conf ./example /greeting
 */
#include <dfs.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Functions give 0 or more on success and a negative errno on failure. */
static int complain(const char *what, const char *path, int r)
{
    fprintf(stderr, "example: %s %s: %s\n", what, path, strerror(-r));
    return r;
}

static int write_file(struct dfs *dfs, const char *path, const char *text)
{
    struct dfs_file *file;
    ssize_t n;
    int r = dfs_open(dfs, path, O_WRONLY | O_CREAT | O_TRUNC, 0644, &file);

    if (r < 0)
        return complain("cannot make", path, r);
    n = dfs_pwrite(file, text, strlen(text), 0);
    r = n < 0 ? (int)n : dfs_fsync(file); /* Now it survives a power failure of everything. */
    if (r < 0) {
        (void)dfs_close(file);
        return complain("cannot write", path, r);
    }
    r = dfs_close(file);
    return r < 0 ? complain("cannot close", path, r) : 0;
}

static int read_file(struct dfs *dfs, const char *path)
{
    struct dfs_file *file;
    char text[256];
    ssize_t n;
    int r = dfs_open(dfs, path, O_RDONLY, 0, &file);

    if (r < 0)
        return complain("cannot open", path, r);
    n = dfs_pread(file, text, sizeof(text), 0);
    (void)dfs_close(file);
    if (n < 0)
        return complain("cannot read", path, (int)n);
    printf("%s holds: %.*s\n", path, (int)n, text);
    return 0;
}

static int list(struct dfs *dfs, const char *path)
{
    struct dfs_dirent entry;
    struct dfs_dir *dir;
    int r = dfs_opendir(dfs, path, &dir);

    if (r < 0)
        return complain("cannot list", path, r);
    while ((r = dfs_readdir(dir, &entry)) > 0)
        printf("%10" PRIu64 " %s\n", entry.st.size, entry.name);
    dfs_closedir(dir);
    return r < 0 ? complain("cannot list", path, r) : 0;
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "/greeting";
    struct dfs_options options;
    struct dfs *dfs;
    char problem[256];
    int r;

    dfs_options_init(&options); /* The configuration file says where the cluster is. */
    r = dfs_connect(&options, &dfs, problem, sizeof(problem));
    if (r < 0) {
        fprintf(stderr, "example: %s\n", problem);
        return 1;
    }
    r = write_file(dfs, path, "Hello, cluster!");
    if (r == 0)
        r = read_file(dfs, path);
    if (r == 0)
        r = list(dfs, "/");
    dfs_disconnect(dfs);
    return r == 0 ? 0 : 1;
}
