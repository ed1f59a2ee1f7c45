/*
 * Who may do what: the permission rules of POSIX and Linux, decided from an inode record and a
 * credential. A credential whose kernel has checked already passes everything here.
 */
#ifndef NAMENODE_PERM_H
#define NAMENODE_PERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "namenode/records.h"
#include "rpc/meta.pb-c.h"

struct cred {
    uint32_t uid, gid;
    const uint32_t *groups;
    size_t group_count;
    bool checked; /* by the client's kernel, or it is the leader's own operation */
};

enum { PERM_EXEC = 1, PERM_WRITE = 2, PERM_READ = 4 };

/* A client's request without a credential is nobody's. groups stay the request's. */
struct cred cred_of(const Dfs__MetaRequest *req);

/* All of mask. -EACCES */
int perm_access(const struct cred *cred, const struct inode_rec *inode, unsigned mask);

/* May an entry of dir that names victim be removed? -EACCES, -EPERM (sticky directory) */
int perm_remove(const struct cred *cred, const struct inode_rec *dir,
                const struct inode_rec *victim);

bool perm_is_root(const struct cred *cred); /* or checked */
bool perm_is_owner(const struct cred *cred, const struct inode_rec *inode);
bool perm_in_group(const struct cred *cred, uint32_t gid);

/* The mode without set-id bits that a write, truncate or chown by cred must not leave behind.
 * chown true: S_ISUID goes even when root does it. */
uint32_t perm_mode_without_setid(const struct cred *cred, const struct inode_rec *inode,
                                 bool chown);

#endif
