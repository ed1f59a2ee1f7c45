/* What a mount is told: by its command line, by mount(8) and fstab, and by the file. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/args.h"
#include "common/compiler.h"
#include "common/limits.h"
#include "fuse/mount_conf.h"

enum { WORDS_MAX = 24, WORD_SIZE = 512, EXIT_UNCHANGED = 77 };

#define NAMENODES "nn1:8670,nn2:8670"

/* One command line and what came of it; the memory stays for as long as its words are used. */
struct parsed {
    struct mount_conf c;
    int result, exit_code;
    char said[8192];
    char words[WORDS_MAX][WORD_SIZE];
    char *argv[WORDS_MAX + 1];
};

struct fixture {
    char dir[64];
    char file[80]; /* the configuration, also what $DFS_CONFIG says */
    struct parsed p;
    bool is_parsed;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    snprintf(f->dir, sizeof(f->dir), "/tmp/dfs-mount-conf-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->file, sizeof(f->file), "%s/dfs.conf", f->dir);
    assert_int_equal(setenv("DFS_CONFIG", f->file, 1), 0);
    *state = f;
    return 0;
}

static void forget(struct fixture *f)
{
    if (f->is_parsed)
        mount_conf_done(&f->p.c);
    f->is_parsed = false;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    forget(f);
    (void)unlink(f->file);
    assert_int_equal(rmdir(f->dir), 0);
    free(f);
    return 0;
}

static void write_conf(struct fixture *f, const char *text)
{
    FILE *file = fopen(f->file, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void said_begin(FILE *sink, int saved[2])
{
    for (int fd = 1; fd <= 2; fd++) {
        (void)fflush(fd == 1 ? stdout : stderr);
        saved[fd - 1] = dup(fd);
        (void)dup2(fileno(sink), fd);
    }
}

static void said_end(FILE *sink, int saved[2], char *said, size_t size)
{
    size_t n;

    for (int fd = 1; fd <= 2; fd++) {
        (void)fflush(fd == 1 ? stdout : stderr);
        (void)dup2(saved[fd - 1], fd);
        (void)close(saved[fd - 1]);
    }
    rewind(sink);
    n = fread(said, 1, size - 1, sink);
    said[n] = '\0';
    (void)fclose(sink);
}

/* The words end with NULL; the first is the program's name. Gives what was parsed before up. */
static struct parsed *parse(struct fixture *f, const char *const *words)
{
    struct parsed *p = &f->p;
    FILE *sink = tmpfile();
    int argc = 0, saved[2];

    forget(f);
    memset(p, 0, sizeof(*p));
    for (; words[argc] != NULL; argc++) {
        assert_true(argc < WORDS_MAX);
        assert_true(snprintf(p->words[argc], WORD_SIZE, "%s", words[argc]) < WORD_SIZE);
        p->argv[argc] = p->words[argc];
    }
    p->exit_code = EXIT_UNCHANGED;
    said_begin(sink, saved);
    p->result = mount_conf_parse(&p->c, argc, p->argv, &p->exit_code);
    said_end(sink, saved, p->said, sizeof(p->said));
    f->is_parsed = true;
    return p;
}

#define PARSE(f, ...) parse((f), (const char *const[]){__VA_ARGS__, NULL})

/* One that must be right. */
#define PARSED(f, ...) parsed_well(PARSE(f, __VA_ARGS__))

static struct mount_conf *parsed_well(struct parsed *p)
{
    if (p->result != 0)
        print_message("# said: %s\n", p->said);
    assert_int_equal(p->result, 0);
    assert_int_equal(p->exit_code, 0);
    assert_string_equal(p->said, "");
    return &p->c;
}

static void assert_refused(const struct parsed *p, int exit_code, const char *because)
{
    assert_true(p->result < 0);
    assert_int_equal(p->exit_code, exit_code);
    if (strstr(p->said, because) == NULL)
        print_message("# said: %s\n", p->said);
    assert_non_null(strstr(p->said, because));
}

static const char *kernel_base(void)
{
    return geteuid() == 0 ? ",suid,dev" : "";
}

/* The options for mount(2), behind those that every mount of this user has. */
static void assert_kernel_options(const struct mount_conf *c, const char *options)
{
    size_t n = strlen(kernel_base());

    assert_memory_equal(c->kernel_options, kernel_base(), n);
    assert_string_equal(c->kernel_options + n, options);
}

/* ---- what is mounted, and where ---- */

static void the_command_line_says_what_is_mounted_where(void **state)
{
    struct fixture *f = *state;
    const struct mount_conf *c;

    write_conf(f, "");
    c = PARSED(f, "dfs-fuse", NAMENODES ":/home/ann", "/mnt");
    assert_string_equal(c->namenodes, NAMENODES);
    assert_string_equal(c->ll.namenodes, NAMENODES);
    assert_string_equal(c->subdir, "/home/ann");
    assert_string_equal(c->mountpoint, "/mnt");
}

static void without_a_directory_all_is_mounted(void **state)
{
    struct fixture *f = *state;

    write_conf(f, "");
    assert_string_equal(PARSED(f, "dfs-fuse", NAMENODES, "/mnt")->subdir, "/");
    assert_string_equal(f->p.c.namenodes, NAMENODES);
    assert_string_equal(PARSED(f, "dfs-fuse", NAMENODES ":/", "/mnt")->subdir, "/");
    assert_string_equal(f->p.c.namenodes, NAMENODES);
}

/* fstab wants a word in its first field: "none" is one that says nothing. */
static void what_the_command_line_leaves_open_the_file_says(void **state)
{
    struct fixture *f = *state;

    write_conf(f, "[client]\nnamenodes = " NAMENODES ":/shared\n");
    assert_string_equal(PARSED(f, "dfs-fuse", "/mnt")->namenodes, NAMENODES);
    assert_string_equal(f->p.c.subdir, "/shared");
    assert_string_equal(f->p.c.mountpoint, "/mnt");
    assert_string_equal(PARSED(f, "dfs-fuse", "none", "/mnt")->namenodes, NAMENODES);
    assert_string_equal(f->p.c.subdir, "/shared");
    assert_string_equal(f->p.c.mountpoint, "/mnt");
}

/* One file for a host with two file systems: fstab says which. */
static void the_command_line_is_stronger_than_the_file(void **state)
{
    struct fixture *f = *state;
    const struct mount_conf *c;

    write_conf(f, "[client]\nnamenodes = nn9:8670:/other\nio_timeout = 10s\ndirty_max = 16M\n");
    c = PARSED(f, "dfs-fuse", "-o", "io_timeout=2m", NAMENODES, "/mnt");
    assert_string_equal(c->namenodes, NAMENODES);
    assert_string_equal(c->subdir, "/");
    assert_int_equal(c->ll.io_timeout_ms, 120000);
    assert_int_equal(c->ll.dirty_bytes_max, 16 * MIB);
}

static void nobody_says_where_the_namenodes_are(void **state)
{
    struct fixture *f = *state;

    write_conf(f, "");
    assert_refused(PARSE(f, "dfs-fuse", "/mnt"), 1, "namenodes");
    assert_refused(PARSE(f, "dfs-fuse", "none", "/mnt"), 1, "namenodes");
}

static void what_nobody_says_has_a_default(void **state)
{
    struct fixture *f = *state;
    const struct mount_conf *c;
    struct ll_options defaults;

    write_conf(f, "");
    ll_options_init(&defaults);
    c = PARSED(f, "dfs-fuse", NAMENODES, "/mnt");
    assert_false(c->foreground);
    assert_false(c->read_only);
    assert_false(c->may_cover);
    assert_true(c->allow_other == (geteuid() == 0));
    assert_null(c->log_path);
    assert_null(c->pid_file);
    assert_null(c->http_addr);
    assert_null(c->ll.ca_file);
    assert_int_equal(c->ll.io_timeout_ms, 0); /* wait for ever */
    assert_int_equal(c->ll.dirty_bytes_max, defaults.dirty_bytes_max);
    assert_int_equal(c->ll.readahead_bytes_max, defaults.readahead_bytes_max);
    assert_int_equal(c->read_ahead_kb, 1024);
    assert_kernel_options(c, "");
}

/* ---- -o ---- */

static void a_list_of_options_is_taken_apart(void **state)
{
    struct fixture *f = *state;
    const struct mount_conf *c;

    write_conf(f, "");
    c = PARSED(f, "dfs-fuse", NAMENODES, "/mnt", "-o",
               "io_timeout=60s,dirty_max=32M,readahead_max=128M,http=127.0.0.1:9000,"
               "log=/var/log/d,pid_file=/run/d,ca=/c/a,cert=/c/b,key=/c/k,nonempty,allow_other");
    assert_int_equal(c->ll.io_timeout_ms, 60000);
    assert_int_equal(c->ll.dirty_bytes_max, 32 * MIB);
    assert_int_equal(c->ll.readahead_bytes_max, 128 * MIB);
    assert_string_equal(c->http_addr, "127.0.0.1:9000");
    assert_string_equal(c->log_path, "/var/log/d");
    assert_string_equal(c->pid_file, "/run/d");
    assert_string_equal(c->ll.ca_file, "/c/a");
    assert_string_equal(c->ll.cert_file, "/c/b");
    assert_string_equal(c->ll.key_file, "/c/k");
    assert_true(c->may_cover);
    assert_true(c->allow_other);
    assert_kernel_options(c, "");
}

/* mount(2) is given them in their order: of two that contradict each other the last one holds. */
static void the_kernels_options_go_to_the_kernel(void **state)
{
    struct fixture *f = *state;
    const struct mount_conf *c;

    write_conf(f, "");
    c = PARSED(f, "dfs-fuse", "-o", "noatime,nosuid,nodev,noexec", "-o", "ro,suid", NAMENODES,
               "/mnt");
    assert_kernel_options(c, ",noatime,nosuid,nodev,noexec,ro,suid");
    assert_true(c->read_only);
}

static void of_two_values_the_last_one_holds(void **state)
{
    struct fixture *f = *state;
    const struct mount_conf *c;

    write_conf(f, "");
    c = PARSED(f, "dfs-fuse", "-o", "io_timeout=1s,io_timeout=2s", "-o", "io_timeout=3s,log=/a",
               "--log=/b", NAMENODES, "/mnt");
    assert_int_equal(c->ll.io_timeout_ms, 3000);
    assert_string_equal(c->log_path, "/b");
}

/* A value of its own may hold an equals sign; an empty word comes of a comma too many. */
static void commas_and_equals_signs_are_taken_as_they_are_meant(void **state)
{
    struct fixture *f = *state;

    write_conf(f, "");
    assert_string_equal(PARSED(f, "dfs-fuse", "-o", ",,log=/a=b,,ro,", NAMENODES, "/m")->log_path,
                        "/a=b");
    assert_kernel_options(&f->p.c, ",ro");
    assert_kernel_options(PARSED(f, "dfs-fuse", "-o", "", NAMENODES, "/m"), "");
}

/* What fstab holds for mount(8) and systemd comes to us too, and says nothing about the mount. */
static void words_of_fstab_change_nothing(void **state)
{
    static const char *const words[] = {
        "rw",       "auto",        "noauto",        "user",
        "nouser",   "users",       "owner",         "group",
        "_netdev",  "nofail",      "defaults",      "relatime",
        "lazytime", "strictatime", "nodiratime",    "x-systemd.automount",
        "silent",   "x-gvfs-hide", "x-a.timeout=5", "x-systemd.requires=network-online.target"};
    struct fixture *f = *state;
    const struct mount_conf *c;

    write_conf(f, "");
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        c = PARSED(f, "dfs-fuse", NAMENODES, "/mnt", "-o", words[i]);
        assert_kernel_options(c, "");
        assert_false(c->read_only);
    }
}

static void an_unknown_option_is_refused_with_a_hint(void **state)
{
    struct fixture *f = *state;

    write_conf(f, "");
    assert_refused(PARSE(f, "dfs-fuse", "-o", "io_timeuot=5s", NAMENODES, "/mnt"), ARGS_EXIT_USAGE,
                   "did you mean 'io_timeout'");
    assert_refused(PARSE(f, "dfs-fuse", "-o", "noempty", NAMENODES, "/mnt"), ARGS_EXIT_USAGE,
                   "did you mean 'nonempty'");
    assert_refused(PARSE(f, "dfs-fuse", "-o", "quota", NAMENODES, "/mnt"), ARGS_EXIT_USAGE,
                   "unknown mount option 'quota'");
    /* Also behind options that are known, in whichever list. */
    assert_refused(PARSE(f, "dfs-fuse", "-o", "ro", "-o", "noatime,quota", NAMENODES, "/mnt"),
                   ARGS_EXIT_USAGE, "'quota'");
    assert_refused(PARSE(f, "dfs-fuse", "-o", "quota", "-o", "ro", NAMENODES, "/mnt"),
                   ARGS_EXIT_USAGE, "'quota'");
}

/* "ro=0" must not give a mount that can be written to, nor one that can't. */
static void a_value_where_none_belongs_or_none_where_one_does_is_refused(void **state)
{
    static const char *const wrong[] = {
        "ro=0", "allow_other=yes", "nonempty=1", "noatime=1", "config", "log", "pid_file",
        "ca",   "io_timeout",      "dirty_max",  "http"};
    struct fixture *f = *state;

    write_conf(f, "");
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_refused(PARSE(f, "dfs-fuse", NAMENODES, "/mnt", "-o", wrong[i]), ARGS_EXIT_USAGE,
                       "mount option");
}

/* As mount(8) calls us to remount: by the type that the kernel shows. */
static void the_other_name_of_the_helper_is_one_too(void **state)
{
    struct fixture *f = *state;

    write_conf(f, "");
    assert_int_equal(PARSE(f, "/sbin/mount.fuse.dfs", NAMENODES, "/mnt", "-f")->result, -ECANCELED);
}

/* Taken as nothing, "mount -o remount,ro" would say that the mount is read-only now. */
static void remounting_is_refused_in_words(void **state)
{
    struct fixture *f = *state;

    write_conf(f, "");
    assert_refused(PARSE(f, "mount.dfs", NAMENODES, "/mnt", "-o", "rw,remount"), ARGS_EXIT_USAGE,
                   "unmount it");
}

static void too_many_options_are_refused(void **state)
{
    struct fixture *f = *state;
    char list[WORD_SIZE] = "";

    write_conf(f, "");
    for (unsigned i = 0; i < 32; i++)
        strcat(list, ",ca=/a");
    assert_refused(PARSE(f, "dfs-fuse", NAMENODES, "/mnt", "-o", list, "-o", "ca=/a"),
                   ARGS_EXIT_USAGE, "too many options");
}

static void a_value_out_of_its_range_is_refused(void **state)
{
    static const char *const wrong[] = {"dirty_max=1M", "dirty_max=65G", "readahead_max=x",
                                        "io_timeout=5", "io_timeout=2d", "io_timeout=-1s"};
    struct fixture *f = *state;

    write_conf(f, "");
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct parsed *p = PARSE(f, "dfs-fuse", NAMENODES, "/mnt", "-o", wrong[i]);
        char key[32];

        snprintf(key, sizeof(key), "%.*s", (int)strcspn(wrong[i], "="), wrong[i]);
        assert_true(p->exit_code != 0);
        assert_refused(p, p->exit_code, key);
    }
}

/* Half a pair would be a mount that no namenode lets in, or one without encryption. */
static void certificates_come_together_or_not_at_all(void **state)
{
    static const char *const wrong[] = {"ca=/c/a",           "cert=/c/b",        "key=/c/k",
                                        "ca=/c/a,cert=/c/b", "ca=/c/a,key=/c/k", "cert=/b,key=/k"};
    struct fixture *f = *state;

    write_conf(f, "");
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct parsed *p = PARSE(f, "dfs-fuse", NAMENODES, "/mnt", "-o", wrong[i]);

        assert_true(p->exit_code != 0);
        assert_refused(p, p->exit_code, "belong together");
    }
}

/* ---- the file ---- */

static void a_file_that_was_named_must_be_there(void **state)
{
    struct fixture *f = *state; /* which has written none, but $DFS_CONFIG names it */
    const char *const named[] = {"--config=/nowhere/dfs.conf", "-oconfig=/nowhere/dfs.conf"};

    assert_refused(PARSE(f, "dfs-fuse", NAMENODES, "/mnt"), 1, f->file);
    for (size_t i = 0; i < ARRAY_COUNT(named); i++)
        assert_refused(PARSE(f, "dfs-fuse", named[i], NAMENODES, "/mnt"), 1, "/nowhere/dfs.conf");
}

static void the_command_line_names_another_file(void **state)
{
    struct fixture *f = *state;
    char option[128];

    write_conf(f, "[client]\nnamenodes = " NAMENODES "\n");
    assert_int_equal(setenv("DFS_CONFIG", "/nowhere/dfs.conf", 1), 0);
    assert_string_equal(PARSED(f, "dfs-fuse", "-c", f->file, "/mnt")->namenodes, NAMENODES);
    snprintf(option, sizeof(option), "config=%s", f->file);
    assert_string_equal(PARSED(f, "dfs-fuse", "-o", option, "/mnt")->namenodes, NAMENODES);
    assert_string_equal(f->p.c.config_path, f->file);
}

/* One dfs.conf serves all programs of a host. */
static void what_belongs_to_other_programs_is_left_alone(void **state)
{
    struct fixture *f = *state;
    const struct mount_conf *c;

    write_conf(f, "[client]\nnamenodes = " NAMENODES "\nread_ahead_kb = 512\n"
                  "[namenode]\nx = 1\n[datanode]\nx = 1\n[cluster]\nx = 1\n[data]\nx = 1\n"
                  "[log]\nx = 1\n[tls]\nca = a.pem\ncert = b.pem\nkey = /k.pem\n");
    c = PARSED(f, "dfs-fuse", "/mnt");
    assert_int_equal(c->read_ahead_kb, 512);
    /* What the file has as a relative path lies beside it. */
    assert_memory_equal(c->ll.ca_file, f->dir, strlen(f->dir));
    assert_string_equal(c->ll.ca_file + strlen(f->dir), "/a.pem");
    assert_string_equal(c->ll.key_file, "/k.pem");
}

static void a_key_that_nobody_knows_is_a_mistake(void **state)
{
    struct fixture *f = *state;

    write_conf(f, "[client]\nnamenodes = " NAMENODES "\nio_timeuot = 5s\n");
    assert_refused(PARSE(f, "dfs-fuse", "/mnt"), 1, "io_timeout");
    /* The command line says where the namenodes are: the file's word is known all the same. */
    write_conf(f, "[client]\nnamenodes = nn9:8670\n");
    (void)PARSED(f, "dfs-fuse", NAMENODES, "/mnt");
}

/* ---- the command line ---- */

static void the_wrong_number_of_operands_is_refused(void **state)
{
    struct fixture *f = *state;

    write_conf(f, "");
    assert_int_equal(PARSE(f, "dfs-fuse")->exit_code, ARGS_EXIT_USAGE);
    assert_true(f->p.result < 0);
    assert_int_equal(PARSE(f, "dfs-fuse", NAMENODES, "/mnt", "/more")->exit_code, ARGS_EXIT_USAGE);
    assert_true(f->p.result < 0);
    assert_int_equal(PARSE(f, "dfs-fuse", "--frobnicate", "/mnt")->exit_code, ARGS_EXIT_USAGE);
    assert_true(f->p.result < 0);
}

static void help_is_no_mistake_and_no_mount(void **state)
{
    struct fixture *f = *state;
    struct parsed *p = PARSE(f, "dfs-fuse", "--help");

    assert_true(p->result < 0);
    assert_int_equal(p->exit_code, 0);
    assert_non_null(strstr(p->said, "io_timeout=TIME"));
}

static void a_person_stays_in_the_foreground_with_f(void **state)
{
    struct fixture *f = *state;

    write_conf(f, "");
    assert_true(PARSED(f, "dfs-fuse", "-f", NAMENODES, "/mnt")->foreground);
    assert_true(PARSED(f, "/usr/sbin/dfs-fuse", NAMENODES, "/mnt", "--foreground")->foreground);
    assert_string_equal(PARSED(f, "dfs-fuse", "-p", "/run/d", NAMENODES, "/mnt")->pid_file,
                        "/run/d");
}

/* mount(8) calls "/sbin/mount.dfs SPEC DIR [-sfnv] [-N NS] [-o OPTIONS] [-t TYPE]". */
static void the_helper_of_mount_takes_what_mount_gives(void **state)
{
    struct fixture *f = *state;
    const struct mount_conf *c;

    write_conf(f, "");
    c = PARSED(f, "/sbin/mount.dfs", NAMENODES ":/a", "/mnt", "-s", "-n", "-N", "ns", "-t", "dfs",
               "-o", "rw,noatime");
    assert_false(c->foreground);
    assert_string_equal(c->namenodes, NAMENODES);
    assert_string_equal(c->subdir, "/a");
    assert_string_equal(c->mountpoint, "/mnt");
    assert_kernel_options(c, ",noatime");
}

/* "mount -f" looks whether it would mount: mistakes are told, success is 0, nothing is mounted. */
static void the_helpers_fake_ends_well_before_it_mounts(void **state)
{
    struct fixture *f = *state;
    struct parsed *p;

    write_conf(f, "");
    p = PARSE(f, "mount.dfs", NAMENODES, "/mnt", "-sfn", "-o", "rw");
    assert_int_equal(p->result, -ECANCELED);
    assert_int_equal(p->exit_code, 0);
    assert_false(p->c.foreground);
    assert_refused(PARSE(f, "mount.dfs", NAMENODES, "/mnt", "-f", "-o", "quota"), ARGS_EXIT_USAGE,
                   "quota");
    assert_true(PARSE(f, "mount.dfs", "none", "/mnt", "-f")->exit_code != 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_command_line_says_what_is_mounted_where),
        TEST(without_a_directory_all_is_mounted),
        TEST(what_the_command_line_leaves_open_the_file_says),
        TEST(the_command_line_is_stronger_than_the_file),
        TEST(nobody_says_where_the_namenodes_are),
        TEST(what_nobody_says_has_a_default),
        TEST(a_list_of_options_is_taken_apart),
        TEST(the_kernels_options_go_to_the_kernel),
        TEST(of_two_values_the_last_one_holds),
        TEST(commas_and_equals_signs_are_taken_as_they_are_meant),
        TEST(words_of_fstab_change_nothing),
        TEST(an_unknown_option_is_refused_with_a_hint),
        TEST(a_value_where_none_belongs_or_none_where_one_does_is_refused),
        TEST(the_other_name_of_the_helper_is_one_too),
        TEST(remounting_is_refused_in_words),
        TEST(too_many_options_are_refused),
        TEST(a_value_out_of_its_range_is_refused),
        TEST(certificates_come_together_or_not_at_all),
        TEST(a_file_that_was_named_must_be_there),
        TEST(the_command_line_names_another_file),
        TEST(what_belongs_to_other_programs_is_left_alone),
        TEST(a_key_that_nobody_knows_is_a_mistake),
        TEST(the_wrong_number_of_operands_is_refused),
        TEST(help_is_no_mistake_and_no_mount),
        TEST(a_person_stays_in_the_foreground_with_f),
        TEST(the_helper_of_mount_takes_what_mount_gives),
        TEST(the_helpers_fake_ends_well_before_it_mounts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
