/*
 * Codes of our own, beside errno: functions return 0 or one of these or -errno. They travel in the
 * Error message, so they are never renumbered; they never leave libdfs.
 */
#ifndef COMMON_ERROR_H
#define COMMON_ERROR_H

#include <stdbool.h>

enum dfs_error {
    DFS_ENOTLEADER = -1000,       /* this namenode does not lead; the Error may name who does */
    DFS_ESTALE_EPOCH = -1001,     /* the sender's PG epoch is older than ours */
    DFS_ENOTHEAD = -1002,         /* this target is not the head (or not a serving member) */
    DFS_EFENCED = -1003,          /* the session was fenced: it may not write any more */
    DFS_ESTALE_SESSION = -1004,   /* the session is not known or was ended */
    DFS_EBADBLOCK = -1005,        /* this copy of a block fails its CRC: read another copy */
    DFS_ECOLD = -1006,            /* a cold start of the PG may have lost unsynced data */
    DFS_EDIRTY = -1007,           /* the chunk is being synced here: ask another member */
    DFS_EPROTO = -1008,           /* the other side broke the protocol */
    DFS_ECLOSED = -1009,          /* the connection or the service is shutting down */
    DFS_EUNKNOWN_OUTCOME = -1010, /* it may or may not have been done; ask again with the same id */
    DFS_ENOCHUNK = -1011,         /* no such chunk on this target */
    DFS_EBUSY_WINDOW = -1012,     /* the window is full (dedup, unstable, queue): try again */
};

/*
 * What a code says to a human, for -errno and DFS_E* alike (the sign does not matter for errno);
 * "success" for 0. Static storage, any thread.
 */
const char *dfs_strerror(int code);

/* True for our own codes, which must be translated before they reach an application. */
bool dfs_error_is_own(int code);

#endif
