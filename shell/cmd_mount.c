/* dfs sync and dfs counters: what a mount is asked through an ioctl on anything in it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "common/args.h"
#include "common/mount_ioctl.h"
#include "common/strutil.h"
#include "shell/command.h"
#include "shell/format.h"

enum option_id { OPT_JSON = 1 };

static const struct args_spec sync_spec = {
    .program = "dfs sync",
    .usage = "[OPTION]... FILE...",
    .about = "Waits until everything written through the mount that FILE is in survives a power\n"
             "failure of the whole cluster: on stable storage of all replicas. sync(1) does not\n"
             "reach that far, since the kernel does not pass it on. The other dfs commands have "
             "written\n"
             "everything when they end.",
    .rest_min = 1,
    .rest_max = -1,
};
static const struct arg_option counters_options[] = {
    {"json", 0, NULL, "print JSON", OPT_JSON},
    {0},
};
static const struct args_spec counters_spec = {
    .program = "dfs counters",
    .usage = "[OPTION]... FILE",
    .about = "Prints what the mount that FILE is in has done since it was mounted, one counter a\n"
             "line: requests to namenodes, chunk reads and writes, retries, bytes.",
    .options = counters_options,
    .rest_min = 1,
    .rest_max = 1,
};

/* 0 or -errno; -ENOTTY: not a dfs mount. */
static int ask_mount(const char *path, unsigned long request, void *arg)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r = 0;

    if (fd < 0)
        return -errno;
    if (ioctl(fd, request, arg) < 0)
        r = -errno;
    (void)close(fd);
    return r;
}

static void complain(const char *program, const char *path, int r)
{
    fprintf(stderr, "%s: %s: %s\n", program, path,
            r == -ENOTTY || r == -ENOSYS || r == -EINVAL ? "is not in a dfs mount" : strerror(-r));
}

int cmd_sync(int argc, char **argv)
{
    int code = EXIT_OK, r;
    struct args a;

    args_init(&a, &sync_spec, argc, argv);
    if (args_next(&a) != ARGS_END)
        return a.exit_code;
    for (int i = 0; i < a.rest_count; i++) {
        r = ask_mount(a.rest[i], MOUNT_IOC_SYNC, NULL);
        if (r < 0) {
            complain(sync_spec.program, a.rest[i], r);
            code = EXIT_FAILED;
        }
    }
    return code;
}

/* "name value" lines. */
static void print_counters_json(char *lines)
{
    json_t *object = json_object();
    char *save = NULL;

    for (char *l = strtok_r(lines, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save)) {
        char *space = strchr(l, ' ');
        uint64_t value;

        if (space == NULL || str_parse_u64(space + 1, &value) < 0)
            continue;
        *space = '\0';
        json_object_set_new(object, l, json_integer((json_int_t)value));
    }
    format_json_print(object);
}

int cmd_counters(int argc, char **argv)
{
    struct mount_counters counters = {.text = ""};
    bool json = false;
    struct args a;
    int opt, r;

    args_init(&a, &counters_spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        if (opt != OPT_JSON)
            return a.exit_code;
        json = true;
    }
    r = ask_mount(a.rest[0], MOUNT_IOC_COUNTERS, &counters);
    if (r < 0) {
        complain(counters_spec.program, a.rest[0], r);
        return EXIT_FAILED;
    }
    counters.text[sizeof(counters.text) - 1] = '\0';
    if (json)
        print_counters_json(counters.text);
    else
        fputs(counters.text, stdout);
    return EXIT_OK;
}
