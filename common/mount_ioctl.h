/* What the shell asks of a mount through ioctl(2) on its root directory (or anything in it). */
#ifndef COMMON_MOUNT_IOCTL_H
#define COMMON_MOUNT_IOCTL_H

#include <sys/ioctl.h>

enum { MOUNT_COUNTERS_MAX = 4000 };

/* Lines "name value\n", NUL-terminated: what this mount has done since it was mounted. */
struct mount_counters {
    char text[MOUNT_COUNTERS_MAX];
};

/* Everything written through this mount is on stable storage of all replicas. */
#define MOUNT_IOC_SYNC _IO('D', 1)
#define MOUNT_IOC_COUNTERS _IOR('D', 2, struct mount_counters)

#endif
