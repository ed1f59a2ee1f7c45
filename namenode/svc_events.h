/* See svc_events.c. */
#ifndef NAMENODE_SVC_EVENTS_H
#define NAMENODE_SVC_EVENTS_H

struct service;

extern const struct service svc_events;

#endif
