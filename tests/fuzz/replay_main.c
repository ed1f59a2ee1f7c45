/*
 * main() of a fuzz target when it isn't linked with libFuzzer: replays the corpus, one test a file,
 * and $DFS_FUZZ_MUTATIONS (1000) cheap mutations of each, always the same ones.
 *
 *   fuzz_NAME [FILE…]       default: all files of DFS_SRCDIR/tests/fuzz/corpus/NAME
 *
 * A crash, or a sanitizer's report, is the failure. With libFuzzer: ./configure --with-fuzzing
 * CC=clang, then tests/fuzz/fuzz_NAME tests/fuzz/corpus/NAME; new findings join the corpus.
 */
#include <dirent.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/target.h"

enum { FILE_MAX = 1 << 20, MUTATIONS = 1000, PATH_MAX_BYTES = 4096 };

static long mutations = MUTATIONS;

static uint64_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* One to four small changes: bits, bytes, interesting values, cuts. Gives the new length. */
static size_t mutate(uint8_t *bytes, size_t len, uint64_t *x)
{
    static const uint8_t borders[] = {0x00, 0x01, 0x7f, 0x80, 0xff};

    for (uint64_t n = next_random(x) % 4 + 1; n > 0 && len > 0; n--) {
        size_t at = next_random(x) % len;

        switch (next_random(x) % 5) {
        case 0:
            bytes[at] ^= (uint8_t)(1u << next_random(x) % 8);
            break;
        case 1:
            bytes[at] = (uint8_t)next_random(x);
            break;
        case 2:
            bytes[at] = borders[next_random(x) % sizeof(borders)];
            break;
        case 3:
            len = at;
            break;
        case 4:
            memmove(bytes + at, bytes + next_random(x) % len, len - at < 8 ? len - at : 8);
            break;
        }
    }
    return len;
}

static int replay(const char *path)
{
    uint8_t *bytes = malloc(FILE_MAX), *copy = malloc(FILE_MAX);
    uint64_t x = UINT64_C(0x9e3779b97f4a7c15);
    FILE *f = fopen(path, "rb");
    size_t len;

    if (f == NULL || bytes == NULL || copy == NULL)
        return -1;
    len = fread(bytes, 1, FILE_MAX, f);
    fclose(f);
    LLVMFuzzerTestOneInput(bytes, len);
    for (long i = 0; i < mutations; i++) {
        size_t n;
        uint8_t *exact;

        memcpy(copy, bytes, len);
        n = mutate(copy, len, &x);
        /* Of its exact size, so that a sanitizer sees reads past the end. */
        exact = malloc(n > 0 ? n : 1);
        memcpy(exact, copy, n);
        LLVMFuzzerTestOneInput(exact, n);
        free(exact);
    }
    free(bytes);
    free(copy);
    return 0;
}

static int is_corpus_file(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static int replay_dir(const char *dir)
{
    struct dirent **names = NULL;
    int count = scandir(dir, &names, is_corpus_file, alphasort), failed = 0;
    char path[PATH_MAX_BYTES + 257];

    if (count <= 0) {
        printf("1..1\nnot ok 1 - no corpus in %s\n", dir);
        return 1;
    }
    printf("1..%d\n", count);
    for (int i = 0; i < count; i++) {
        int bad;

        snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
        fflush(stdout);
        bad = replay(path) < 0;
        failed |= bad;
        printf("%sok %d - %s\n", bad ? "not " : "", i + 1, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    return failed;
}

int main(int argc, char **argv)
{
    const char *src = getenv("DFS_SRCDIR"), *few = getenv("DFS_FUZZ_MUTATIONS");
    const char *name = strrchr(argv[0], '/');
    char dir[PATH_MAX_BYTES];

    /* What one run freed serves the next: fresh pages from the kernel cost more than the run. */
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 28);
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 25);
    if (few != NULL)
        mutations = strtol(few, NULL, 10);
    if (argc > 1) {
        for (int i = 1; i < argc; i++) {
            if (replay(argv[i]) < 0) {
                fprintf(stderr, "%s: can't be read\n", argv[i]);
                return 1;
            }
        }
        return 0;
    }
    name = name != NULL ? name + 1 : argv[0];
    if (strncmp(name, "lt-", 3) == 0)
        name += 3; /* Started through libtool's wrapper. */
    if (strncmp(name, "fuzz_", 5) == 0)
        name += 5;
    snprintf(dir, sizeof(dir), "%s/tests/fuzz/corpus/%s", src != NULL ? src : ".", name);
    return replay_dir(dir);
}
