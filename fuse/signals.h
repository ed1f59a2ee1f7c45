/*
 * Which signals end a wait. Pure.
 *
 * The kernel tells of any signal that reaches a process while it waits for us, but not which one it
 * is. On a local disk a timer, a child that ended or a resized window never make open(2) or stat(2)
 * fail, and programs are not prepared for that. So only what is meant to end the program does.
 */
#ifndef FUSE_SIGNALS_H
#define FUSE_SIGNALS_H

#include <stdbool.h>

/*
 * status: the text of /proc/PID/status. True when a signal is pending, and not blocked, that ends
 * the process or asks it to end (SIGINT, SIGTERM, SIGHUP, SIGQUIT: also if it has a handler for it).
 * Text that can't be understood is taken for true: a wait without an end is worse.
 */
bool signals_end(const char *status);

#endif
