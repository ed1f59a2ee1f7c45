/* The service of metadata operations. */
#ifndef NAMENODE_SVC_META_H
#define NAMENODE_SVC_META_H

struct service;

extern const struct service svc_meta;

#endif
