/* dfs namenode: who is in the group of namenodes, and which of them leads. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/args.h"
#include "common/compiler.h"
#include "common/conf.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/strutil.h"
#include "rpc/frame.h"
#include "rpc/node.pb-c.h"
#include "shell/admin.h"
#include "shell/client.h"
#include "shell/command.h"

enum { ASK_MS = 5000 };

static const struct arg_option options[] = {
    CLIENT_OPTIONS,
    {0},
};
static const struct args_spec spec = {
    .program = "dfs namenode",
    .usage = "add ID@HOST[:PORT] [OPTION]...\nremove ID [OPTION]...\nlead [ID] [OPTION]...",
    .about =
        "add: another namenode joins the group, under an id that none ever had; it votes once it\n"
        "has caught up. remove: it leaves the group for good, also one that is dead. lead: hands\n"
        "the leadership to ID, or to the one that is most up to date. All three need a\n"
        "certificate of role admin (`dfs pki issue NAME admin`).",
    .options = options,
    .rest_min = 1,
    .rest_max = 2,
};

/* What is asked, as it goes to the leader. */
struct wish {
    uint16_t type;
    Dfs__MemberRequest member;
    Dfs__TransferRequest transfer;
    char *addr; /* of the new one */
};

static int take_id(char *text, uint64_t *ret_id)
{
    if (str_parse_u64(text, ret_id) < 0 || *ret_id == 0)
        return args_usage_error(&spec, "'%s' is not the id of a namenode", text);
    return EXIT_OK;
}

static int take_add(char *text, struct wish *w)
{
    char *at = strchr(text, '@');

    w->addr = at == NULL ? NULL : str_full_addr(at + 1, NAMENODE_PORT);
    if (w->addr == NULL)
        return args_usage_error(&spec, "'%s' is not of the form ID@HOST[:PORT]", text);
    *at = '\0';
    w->member.addr = w->addr;
    return take_id(text, &w->member.replica_id);
}

static int take_wish(const struct args *a, struct wish *w)
{
    char *verb = a->rest[0], *what = a->rest_count > 1 ? a->rest[1] : NULL;

    dfs__member_request__init(&w->member);
    dfs__transfer_request__init(&w->transfer);
    w->type = MSG_MEMBER;
    if (strcmp(verb, "add") == 0 && what != NULL)
        return take_add(what, w);
    if (strcmp(verb, "remove") == 0 && what != NULL)
        return take_id(what, &w->member.replica_id);
    if (strcmp(verb, "lead") == 0) {
        w->type = MSG_TRANSFER;
        return what == NULL ? EXIT_OK : take_id(what, &w->transfer.to_replica);
    }
    return args_usage_error(&spec, "expected `add ID@HOST[:PORT]`, `remove ID` or `lead [ID]`");
}

static const char *why(const struct wish *w, int r)
{
    if (r == -EEXIST)
        return "this id is in use, or was: an id is never used again, take a higher one";
    if (r == -EAGAIN)
        return "another change is under way; try again in a moment";
    if (r == -ENOENT)
        return "the group has no namenode of this id (see `dfs report`)";
    if (r == -EINVAL && w->type == MSG_MEMBER)
        return "the last namenode that votes has to stay";
    if (r == -EINVAL)
        return "it leads already, or does not vote";
    if (r == -EACCES || r == -EPERM)
        return "this needs a certificate of role admin: `dfs pki issue NAME admin`, then name it "
               "in [tls] of the configuration";
    if (r == DFS_ENOTLEADER)
        return "none of the namenodes leads at the moment";
    return dfs_strerror(r);
}

static int run(struct client *c, const struct wish *w)
{
    CLEANUP(conf) struct conf *conf = NULL;
    struct admin *admin = NULL;
    ProtobufCMessage *reply = NULL;
    const char *given = c->options.namenodes;
    char *addrs;
    char problem[160];
    int r = conf_load(client_config_path(c), &conf);

    if (given == NULL && conf != NULL)
        given = conf_str(conf, "client", "namenodes", NULL);
    if (given == NULL) {
        fprintf(stderr, "dfs namenode: %s: %s; --config or --namenodes say where the cluster is\n",
                client_config_path(c), r < 0 ? dfs_strerror(r) : "names no namenodes");
        return EXIT_UNREACHED;
    }
    addrs = str_full_addrs(given, NAMENODE_PORT, NAMENODE_ADDRS_MAX, problem, sizeof(problem));
    if (addrs == NULL) {
        fprintf(stderr, "dfs namenode: the addresses of the namenodes: %s\n", problem);
        return EXIT_USAGE;
    }
    r = conf == NULL ? admin_new(NULL, NULL, NULL, &admin)
                     : admin_new(conf_file(conf, "tls", "ca"), conf_file(conf, "tls", "cert"),
                                 conf_file(conf, "tls", "key"), &admin);
    if (r < 0) {
        free(addrs);
        return EXIT_FAILED; /* It has said why. */
    }
    r = admin_call_leader(admin, addrs, w->type,
                          w->type == MSG_MEMBER ? &w->member.base : &w->transfer.base,
                          &dfs__empty__descriptor, ASK_MS, &reply);
    admin_free(admin);
    free(addrs);
    if (r < 0) {
        fprintf(stderr, "dfs namenode: %s\n", why(w, r));
        return r == -ECONNREFUSED || r == -ETIMEDOUT ? EXIT_UNREACHED : EXIT_FAILED;
    }
    protobuf_c_message_free_unpacked(reply, NULL);
    return EXIT_OK;
}

int cmd_namenode(int argc, char **argv)
{
    struct wish w = {0};
    struct client c;
    struct args a;
    int opt, r;

    client_init(&c, spec.program);
    args_init(&a, &spec, argc, argv);
    while ((opt = args_next(&a)) != ARGS_END) {
        if (!client_take(&c, opt, a.value))
            return a.exit_code;
    }
    r = take_wish(&a, &w);
    if (r == EXIT_OK)
        r = run(&c, &w);
    free(w.addr);
    return r;
}
