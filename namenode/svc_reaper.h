/* Takes apart what is not needed any more: unlinked inodes, and the chunks in the garbage queues.
 */
#ifndef NAMENODE_SVC_REAPER_H
#define NAMENODE_SVC_REAPER_H

#include <stdint.h>

struct fsm_event;
struct service;
struct services;
struct svc_reaper;

extern const struct service svc_reaper;

struct svc_reaper *svc_reaper_of(struct services *all);
void svc_reaper_event(struct svc_reaper *s, const struct fsm_event *event);

#endif
