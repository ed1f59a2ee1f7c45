/* See svc_report.c. */
#ifndef NAMENODE_SVC_REPORT_H
#define NAMENODE_SVC_REPORT_H

struct service;

extern const struct service svc_report;

#endif
