#include "namenode/perm.h"

#include <errno.h>
#include <sys/stat.h>

enum { NOBODY = 65534 };

struct cred cred_of(const Dfs__MetaRequest *req)
{
    struct cred c = {.uid = NOBODY, .gid = NOBODY};

    if (req->cred) {
        c.uid = req->cred->uid;
        c.gid = req->cred->gid;
        c.groups = req->cred->groups;
        c.group_count = req->cred->n_groups;
        c.checked = req->cred->kernel_checked;
    } else if (req->session == 0) {
        c = (struct cred){.checked = true};
    }
    return c;
}

bool perm_is_root(const struct cred *cred)
{
    return cred->checked || cred->uid == 0;
}

bool perm_is_owner(const struct cred *cred, const struct inode_rec *inode)
{
    return perm_is_root(cred) || cred->uid == inode->uid;
}

bool perm_in_group(const struct cred *cred, uint32_t gid)
{
    if (cred->gid == gid)
        return true;
    for (size_t i = 0; i < cred->group_count; i++) {
        if (cred->groups[i] == gid)
            return true;
    }
    return false;
}

int perm_access(const struct cred *cred, const struct inode_rec *inode, unsigned mask)
{
    uint32_t bits = inode->mode;

    if (cred->checked)
        return 0;
    if (cred->uid == 0) {
        /* Root may not run what nobody may run. */
        bool runs = S_ISDIR(inode->mode) || (inode->mode & (S_IXUSR | S_IXGRP | S_IXOTH));

        return (mask & PERM_EXEC) && !runs ? -EACCES : 0;
    }
    if (cred->uid == inode->uid)
        bits >>= 6;
    else if (perm_in_group(cred, inode->gid))
        bits >>= 3;
    return (mask & ~bits & 7) ? -EACCES : 0;
}

int perm_remove(const struct cred *cred, const struct inode_rec *dir,
                const struct inode_rec *victim)
{
    int r = perm_access(cred, dir, PERM_WRITE | PERM_EXEC);

    if (r < 0)
        return r;
    if ((dir->mode & S_ISVTX) && !perm_is_owner(cred, dir) && !perm_is_owner(cred, victim))
        return -EPERM;
    return 0;
}

uint32_t perm_mode_without_setid(const struct cred *cred, const struct inode_rec *inode, bool chown)
{
    uint32_t mode = inode->mode;

    if (S_ISDIR(mode) || (!chown && cred->uid == 0))
        return mode;
    /* S_ISGID without group execute once marked mandatory locking; it is no privilege, and root
     * and members of the group keep it. */
    if (mode & S_IXGRP || !(cred->uid == 0 || perm_in_group(cred, inode->gid)))
        mode &= ~(uint32_t)S_ISGID;
    return mode & ~(uint32_t)S_ISUID;
}
