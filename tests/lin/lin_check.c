/*
 * lin_check FILE...: is the history in these files, taken together, linearizable? "-" is the standard
 * input. 0 yes, 1 no, 2 can't be said, 3 the files can't be read.
 */
#include <errno.h>
#include <string.h>

#include "tests/lin/lin.h"

static int read_file(struct lin_history *h, const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    unsigned line = 0;
    int r = file ? lin_read(h, file, &line) : -errno;

    if (r < 0)
        fprintf(stderr, "lin_check: %s:%u: %s\n", path, line, strerror(-r));
    if (file && file != stdin)
        fclose(file);
    return r;
}

int main(int argc, char **argv)
{
    struct lin_history *h = lin_history_new();
    enum lin_verdict verdict;

    for (int i = 1; i < argc; i++)
        if (read_file(h, argv[i]) < 0)
            return 3;
    verdict = lin_check(h, NULL, stdout);
    printf("%u operations, %u without an answer: %s\n", lin_op_count(h), lin_unknown_count(h),
           verdict == LIN_OK          ? "linearizable"
           : verdict == LIN_VIOLATION ? "NOT linearizable"
                                      : "undecided");
    lin_history_free(h);
    return verdict == LIN_OK ? 0 : verdict == LIN_VIOLATION ? 1 : 2;
}
