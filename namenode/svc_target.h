/* What operators ask of targets: to drain, undrain and remove them, and maintenance. */
#ifndef NAMENODE_SVC_TARGET_H
#define NAMENODE_SVC_TARGET_H

struct service;

extern const struct service svc_target;

#endif
