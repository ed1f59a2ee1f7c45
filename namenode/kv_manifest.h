/*
 * The tail of RocksDB's MANIFEST after a power failure.
 *
 * RocksDB appends what changes in its set of files to one file, and syncs it. When it opens, it takes
 * a last record that is too short for one that was on its way; but a torn one, as long as it should
 * be with some sectors of it missing, for damage of the whole store. Three namenodes that lose their
 * power while they flush would so lose everything.
 *
 * The change was not synced, so nobody relies on it: without it the store is the one before. What
 * does not look torn, a sector of zeros where the end of the file should be, is left alone: it is
 * damage.
 */
#ifndef NAMENODE_KV_MANIFEST_H
#define NAMENODE_KV_MANIFEST_H

/*
 * Cuts the MANIFEST of the store in dir, which is closed, behind its last whole record. The bytes as
 * they were stay in dir/TORN.
 * 1         it was cut
 * 0         all its records are whole
 * -EBADMSG  there is none, or it is damaged and not torn: nothing was changed
 * -errno    of the disk
 */
int kv_manifest_cut(const char *dir);

#endif
