/* The service that tells clients where chunks live. */
#ifndef NAMENODE_SVC_MAP_H
#define NAMENODE_SVC_MAP_H

struct service;

extern const struct service svc_map;

#endif
