#include "common/error.h"

#include <string.h>

#include "common/compiler.h"

static const char *own_text(enum dfs_error code)
{
    switch (code) {
    case DFS_ENOTLEADER:
        return "this namenode is not the leader";
    case DFS_ESTALE_EPOCH:
        return "the placement group has moved to a newer epoch";
    case DFS_ENOTHEAD:
        return "not the head or not a serving member of the chain";
    case DFS_EFENCED:
        return "the session is fenced";
    case DFS_ESTALE_SESSION:
        return "the session is unknown or ended";
    case DFS_EBADBLOCK:
        return "a block failed its checksum";
    case DFS_ECOLD:
        return "data that was not synced may be lost: the placement group was started cold";
    case DFS_EDIRTY:
        return "the chunk is being synced";
    case DFS_EPROTO:
        return "the peer broke the protocol";
    case DFS_ECLOSED:
        return "the connection is closed";
    case DFS_EUNKNOWN_OUTCOME:
        return "it is not known whether the operation was done";
    case DFS_ENOCHUNK:
        return "no such chunk on this target";
    case DFS_EBUSY_WINDOW:
        return "the window is full";
    }
    return NULL;
}

bool dfs_error_is_own(int code)
{
    return own_text((enum dfs_error)code) != NULL;
}

const char *dfs_strerror(int code)
{
    const char *text;

    if (code == 0)
        return "success";
    text = own_text((enum dfs_error)code);
    if (text != NULL)
        return text;
    /* Unlike strerror() this has no buffer of the process behind it. */
    if (code > -4096 && code < 4096)
        text = strerrordesc_np(code < 0 ? -code : code);
    return text != NULL ? text : "unknown error";
}
