/* What a mount counts: for its ioctl, and with -o http=ADDR:PORT as /metrics. */
#ifndef FUSE_COUNTERS_H
#define FUSE_COUNTERS_H

#include "fuse/mount.h"

struct mount_http;

enum { COUNTERS_MAX = 64 };

/* Gives how many were written to out, at most COUNTERS_MAX. */
unsigned counters_get(const struct mount *m, struct ll_counter *out);

/* Serves /metrics and /health on m->conf->http_addr. -errno: see http_new(). */
int mount_http_new(struct mount *m, struct mount_http **ret_http);
/* Before m->ll ends. NULL is fine. */
void mount_http_free(struct mount_http *h);

#endif
