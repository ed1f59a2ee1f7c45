/* The kinds of findings, in words. */
#include "namenode/fsck.h"

static const struct fsck_words words[FSCK_KIND_COUNT] = {
    [FSCK_UNREADABLE] =
        {"unreadable",
         "A metadata record is damaged, although its bytes are those that were written.",
         "Nothing. When only one namenode has it: stop it, remove db-* from its directory and "
         "start it, and it "
         "fetches the metadata from the others. Else restore a backup."},
    [FSCK_DANGLING_ENTRY] = {"dangling-entry",
                             "A name leads to nothing: what it named is not there any more.",
                             "The name is removed."},
    [FSCK_ENTRY_TYPE] = {"entry-type", "A listing shows the wrong type for this name.",
                         "The entry gets the type of what it names."},
    [FSCK_STRAY_ENTRY] =
        {"stray-entry", "The directory of this name is not there: nobody can reach it.",
         "What it names is put into /lost+found; when that is not there, the name is "
         "removed."},
    [FSCK_SECOND_NAME] = {"second-name", "A directory has more than one name.",
                          "This name is removed, the directory keeps the other."},
    [FSCK_LOOP] = {"loop", "Directories lie in each other: nobody can reach them.",
                   "One of them is put into /lost+found, with the others below it."},
    [FSCK_NO_NAME] = {"no-name",
                      "A file or directory has no name: nobody can reach it, and it takes room.",
                      "It is put into /lost+found, as # and its number."},
    [FSCK_NLINK] = {"link-count",
                    "The number of links is wrong: it might be deleted too early, or never.",
                    "The number is corrected."},
    [FSCK_ENTRY_COUNT] =
        {"entry-count",
         "A directory counts wrong: rmdir would refuse it when it is empty, or take it "
         "when it is not.",
         "The number is corrected."},
    [FSCK_PARENT] = {"parent", "A directory leads up (..) to one that it is not in.",
                     "It is made to lead to the one that has its name."},
    [FSCK_HOME] = {"home", "A file is counted in a directory that it is not in.",
                   "It is counted where it has a name."},
    [FSCK_NOT_QUEUED] = {"not-queued", "A deleted file would keep its room for ever.",
                         "It is given to the reaper, which deletes it."},
    [FSCK_QUEUED] = {"queued", "A file that is in use, or is not there, is about to be deleted.",
                     "It is taken from the reaper."},
    [FSCK_STRAY_RECORD] = {"stray-record", "A record belongs to nothing.",
                           "The record is removed."},
    [FSCK_NO_CONTENT] = {"no-content", "The content that the metadata hold is lost.",
                         "Nothing: take the file from a backup, and delete this one."},
    [FSCK_XATTR_BYTES] = {"xattr-bytes", "The size of the extended attributes is counted wrong.",
                          "The number is corrected."},
    [FSCK_LINKS] = {"link-place", "It is counted wrong in which directories a file has its names.",
                    "The number is corrected."},
    [FSCK_STRAY_MAP] = {"stray-chunks",
                        "Chunks belong to a file that is not there: they take room.",
                        "They are deleted at the datanodes."},
    [FSCK_CHUNK_COUNT] = {"chunk-count", "The number of a file's chunks is wrong.",
                          "The number is corrected."},
    [FSCK_NO_OWNER] = {"owner", "A placement group does not know whose this chunk is.",
                       "It is told; were the chunk to be deleted, that is called off."},
    [FSCK_STRAY_OWNER] = {"stray-owner", "A chunk is in no file: it takes room.",
                          "It is deleted at the datanodes."},
    [FSCK_CROSSED_CHUNK] =
        {"crossed-chunk", "Two files have the same chunk: writing to one changes the other.",
         "Nothing: copy both files, compare them with a backup, and delete these."},
    [FSCK_DELETED_CHUNK] = {"deleted-chunk", "A chunk of a file is about to be deleted.",
                            "Its deletion is called off."},
    [FSCK_NO_PG] = {"no-group", "Content of a file is where nobody knows to look: reads fail.",
                    "Nothing: take the file from a backup."},
    [FSCK_USAGE] = {"usage", "What lies below a directory is counted wrong: du and quotas show it.",
                    "The numbers are corrected."},
    [FSCK_STATE] = {"total", "A total of the file system is counted wrong: df and report show it.",
                    "The number is corrected."},
    [FSCK_NEXT_ID] = {"next-id", "A number that is in use would be given out again.",
                      "The next number is made a higher one."},
};

const struct fsck_words *fsck_words(enum fsck_kind kind)
{
    return &words[kind];
}
