/*
 * dfs fsck --files: is each chunk that the metadata names at one of the targets that should have it?
 * After a restore of the metadata those of files that were deleted since are not.
 */
#ifndef SHELL_FSCK_FILES_H
#define SHELL_FSCK_FILES_H

#include <stdbool.h>

#include <jansson.h>

struct admin;
struct client;

/*
 * Walks the tree and tells each file that lacks chunks: on stdout, or with json as a document.
 * report is dfs_report_json()'s. True: every file has all of its chunks. What could not be asked is
 * complained about to c.
 */
bool fsck_files(struct client *c, struct admin *admin, const json_t *report, bool json);

#endif
