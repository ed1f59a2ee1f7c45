#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/lin/stories.h"

#define RIGHT LIN_OK
#define WRONG LIN_VIOLATION

const struct story stories[] = {
    /* ---- one after the other ---- */
    {"what was created is found", RIGHT,
     "1 create 1 a\n1 ok 10\n2 lookup 1 a\n2 ok 10\n2 readdir 1\n2 ok a=10\n"},
    {"a lookup from before an unlink", WRONG,
     "1 create 1 a\n1 ok 10\n1 unlink 1 a\n1 ok 10\n2 lookup 1 a\n2 ok 10\n"},
    {"a lookup from before a create", WRONG, "1 create 1 a\n1 ok 10\n2 lookup 1 a\n2 ENOENT\n"},
    {"a create that is lost", WRONG, "1 create 1 a\n1 ok 10\n2 readdir 1\n2 ok\n"},
    {"a name that nobody made", WRONG, "1 create 1 a\n1 ok 10\n2 readdir 1\n2 ok a=10 b=11\n"},
    {"one entry twice instead of two", WRONG,
     "1 create 1 a\n1 ok 10\n1 create 1 b\n1 ok 11\n2 readdir 1\n2 ok a=10 a=10\n"},
    {"another inode under the name", WRONG,
     "1 create 1 a\n1 ok 10\n1 create 1 b\n1 ok 11\n2 lookup 1 a\n2 ok 11\n"},
    {"a file that is a directory", WRONG, "1 create 1 a\n1 ok 10\n2 lookup 1 a\n2 ok 10/\n"},
    {"a number used again", WRONG,
     "1 create 1 a\n1 ok 10\n1 unlink 1 a\n1 ok\n1 create 1 b\n1 ok 10\n"},
    {"what was unlinked comes back", WRONG,
     "1 create 1 a\n1 ok 10\n2 unlink 1 a\n2 ok\n1 lookup 1 a\n1 ENOENT\n1 lookup 1 a\n1 ok 10\n"},
    {"an unlink of another file", WRONG,
     "1 create 1 a\n1 ok 10\n1 create 1 b\n1 ok 11\n2 unlink 1 a\n2 ok 11\n"},
    {"hard links are one inode", RIGHT,
     "1 create 1 a\n1 ok 10\n1 link 10 2 b\n1 ok 10\n1 unlink 1 a\n1 ok 10\n"
     "2 lookup 2 b\n2 ok 10\n2 unlink 2 b\n2 ok 10\n2 link 10 1 c\n2 ENOENT\n"},
    {"a link to what has no link left", WRONG,
     "1 create 1 a\n1 ok 10\n1 unlink 1 a\n1 ok\n2 link 10 1 b\n2 ok 10\n"},
    {"a removed directory stays removed", WRONG,
     "1 mkdir 1 d\n1 ok 10\n1 rmdir 1 d\n1 ok\n2 create 10 a\n2 ok 11\n"},
    {"of a removed directory nothing is known", RIGHT,
     "1 mkdir 1 d\n1 ok 10\n1 rmdir 1 d\n1 ok 10\n2 create 10 a\n2 ENOENT\n2 lookup 10 a\n2 "
     "ESTALE\n"
     "2 readdir 10\n2 ok\n2 readdir 10\n2 ENOENT\n2 rename 1 b 10 c\n2 ESTALE\n"},
    {"a directory that is stale while it is there", WRONG,
     "1 mkdir 1 d\n1 ok 10\n2 lookup 10 a\n2 ESTALE\n"},
    {"a full directory removed", WRONG,
     "1 mkdir 1 d\n1 ok 10\n1 create 10 a\n1 ok 11\n2 rmdir 1 d\n2 ok\n"},
    {"an empty directory that is not", WRONG, "1 mkdir 1 d\n1 ok 10\n2 rmdir 1 d\n2 ENOTEMPTY\n"},
    {"a directory in itself", WRONG,
     "1 mkdir 1 d\n1 ok 10\n1 mkdir 10 e\n1 ok 11\n1 rename 1 d 11 x\n1 ok\n"},
    {"Linux's errors", RIGHT,
     "1 mkdir 1 d\n1 ok 10\n1 create 1 f\n1 ok 11\n1 mkdir 10 e\n1 ok 12\n1 mkdir 1 f\n1 EEXIST\n"
     "1 rmdir 1 f\n1 ENOTDIR\n1 unlink 1 d\n1 EISDIR\n1 rmdir 1 d\n1 ENOTEMPTY\n1 link 10 1 x\n1 "
     "EPERM\n"
     "1 rename 1 f 1 d\n1 EISDIR\n1 rename 1 d 1 f\n1 ENOTDIR\n1 rename 1 d 12 x\n1 EINVAL\n"
     "1 rename 10 e 1 d\n1 ENOTEMPTY\n1 rename 1 d 12 x exchange\n1 ENOENT\n"
     "1 rename 1 f 1 d noreplace\n1 EEXIST\n1 rename 1 x 1 y\n1 ENOENT\n1 create 11 a\n1 ENOTDIR\n"
     "1 rename 1 f 1 d exchange\n1 ok\n1 lookup 1 d\n1 ok 11\n1 lookup 1 f\n1 ok 10/\n"},
    {"another error", WRONG, "1 unlink 1 a\n1 EISDIR\n"},
    {"a taken name renamed over", WRONG,
     "1 create 1 a\n1 ok 10\n1 create 1 b\n1 ok 11\n1 rename 1 a 1 b noreplace\n1 ok\n"},
    {"two names of one file both stay", RIGHT,
     "1 create 1 a\n1 ok 10\n1 link 10 1 b\n1 ok\n1 rename 1 a 1 b\n1 ok\n1 readdir 1\n1 ok a=10 "
     "b=10\n"},
    {"a rename leaves its source", WRONG,
     "1 create 1 a\n1 ok 10\n1 rename 1 a 1 b\n1 ok\n1 readdir 1\n1 ok a=10 b=10\n"},
    {"a rename between directories", RIGHT,
     "1 create 1 a\n1 ok 10\n1 rename 1 a 2 b\n1 ok\n1 readdir 1\n1 ok\n2 readdir 2\n2 ok b=10\n"},
    {"a rename that never arrives", WRONG,
     "1 create 1 a\n1 ok 10\n1 rename 1 a 2 b\n1 ok\n2 readdir 2\n2 ok\n"},

    {"a directory whose number is told later", RIGHT,
     "1 mkdir 1 d\n1 ok\n1 lookup 1 d\n1 ok 10/\n2 create 10 a\n2 ok 11\n2 rmdir 1 d\n2 "
     "ENOTEMPTY\n"},
    {"and told otherwise later still", WRONG,
     "1 mkdir 1 d\n1 ok\n1 lookup 1 d\n1 ok 10/\n2 lookup 1 d\n2 ok 11/\n"},

    /* ---- side by side ---- */
    {"one of two creates wins", RIGHT, "1 create 1 a\n2 create 1 a\n1 EEXIST\n2 ok 10\n"},
    {"two creates win", WRONG, "1 create 1 a\n2 create 1 a\n1 ok 10\n2 ok 11\n"},
    {"no create wins", WRONG, "1 create 1 a\n2 create 1 a\n1 EEXIST\n2 EEXIST\n"},
    {"one of two rmdirs wins", WRONG,
     "1 mkdir 1 d\n1 ok 10\n1 rmdir 1 d\n2 rmdir 1 d\n1 ok\n2 ok\n"},
    {"a lookup beside a create sees it, or not", RIGHT,
     "1 create 1 a\n2 lookup 1 a\n2 ENOENT\n2 lookup 1 a\n2 ok 10\n1 ok 10\n"},
    {"a create that is seen, and then not", WRONG,
     "1 create 1 a\n2 lookup 1 a\n2 ok 10\n2 lookup 1 a\n2 ENOENT\n1 ok 10\n"},
    {"a rename seen halfway: neither name", WRONG,
     "1 create 1 a\n1 ok 10\n1 rename 1 a 1 b\n2 lookup 1 a\n2 ENOENT\n2 lookup 1 b\n2 ENOENT\n1 "
     "ok\n"},
    {"a rename seen halfway: both names", WRONG,
     "1 create 1 a\n1 ok 10\n1 rename 1 a 1 b\n2 lookup 1 b\n2 ok 10\n2 lookup 1 a\n2 ok 10\n1 "
     "ok\n"},
    {"a rename listed halfway: neither name", WRONG,
     "1 create 1 a\n1 ok 10\n1 rename 1 a 1 b\n2 readdir 1\n2 ok\n1 ok\n"},
    {"a rename listed halfway: both names", WRONG,
     "1 create 1 a\n1 ok 10\n1 rename 1 a 1 b\n2 readdir 1\n2 ok a=10 b=10\n1 ok\n"},
    {"an exchange seen halfway", WRONG,
     "1 create 1 a\n1 ok 10\n1 create 1 b\n1 ok 11\n1 rename 1 a 1 b exchange\n2 readdir 1\n"
     "2 ok a=11 b=11\n1 ok\n"},
    {"the name is never free while it is replaced", WRONG,
     "1 create 1 a\n1 ok 10\n1 create 1 b\n1 ok 11\n1 rename 1 a 1 b\n2 lookup 1 b\n2 ENOENT\n1 "
     "ok\n"},
    {"creates are seen in their order", WRONG,
     "3 readdir 1\n1 create 1 a\n1 ok 10\n2 create 1 b\n2 ok 11\n3 ok b=11\n"},
    {"a listing beside two creates", RIGHT,
     "3 readdir 1\n1 create 1 a\n1 ok 10\n2 create 1 b\n2 ok 11\n3 ok a=10\n"},
    {"two listings that contradict each other", WRONG,
     "1 create 1 a\n2 create 1 b\n3 readdir 1\n4 readdir 1\n3 ok a=10\n4 ok b=11\n1 ok 10\n2 ok "
     "11\n"},
    {"an entry that is there all the time is listed", WRONG,
     "1 create 1 a\n1 ok 10\n1 create 1 b\n2 readdir 1\n1 ok 11\n2 ok b=11\n"},
    {"the one that returns first was the second", RIGHT,
     "1 create 1 a\n1 ok 10\n1 create 1 b\n1 ok 11\n1 rename 1 a 1 b\n2 rename 1 b 1 a\n1 ok\n2 "
     "ok\n"
     "1 lookup 1 b\n1 ok 11\n1 lookup 1 a\n1 ENOENT\n"},
    {"the same operations in another order are another state", RIGHT,
     "1 create 1 a\n1 ok 10\n1 create 1 b\n1 ok 11\n1 rename 1 a 1 b\n2 rename 1 b 1 a\n1 ok\n2 "
     "ok\n"
     "1 unlink 1 b\n1 ok 11\n"},
    {"a rename that would change nothing is done later", RIGHT,
     "1 create 1 a\n1 ok 10\n1 link 10 1 b\n1 ok\n1 rename 1 a 1 b\n2 rename 1 b 1 c\n1 ok\n2 ok\n"
     "1 readdir 1\n1 ok b=10 c=10\n"},
    {"renames in a circle", WRONG,
     "1 mkdir 1 d\n1 ok 10\n1 mkdir 1 e\n1 ok 11\n1 rename 1 d 11 x\n2 rename 1 e 10 y\n1 ok\n2 "
     "ok\n"},
    {"a create in a directory that is removed beside it", WRONG,
     "1 mkdir 1 d\n1 ok 10\n1 rmdir 1 d\n2 create 10 a\n1 ok\n2 ok 11\n"},
    {"across directories, by way of a file", WRONG,
     "1 create 1 a\n1 ok 10\n1 link 10 2 b\n2 lookup 2 b\n2 ok 10\n2 unlink 1 a\n2 ok\n2 unlink 2 "
     "b\n2 ok\n"
     "3 link 10 1 c\n1 ok 10\n3 ok 10\n"},
    {"two directories in opposite orders", WRONG,
     "1 create 1 a\n2 create 2 b\n3 lookup 1 a\n3 ok 10\n3 lookup 2 b\n3 ENOENT\n"
     "4 lookup 2 b\n4 ok 11\n4 lookup 1 a\n4 ENOENT\n1 ok 10\n2 ok 11\n1 rename 1 a 2 c\n1 ok\n"},

    /* ---- without an answer ---- */
    {"done before it is known", RIGHT, "1 create 1 a\n2 lookup 1 a\n2 ok 10\n"},
    {"never done", RIGHT, "1 create 1 a\n2 lookup 1 a\n2 ENOENT\n"},
    {"done late", RIGHT,
     "1 create 1 a\n1 ok 10\n1 unlink 1 a\n2 lookup 1 a\n2 ok 10\n2 readdir 1\n2 ok a=10\n"
     "2 lookup 1 a\n2 ENOENT\n"},
    {"done, and undone again", WRONG,
     "1 create 1 a\n2 lookup 1 a\n2 ok 10\n2 lookup 1 a\n2 ENOENT\n"},
    {"done before it was called", WRONG,
     "1 create 1 a\n1 ok 10\n2 lookup 1 a\n2 ENOENT\n1 unlink 1 a\n"},
    {"done twice", WRONG,
     "1 create 1 a\n1 ok 10\n2 unlink 1 a\n1 lookup 1 a\n1 ENOENT\n1 create 1 a\n1 ok 11\n"
     "1 lookup 1 a\n1 ENOENT\n"},
    {"two, each done once", RIGHT,
     "1 create 1 a\n1 ok 10\n2 unlink 1 a\n3 unlink 1 a\n1 lookup 1 a\n1 ENOENT\n1 create 1 a\n1 "
     "ok 11\n"
     "1 lookup 1 a\n1 ENOENT\n"},
    {"a rename done halfway", WRONG,
     "1 create 1 a\n1 ok 10\n2 rename 1 a 2 b\n1 lookup 1 a\n1 ENOENT\n1 lookup 2 b\n1 ENOENT\n"},
    {"one create is one inode", WRONG,
     "1 create 1 a\n2 lookup 1 a\n2 ok 10\n2 lookup 1 a\n2 ok 11\n"},
    {"two creates are two inodes", RIGHT,
     "1 create 1 a\n2 create 1 a\n3 lookup 1 a\n3 ok 10\n3 unlink 1 a\n3 ok 10\n3 lookup 1 a\n3 ok "
     "11\n"},
    {"a directory that only others know of", RIGHT,
     "1 mkdir 1 d\n2 readdir 1\n2 ok d=10/\n2 create 10 a\n2 ok 11\n3 lookup 10 a\n3 ok 11\n"},
    {"a create that finds the name is no second one", WRONG,
     "1 create 1 a\n1 ok 10\n2 create 1 a\n1 lookup 1 a\n1 ok 11\n"},
    {"the inode of another's answer", WRONG,
     "1 create 1 a\n2 create 1 b\n2 ok 10\n3 lookup 1 a\n3 ok 10\n"},
};
const unsigned story_count = sizeof(stories) / sizeof(stories[0]);

enum { CLIENTS = 8, TEXT_SIZE = 8192 };

static const char *next_line(const char *p)
{
    return strchr(p, '\n') + 1;
}

struct lin_history *story_read(const struct story *s)
{
    struct lin_history *h = lin_history_new();
    unsigned number[CLIENTS] = {0}, time = 0, line = 0;
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    fputs("root 1\nroot 2\n", f);
    for (const char *p = s->events; *p; p = next_line(p)) {
        unsigned client = (unsigned)(*p - '0');
        bool answers = isupper((unsigned char)p[2]) || strncmp(p + 2, "ok", 2) == 0;

        fprintf(f, "%s %u %u.%u %.*s", answers ? "ret" : "call", ++time, client, number[client],
                (int)(next_line(p) - p - 2), p + 2);
        number[client] += answers;
    }
    (void)fclose(f);
    f = fmemopen(text, size, "r");
    if (lin_read(h, f, &line) < 0) {
        fprintf(stderr, "%s: event %u can't be read\n", s->name, line);
        abort();
    }
    (void)fclose(f);
    free(text);
    return h;
}
