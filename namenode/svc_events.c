/* Hands what a batch changed to the services that keep leader memory of it. First of the services,
 * so that the others miss nothing; last to stop. */
#include "namenode/svc_events.h"

#include <stdlib.h>

#include "common/mem.h"
#include "namenode/fsm.h"
#include "namenode/node.h"
#include "namenode/service.h"
#include "namenode/svc_datanode.h"
#include "namenode/svc_reaper.h"
#include "namenode/svc_session.h"

struct svc_events {
    struct services *all;
};

static void on_event(void *ctx, const struct fsm_event *event)
{
    struct svc_events *s = ctx;

    svc_session_event(svc_session_of(s->all), event);
    svc_datanode_event(svc_datanode_of(s->all), event);
    svc_reaper_event(svc_reaper_of(s->all), event);
}

static int start(struct services *all, void **ret_self)
{
    struct svc_events *s = MEM_NEW(struct svc_events);

    s->all = all;
    *ret_self = s;
    return 0;
}

static void stop(void *self)
{
    free(self);
}

static void serving(void *self, uint64_t term)
{
    struct svc_events *s = self;

    (void)term;
    fsm_set_events(node_fsm(services_node(s->all)), on_event, s);
}

static void stopped(void *self)
{
    struct svc_events *s = self;

    fsm_set_events(node_fsm(services_node(s->all)), NULL, NULL);
}

const struct service svc_events = {
    .name = "events",
    .start = start,
    .stop = stop,
    .serving = serving,
    .stopped = stopped,
};
