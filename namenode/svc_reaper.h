/* Takes apart what is not needed any more: unlinked inodes, and the chunks in the garbage queues.
 */
#ifndef NAMENODE_SVC_REAPER_H
#define NAMENODE_SVC_REAPER_H

#include <stdint.h>

struct service;
struct services;
struct svc_reaper;

extern const struct service svc_reaper;

struct svc_reaper *svc_reaper_of(struct services *all);

#endif
