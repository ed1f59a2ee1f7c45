/*
 * Is what clients saw of a name space linearizable? That is: could one file system, on one machine,
 * that does one operation at a time, have given each of them these answers, every operation taking
 * effect at some moment between its call and its return?
 *
 *     struct lin_history *h = lin_history_new();
 *     lin_root(h, 17);                                    a directory that is there, and empty
 *     op = lin_call(h, now, &(struct lin_op){.client = 1, .kind = LIN_CREATE, .dir = 17, .name = "a"});
 *     lin_return(h, op, now, &(struct lin_result){.ino = 18});
 *     verdict = lin_check(h, NULL, stdout);
 *     lin_history_free(h);
 *
 * Directories and files are named by inode numbers, as the server is asked, not by paths: what a
 * path leads to may change while it is walked. The numbers mean nothing but "the same one"; each
 * belongs to one inode for ever. An operation without a return is one whose outcome nobody knows: it
 * took effect at any time after its call, or never. Leave out operations that were surely not done
 * (EAGAIN, ENOSPC); what the model (model.h) can't answer with is a violation.
 *
 * A history is used by one thread at a time. Memory that can't be had ends the program.
 */
#ifndef TESTS_LIN_LIN_H
#define TESTS_LIN_LIN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
    LIN_NAME_SIZE = 32,   /* with the NUL; names hold no white space and no '=' */
    LIN_ENTRIES_MAX = 64, /* in one directory */
    /* In what belongs together (see lin_check()): more is LIN_UNDECIDED. */
    LIN_OPS_MAX = 200,
    LIN_INODES_MAX = 256,
};

enum lin_kind {
    LIN_CREATE, /* a file, O_EXCL */
    LIN_MKDIR,
    LIN_LINK,
    LIN_UNLINK,
    LIN_RMDIR,
    LIN_RENAME,
    LIN_LOOKUP,
    LIN_READDIR, /* all of it, in one piece */
};

/* As of renameat2(2). */
enum { LIN_NOREPLACE = 1, LIN_EXCHANGE = 2 };

struct lin_op {
    unsigned client; /* For people. */
    enum lin_kind kind;
    uint64_t dir; /* Never 0. */
    char name[LIN_NAME_SIZE];
    uint64_t to_dir; /* LIN_RENAME */
    char to_name[LIN_NAME_SIZE];
    unsigned flags; /* LIN_RENAME */
    uint64_t ino;   /* LIN_LINK: what gets the name */
};

struct lin_entry {
    char name[LIN_NAME_SIZE];
    uint64_t ino;
    bool is_dir;
};

/* Where error is 0: */
struct lin_result {
    int error; /* an errno, > 0; 0: done */
    /* LOOKUP: which; CREATE, MKDIR: what it is, UNLINK, RMDIR: what had the name, 0: not told */
    uint64_t ino;
    bool is_dir;                     /* LOOKUP */
    const struct lin_entry *entries; /* READDIR, in any order; copied */
    unsigned entry_count;            /* at most LIN_ENTRIES_MAX */
};

struct lin_history;

struct lin_history *lin_history_new(void);
void lin_history_free(struct lin_history *h);

/* A directory that is there, and empty, before the first call, and that nobody moves or removes. */
void lin_root(struct lin_history *h, uint64_t ino);

/*
 * Times are of one clock, in any unit, in any order of the calls. What returns when another is called,
 * at the same time, counts as side by side with it. Gives the number of the operation.
 */
unsigned lin_call(struct lin_history *h, uint64_t time, const struct lin_op *op);
/* Once at most for each operation, time not before its call. */
void lin_return(struct lin_history *h, unsigned op, uint64_t time, const struct lin_result *result);

unsigned lin_op_count(const struct lin_history *h);
unsigned lin_unknown_count(const struct lin_history *h);

/*
 * As text, one event a line, and back; README.md has the format. Reads to the end of the file; may be
 * called for several files of one history, as each client writes its own, in any order.
 * -EINVAL: *ret_line is no event, or a return without its call, or a second one.
 */
void lin_write(const struct lin_history *h, FILE *file);
int lin_read(struct lin_history *h, FILE *file, unsigned *ret_line);

enum lin_verdict {
    LIN_OK,
    LIN_VIOLATION,
    LIN_UNDECIDED, /* too large, or too many states: a failure, unless the caller knows better */
};

/* Deliberate bugs of the checker, to test its tests. */
enum lin_mutant {
    LIN_MUTANT_NONE,
    LIN_MUTANT_NO_REAL_TIME,   /* an operation may take effect before it is called */
    LIN_MUTANT_UNKNOWN_TWICE,  /* what has no return may take effect twice */
    LIN_MUTANT_UNKNOWN_NEVER,  /* what has no return never took effect */
    LIN_MUTANT_UNKNOWN_ALWAYS, /* what has no return took effect before all that is called later */
    LIN_MUTANT_SPLIT_BY_FIRST_DIR,  /* a rename belongs to the directory it takes from only */
    LIN_MUTANT_SPLIT_BY_NAME,       /* inodes don't join directories */
    LIN_MUTANT_MEMO_STATE_ONLY,     /* a state that led nowhere once is not tried again */
    LIN_MUTANT_MEMO_OPS_ONLY,       /* nor is a set of operations */
    LIN_MUTANT_GREEDY_CHANGES,      /* the first change that fits is never taken back */
    LIN_MUTANT_GREEDY_RENAMES,      /* nor is a rename that changes nothing */
    LIN_MUTANT_ANY_INODE,           /* which inode an answer tells is not looked at */
    LIN_MUTANT_READDIR_SUBSET,      /* a listing may lack entries */
    LIN_MUTANT_ANY_ERROR,           /* any error is as good as another */
    LIN_MUTANT_RENAME_KEEPS_SOURCE, /* a bug of the model */
    LIN_MUTANTS
};

struct lin_options {
    uint64_t states_max; /* to be looked at, in one component; 0: 2,000,000 (64 MiB of memory) */
    enum lin_mutant mutant;
};

/*
 * Operations that name no inode in common, not even by way of others, are independent, and are checked
 * apart, as components. options may be NULL. What is wrong goes to report (NULL: nowhere): the
 * component up to the first return that no order explains, in an order that explains the rest.
 */
enum lin_verdict lin_check(const struct lin_history *h, const struct lin_options *options,
                           FILE *report);

#endif
