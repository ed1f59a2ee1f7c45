#include "namenode/fsm_copies.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "namenode/fsm.h"

bool copies_is_xattr(const struct tx *tx, ProtobufCBinaryData name)
{
    return tx->state.format >= FSM_FORMAT_COPIES && fsm_is_copies_xattr(name);
}

static bool has_copies(uint32_t mode)
{
    return S_ISREG(mode) || S_ISDIR(mode);
}

int copies_set(const struct cred *cred, struct inode_rec *inode, const ProtobufCBinaryData *value)
{
    /* The kernel of a mount has checked that the file may be written, which is not enough. */
    if (!has_copies(inode->mode) || (cred->uid != 0 && cred->uid != inode->uid))
        return -EPERM;
    if (!value) {
        inode->copies = 0;
        return 0;
    }
    if (value->len != 1 || value->data[0] < '1' || value->data[0] > '0' + COPIES_MAX)
        return -EINVAL;
    inode->copies = (uint8_t)(value->data[0] - '0');
    return 0;
}

int copies_get(struct tx *tx, const struct inode_rec *inode, uint8_t *ret_digit)
{
    struct cluster_rec cluster;
    struct kv_value v;
    struct key k;
    int r;

    if (!has_copies(inode->mode))
        return -ENODATA;
    if (inode->copies != 0) {
        *ret_digit = (uint8_t)('0' + inode->copies);
        return 0;
    }
    key_cluster(&k);
    r = tx_get(tx, &k, &v);
    if (r < 0)
        return tx_fail(tx, r == -ENOENT ? -EBADMSG : r);
    r = cluster_rec_decode(v.data, v.len, &cluster);
    tx_value_done(tx, &v);
    if (r < 0)
        return tx_fail(tx, r);
    *ret_digit = (uint8_t)('0' + cluster.copies);
    return 0;
}

uint8_t copies_inherited(const struct inode_rec *dir, uint32_t type)
{
    return has_copies(type) ? dir->copies : 0;
}
