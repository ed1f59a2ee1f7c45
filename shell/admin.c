/* See admin.h. A loop of its own runs until the answer is there. */
#include "shell/admin.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/args.h"
#include "common/compiler.h"
#include "common/conf.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/slab.h"
#include "common/strutil.h"
#include "rpc/conn.h"
#include "rpc/msg.h"
#include "rpc/node.pb-c.h"
#include "rpc/tls.h"
#include "shell/client.h"
#include "shell/command.h"

enum { PROBLEM_MAX = 256 };

/* A server that was asked before: the next question goes over the same connection. */
struct admin_peer {
    struct admin_peer *next;
    char addr[ADDR_TEXT_MAX];
    struct conn *conn;
};

struct admin {
    struct loop *loop;
    struct slab_pool *slabs;
    struct tls *tls;
    struct admin_peer *peers;
    char text[RPC_ERROR_TEXT_MAX]; /* of the last answer that was an error; "": none */
    char leader[ADDR_TEXT_MAX];    /* where the last one that does not lead says that it is */
};

struct question {
    struct admin *admin;
    bool done;
    int status;
    const ProtobufCMessageDescriptor *type;
    ProtobufCMessage *reply;
    char text[RPC_ERROR_TEXT_MAX];
    admin_data_fn data; /* may be NULL */
    void *data_ctx;
};

int admin_new(const char *ca, const char *cert, const char *key, struct admin **ret_admin)
{
    struct admin *a = MEM_NEW(struct admin);
    char text[PROBLEM_MAX] = "";
    int r = loop_new(&a->loop);

    if (r == 0 && ca != NULL)
        r = tls_new(ca, cert, key, &a->tls, text, sizeof(text));
    if (r < 0) {
        fprintf(stderr, "dfs: %s\n", text[0] != '\0' ? text : dfs_strerror(r));
        loop_free(a->loop);
        free(a);
        return r;
    }
    a->slabs = slab_pool_new(0);
    *ret_admin = a;
    return 0;
}

void admin_free(struct admin *a)
{
    if (a == NULL)
        return;
    while (a->peers != NULL) {
        struct admin_peer *p = a->peers;

        a->peers = p->next;
        conn_free(p->conn);
        free(p);
    }
    loop_run_once(a->loop, false);
    slab_pool_free(a->slabs);
    loop_free(a->loop);
    tls_free(a->tls);
    free(a);
}

static void on_request(void *ctx, struct conn *c, const struct rpc_frame *f)
{
    (void)ctx;
    conn_reply_error(c, f->header.type, f->header.rpc_id, DFS_EPROTO, "a client answers nothing");
}

/* A waiting call hears of it too; the connection is replaced at the next question. */
static void on_closed(void *ctx, struct conn *c, int reason)
{
    (void)ctx, (void)c, (void)reason;
}

static int peer_open(struct admin *a, const char *addr, struct admin_peer **ret_peer)
{
    const struct conn_handlers h = {.on_request = on_request, .on_closed = on_closed};
    struct admin_peer *p = a->peers;
    struct conn *c;
    int r;

    while (p != NULL && strcmp(p->addr, addr) != 0)
        p = p->next;
    if (p != NULL && !conn_is_closed(p->conn)) {
        *ret_peer = p;
        return 0;
    }
    if (strlen(addr) >= sizeof(p->addr))
        return -EINVAL;
    r = conn_connect(a->loop, a->slabs, addr, a->tls, &h, &c);
    if (r < 0)
        return r;
    if (p == NULL) {
        p = MEM_NEW(struct admin_peer);
        memcpy(p->addr, addr, strlen(addr) + 1);
        p->next = a->peers;
        a->peers = p;
    } else {
        conn_free(p->conn);
    }
    p->conn = c;
    *ret_peer = p;
    return 0;
}

static void note_leader(struct admin *a, const struct rpc_frame *f)
{
    Dfs__Error *e = dfs__error__unpack(NULL, f->header.body_len, f->body);

    if (e != NULL)
        snprintf(a->leader, sizeof(a->leader), "%s", e->leader_addr);
    dfs__error__free_unpacked(e, NULL);
}

static void answered(void *ctx, int status, const struct rpc_frame *f)
{
    struct question *q = ctx;

    q->done = true;
    q->status = status;
    if (status == DFS_ENOTLEADER && f != NULL)
        note_leader(q->admin, f);
    if (status < 0) {
        (void)rpc_error_text(f, q->text);
        return;
    }
    q->reply = protobuf_c_message_unpack(q->type, NULL, f->header.body_len, f->body);
    if (q->reply == NULL)
        q->status = DFS_EPROTO;
    else if (q->data != NULL)
        q->status = q->data(q->data_ctx, q->reply, f->data_bytes, f->header.data_len);
}

static int put(struct admin *a, const char *addr, uint16_t msg, const ProtobufCMessage *request,
               unsigned timeout_ms, struct question *q)
{
    struct admin_peer *peer;
    int r = peer_open(a, addr, &peer);

    a->text[0] = '\0';
    if (r < 0)
        return r;
    conn_call(peer->conn, msg, request, NULL, timeout_ms, answered, q);
    while (!q->done)
        loop_run_once(a->loop, true);
    /* What answers late, or not at all, is not asked again on the same connection. */
    if (q->status < 0 && !conn_is_closed(peer->conn))
        conn_close(peer->conn, -ECANCELED);
    (void)snprintf(a->text, sizeof(a->text), "%s", q->text);
    return q->status;
}

int admin_call(struct admin *a, const char *addr, uint16_t msg, const ProtobufCMessage *request,
               const ProtobufCMessageDescriptor *type, unsigned timeout_ms,
               ProtobufCMessage **ret_reply)
{
    struct question q = {.admin = a, .type = type};
    int r = put(a, addr, msg, request, timeout_ms, &q);

    if (r == 0)
        *ret_reply = q.reply;
    return r;
}

int admin_call_data(struct admin *a, const char *addr, uint16_t msg,
                    const ProtobufCMessage *request, const ProtobufCMessageDescriptor *type,
                    unsigned timeout_ms, admin_data_fn data, void *ctx)
{
    struct question q = {.admin = a, .type = type, .data = data, .data_ctx = ctx};
    int r = put(a, addr, msg, request, timeout_ms, &q);

    if (q.reply != NULL)
        protobuf_c_message_free_unpacked(q.reply, NULL);
    return r;
}

const char *admin_error_text(const struct admin *a)
{
    return a->text;
}

/* How much an error says: that one is dead says least, and what the leader answered most. */
static int weight(int r)
{
    return r == 0 ? 0 : r == -ECONNREFUSED ? 1 : r == DFS_ENOTLEADER ? 2 : 3;
}

int admin_call_leader(struct admin *a, const char *addrs, uint16_t msg,
                      const ProtobufCMessage *request, const ProtobufCMessageDescriptor *type,
                      unsigned timeout_ms, ProtobufCMessage **ret_reply)
{
    char *copy = mem_strdup(addrs), *save = NULL, hint[ADDR_TEXT_MAX];
    char best_text[RPC_ERROR_TEXT_MAX] = "";
    int r = -EINVAL, best = 0;

    a->leader[0] = '\0';
    for (char *one = strtok_r(copy, ", ", &save); one != NULL; one = strtok_r(NULL, ", ", &save)) {
        r = admin_call(a, one, msg, request, type, timeout_ms, ret_reply);
        if (r == 0)
            break;
        if (weight(r) > weight(best)) {
            best = r;
            memcpy(best_text, a->text, sizeof(best_text));
        }
    }
    free(copy);
    /* It may be one that joined since the addresses were written down. */
    if (r < 0 && a->leader[0] != '\0' && strstr(addrs, a->leader) == NULL) {
        memcpy(hint, a->leader, sizeof(hint));
        r = admin_call(a, hint, msg, request, type, timeout_ms, ret_reply);
        if (weight(r) > weight(best)) {
            best = r;
            memcpy(best_text, a->text, sizeof(best_text));
        }
    }
    memcpy(a->text, best_text, sizeof(best_text));
    return r == 0 || best == 0 ? r : best;
}

/* The namenodes of the configuration, each with its port; NULL and why. malloc'ed. */
static char *namenodes_of(const struct client *c, struct conf *conf, int conf_error,
                          char why[ADMIN_WHY_MAX])
{
    const char *given = c->options.namenodes;
    char problem[160], *addrs;

    if (given == NULL && conf != NULL)
        given = conf_str(conf, "client", "namenodes", NULL);
    if (given == NULL) {
        (void)snprintf(why, ADMIN_WHY_MAX,
                       "%s: %s; --config or --namenodes say where the cluster is",
                       client_config_path(c),
                       conf_error < 0 ? dfs_strerror(conf_error) : "names no namenodes");
        return NULL;
    }
    addrs = str_full_addrs(given, NAMENODE_PORT, NAMENODE_ADDRS_MAX, problem, sizeof(problem));
    if (addrs == NULL)
        (void)snprintf(why, ADMIN_WHY_MAX, "the addresses of the namenodes: %s", problem);
    return addrs;
}

static void explain(const struct admin *a, int r, char why[ADMIN_WHY_MAX])
{
    if (r == -EACCES || r == -EPERM)
        (void)snprintf(why, ADMIN_WHY_MAX,
                       "this needs a certificate of role admin: `dfs pki issue NAME admin`, then "
                       "name it in [tls] of the configuration");
    else if (r == DFS_ENOTLEADER)
        (void)snprintf(why, ADMIN_WHY_MAX, "none of the namenodes leads at the moment");
    else
        (void)snprintf(why, ADMIN_WHY_MAX, "%s", a->text[0] != '\0' ? a->text : dfs_strerror(r));
}

int admin_open(const struct client *c, struct admin **ret_admin, char **ret_addrs,
               char why[ADMIN_WHY_MAX])
{
    CLEANUP(conf) struct conf *conf = NULL;
    int r = conf_load(client_config_path(c), &conf);
    char *addrs = namenodes_of(c, conf, r, why);

    if (addrs == NULL)
        return -EDESTADDRREQ;
    r = conf == NULL ? admin_new(NULL, NULL, NULL, ret_admin)
                     : admin_new(conf_file(conf, "tls", "ca"), conf_file(conf, "tls", "cert"),
                                 conf_file(conf, "tls", "key"), ret_admin);
    if (r < 0) {
        (void)snprintf(why, ADMIN_WHY_MAX, "the certificates cannot be used");
        free(addrs);
        return r;
    }
    *ret_addrs = addrs;
    return 0;
}

int admin_ask(const struct client *c, uint16_t msg, const ProtobufCMessage *request,
              const ProtobufCMessageDescriptor *type, unsigned timeout_ms,
              ProtobufCMessage **ret_reply, char why[ADMIN_WHY_MAX])
{
    struct admin *a = NULL;
    char *addrs = NULL;
    int r = admin_open(c, &a, &addrs, why);

    if (r < 0)
        return r;
    r = admin_call_leader(a, addrs, msg, request, type, timeout_ms, ret_reply);
    if (r < 0)
        explain(a, r, why);
    admin_free(a);
    free(addrs);
    return r;
}

int admin_exit_code(int r)
{
    return r == -ECONNREFUSED || r == -ETIMEDOUT || r == -EDESTADDRREQ ? EXIT_UNREACHED
                                                                       : EXIT_FAILED;
}
