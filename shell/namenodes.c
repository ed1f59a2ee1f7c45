/* See namenodes.h. */
#include "shell/namenodes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/error.h"
#include "rpc/frame.h"
#include "shell/admin.h"
#include "shell/command.h"

enum {
    ASK_MS = 2000,
    POLL_MS = 200,
    ELECTION_MS = 10000, /* without a leader for so long: it will not be back by itself */
    TEXT_MAX = 256,
};

static uint64_t now_ms(void)
{
    return clock_monotonic_ns(clock_system()) / CLOCK_NS_PER_MS;
}

/* They are electing a leader, or the change before is not through yet: it will pass. */
static bool passes(int r)
{
    return r == DFS_ENOTLEADER || r == -ECONNREFUSED || r == -ECONNRESET || r == -ETIMEDOUT ||
           r == -EAGAIN;
}

static int ask(struct admin *a, const char *addrs, uint16_t msg, const ProtobufCMessage *request,
               const ProtobufCMessageDescriptor *type, ProtobufCMessage **ret_reply)
{
    uint64_t end_ms = now_ms() + ELECTION_MS;
    int r;

    for (;;) {
        r = admin_call_leader(a, addrs, msg, request, type, ASK_MS, ret_reply);
        if (!passes(r) || now_ms() >= end_ms)
            return r;
        clock_sleep_ms(POLL_MS);
    }
}

int namenodes_report(struct admin *a, const char *addrs, Dfs__ReportReply **ret_report)
{
    Dfs__ReportRequest req = DFS__REPORT_REQUEST__INIT;

    return ask(a, addrs, MSG_REPORT, &req.base, &dfs__report_reply__descriptor,
               (ProtobufCMessage **)ret_report);
}

static int wish(struct admin *a, const char *addrs, uint16_t msg, const ProtobufCMessage *request)
{
    ProtobufCMessage *reply = NULL;
    int r = ask(a, addrs, msg, request, &dfs__empty__descriptor, &reply);

    if (r == 0)
        protobuf_c_message_free_unpacked(reply, NULL);
    return r;
}

static int leader_of(struct admin *a, const char *addrs, uint64_t *ret_id, unsigned *ret_voters)
{
    Dfs__ReportReply *report = NULL;
    int r = namenodes_report(a, addrs, &report);

    if (r < 0)
        return r;
    *ret_id = report->leader_id;
    *ret_voters = 0;
    for (size_t i = 0; i < report->n_namenodes; i++)
        *ret_voters += report->namenodes[i]->voter ? 1 : 0;
    dfs__report_reply__free_unpacked(report, NULL);
    return 0;
}

int namenodes_transfer(struct admin *a, const char *addrs, uint64_t id)
{
    Dfs__TransferRequest req = DFS__TRANSFER_REQUEST__INIT;
    uint64_t before, leader, end_ms;
    unsigned voters;
    int r = leader_of(a, addrs, &before, &voters);

    if (r < 0)
        return r;
    req.to_replica = id;
    r = wish(a, addrs, MSG_TRANSFER, &req.base);
    end_ms = now_ms() + ELECTION_MS;
    leader = before;
    while (r == 0 && leader == before) {
        if (now_ms() >= end_ms)
            return -ETIMEDOUT; /* The other one did not take it: the old leader leads on. */
        r = leader_of(a, addrs, &leader, &voters);
        if (leader == before)
            clock_sleep_ms(POLL_MS / 10);
    }
    return r;
}

int namenodes_change(struct admin *a, const char *addrs, uint64_t id, const char *addr)
{
    Dfs__MemberRequest req = DFS__MEMBER_REQUEST__INIT;
    char text[TEXT_MAX] = "";
    uint64_t leader = 0;
    unsigned voters = 0;
    int r = addr == NULL ? leader_of(a, addrs, &leader, &voters) : 0;

    if (r == 0 && leader == id && voters > 1)
        r = namenodes_transfer(a, addrs, 0);
    if (r < 0)
        return r;
    snprintf(text, sizeof(text), "%s", addr == NULL ? "" : addr);
    req.replica_id = id;
    req.addr = text;
    return wish(a, addrs, MSG_MEMBER, &req.base);
}

const char *namenodes_why(int error)
{
    switch (error) {
    case -EEXIST:
        return "this id is in use, or was: an id is never used again (`dfs namenode list` says "
               "which is free)";
    case -EBUSY:
        return "too few of the others are heard: without this one they would have no majority";
    case -EAGAIN:
        return "another change is under way; try again in a moment";
    case -ENOENT:
        return "the group has no namenode of this id (see `dfs namenode list`)";
    case -ENOTCONN:
        return "it is not heard: the leadership stays";
    case -EACCES:
    case -EPERM:
        return "this needs a certificate of role admin: `dfs pki issue NAME admin`, then name it "
               "in [tls] of the configuration";
    case DFS_ENOTLEADER:
        return "none of the namenodes leads: more than half of them must run";
    default:
        return dfs_strerror(error);
    }
}

/* ---- replace ---- */

static const Dfs__NamenodeInfo *find(const Dfs__ReportReply *report, uint64_t id)
{
    for (size_t i = 0; i < report->n_namenodes; i++)
        if (report->namenodes[i]->replica_id == id)
            return report->namenodes[i];
    return NULL;
}

enum replace_step namenodes_replace_step(const Dfs__ReportReply *report, uint64_t old_id,
                                         uint64_t new_id, const char *addr)
{
    const Dfs__NamenodeInfo *old = find(report, old_id), *new = find(report, new_id);

    if (new != NULL && strcmp(new->addr, addr) != 0)
        return REPLACE_ELSEWHERE;
    if (old == NULL)
        return new == NULL ? REPLACE_NO_OLD : new->voter ? REPLACE_DONE : REPLACE_WAIT;
    if (new == NULL)
        return old->alive && strcmp(old->addr, addr) == 0 ? REPLACE_OCCUPIED : REPLACE_ADD;
    if (!old->alive)
        return REPLACE_REMOVE;
    if (!new->voter || !new->alive)
        return REPLACE_WAIT;
    return report->leader_id == old_id ? REPLACE_TRANSFER : REPLACE_REMOVE;
}

/* How far the new one is. */
static void say_wait(const Dfs__NamenodeInfo *new, char text[TEXT_MAX])
{
    if (new == NULL)
        text[0] = '\0';
    else if (new->problem[0] != '\0')
        snprintf(text, TEXT_MAX, "namenode %" PRIu64 ": %s", new->replica_id, new->problem);
    else if (!new->alive)
        snprintf(text, TEXT_MAX,
                 "namenode %" PRIu64 " is not heard at %s: is dfs-namenode started there, with "
                 "id = %" PRIu64 " and an empty data_dir?",
                 new->replica_id, new->addr, new->replica_id);
    else if (new->needs_snapshot)
        snprintf(text, TEXT_MAX, "namenode %" PRIu64 " fetches the metadata", new->replica_id);
    else
        snprintf(text, TEXT_MAX, "namenode %" PRIu64 " catches up", new->replica_id);
}

static void say_step(enum replace_step step, const Dfs__ReportReply *report, uint64_t old_id,
                     uint64_t new_id, const char *addr, char text[TEXT_MAX])
{
    const Dfs__NamenodeInfo *old = find(report, old_id), *new = find(report, new_id);

    switch (step) {
    case REPLACE_ADD:
        snprintf(text, TEXT_MAX, "adding namenode %" PRIu64 " at %s", new_id, addr);
        break;
    case REPLACE_WAIT:
        say_wait(new, text);
        break;
    case REPLACE_TRANSFER:
        snprintf(text, TEXT_MAX, "namenode %" PRIu64 " leads: it hands over", old_id);
        break;
    case REPLACE_REMOVE:
        snprintf(text, TEXT_MAX, "removing namenode %" PRIu64 "%s", old_id,
                 old == NULL || old->alive ? "" : ", which is not heard any more");
        break;
    case REPLACE_DONE:
        snprintf(text, TEXT_MAX, "namenode %" PRIu64 " has taken the place of %" PRIu64, new_id,
                 old_id);
        break;
    case REPLACE_NO_OLD:
        snprintf(text, TEXT_MAX, "the group has no namenode %" PRIu64 " (see `dfs namenode list`)",
                 old_id);
        break;
    case REPLACE_ELSEWHERE:
        snprintf(text, TEXT_MAX, "namenode %" PRIu64 " is a member already, at %s", new_id,
                 new == NULL ? addr : new->addr);
        break;
    case REPLACE_OCCUPIED:
        snprintf(text, TEXT_MAX,
                 "namenode %" PRIu64 " was heard at %s a moment ago: waiting until it is stopped "
                 "there",
                 old_id, addr);
        break;
    }
}

/* True when there is nothing left to do; *r says how it ended. */
static bool do_step(struct admin *a, const char *addrs, enum replace_step step, uint64_t old_id,
                    uint64_t new_id, const char *addr, int *r)
{
    switch (step) {
    case REPLACE_ADD:
        *r = namenodes_change(a, addrs, new_id, addr);
        break;
    case REPLACE_WAIT:
    case REPLACE_OCCUPIED:
        clock_sleep_ms(POLL_MS);
        *r = 0;
        break;
    case REPLACE_TRANSFER:
        *r = namenodes_transfer(a, addrs, new_id);
        break;
    case REPLACE_REMOVE:
        *r = namenodes_change(a, addrs, old_id, NULL);
        break;
    case REPLACE_DONE:
        *r = 0;
        return true;
    case REPLACE_NO_OLD:
    case REPLACE_ELSEWHERE:
        *r = -EINVAL;
        return true;
    }
    return *r < 0 && !passes(*r);
}

int namenodes_replace(struct admin *a, const char *addrs, uint64_t old_id, uint64_t new_id,
                      const char *addr)
{
    char text[TEXT_MAX], said[TEXT_MAX] = "";
    bool is_over = false;
    int r = 0;

    while (!is_over) {
        Dfs__ReportReply *report = NULL;
        enum replace_step step;

        r = namenodes_report(a, addrs, &report);
        if (r < 0)
            break;
        step = namenodes_replace_step(report, old_id, new_id, addr);
        say_step(step, report, old_id, new_id, addr, text);
        dfs__report_reply__free_unpacked(report, NULL);
        if (step == REPLACE_NO_OLD || step == REPLACE_ELSEWHERE) {
            fprintf(stderr, "dfs namenode: %s\n", text);
            return EXIT_FAILED;
        }
        if (strcmp(text, said) != 0) {
            puts(text);
            (void)fflush(stdout);
            memcpy(said, text, sizeof(said));
        }
        is_over = do_step(a, addrs, step, old_id, new_id, addr, &r);
    }
    if (r == 0)
        return EXIT_OK;
    fprintf(stderr, "dfs namenode: %s; the same command goes on where it was\n", namenodes_why(r));
    return passes(r) ? EXIT_UNREACHED : EXIT_FAILED;
}
