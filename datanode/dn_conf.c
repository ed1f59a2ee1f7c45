#include "datanode/dn_conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf.h"
#include "common/mem.h"
#include "common/strutil.h"
#include "datanode/copying.h"

static const char *const section = "datanode";
#define REPAIR_RATE_MIN (UINT64_C(4) << 20)
#define SCRUB_PERIOD_MS (UINT64_C(14) * 24 * 3600 * 1000)

/* Words between commas and blanks; each goes to `take`. */
static void split(const char *text, void (*take)(void *ctx, char *word_take), void *ctx)
{
    static const char blanks[] = ", \t\n";

    for (const char *p = text + strspn(text, blanks); *p != '\0'; p += strspn(p, blanks)) {
        size_t len = strcspn(p, blanks);

        take(ctx, mem_memdup(p, len));
        p += len;
    }
}

struct reading {
    struct conf *conf;
    struct dn_conf *c;
};

static void take_target(void *ctx, char *word)
{
    struct reading *r = ctx;

    if (r->c->target_count == TARGETS_PER_NODE_MAX) {
        conf_problem(r->conf, section, "targets", "names more than %d directories",
                     TARGETS_PER_NODE_MAX);
        free(word);
        return;
    }
    for (unsigned i = 0; i < r->c->target_count; i++) {
        if (strcmp(r->c->targets[i], word) == 0)
            conf_problem(r->conf, section, "targets", "names \"%s\" twice", word);
    }
    r->c->targets[r->c->target_count++] = word;
}

static void take_namenode(void *ctx, char *word)
{
    struct reading *r = ctx;
    const char *at = strchr(word, '@');
    char *addr = str_full_addr(at != NULL ? at + 1 : word, NAMENODE_PORT);

    if (addr == NULL || r->c->namenode_count == DN_NAMENODES_MAX) {
        conf_problem(r->conf, section, "namenodes",
                     "\"%s\" is not host[:port] or id@host[:port], or there are more than %d", word,
                     DN_NAMENODES_MAX);
        free(addr);
    } else {
        r->c->namenodes[r->c->namenode_count++] = addr;
    }
    free(word);
}

static char *name_of(struct conf *conf, const char *key, const char *value)
{
    if (value != NULL && (value[0] == '\0' || strlen(value) > DN_NAME_MAX))
        conf_problem(conf, section, key, "must have 1 to %d bytes", DN_NAME_MAX);
    return mem_strdup(value != NULL ? value : "");
}

static char *addr_of(struct conf *conf, const char *key, const char *value)
{
    char host[ADDR_TEXT_MAX];
    uint16_t port;

    if (str_parse_addr(value, host, sizeof(host), &port) < 0)
        conf_problem(conf, section, key, "\"%s\" is not of the form host:port", value);
    return mem_strdup(value);
}

/* Paths are relative to the configuration file, so that a directory of them can be moved. */
static char *file_of(struct conf *conf, const char *path, const char *key)
{
    const char *value = conf_str_required(conf, "tls", key);
    const char *slash = strrchr(path, '/');
    char *dir, *joined;

    if (value == NULL)
        return NULL;
    if (value[0] == '/' || slash == NULL)
        return mem_strdup(value);
    dir = mem_memdup(path, (size_t)(slash - path));
    joined = str_path_join(dir[0] == '\0' ? "/" : dir, value);
    free(dir);
    return joined;
}

static uint64_t repair_rate_of(struct conf *conf)
{
    const char *text = conf_str(conf, section, "repair_rate", "adaptive");

    if (strcmp(text, "adaptive") == 0)
        return 0;
    if (strcmp(text, "off") == 0)
        return COPYING_UNPACED;
    return conf_size(conf, section, "repair_rate", 0, REPAIR_RATE_MIN, UINT64_C(1) << 40);
}

static void read_datanode(struct conf *conf, struct dn_conf *c)
{
    struct reading r = {.conf = conf, .c = c};
    const char *text;

    c->node = name_of(conf, "node", conf_str_required(conf, section, "node"));
    c->host = name_of(conf, "host", conf_str(conf, section, "host", c->node));
    c->rack = mem_strdup(conf_str(conf, section, "rack", ""));
    if (strlen(c->rack) > DN_NAME_MAX)
        conf_problem(conf, section, "rack", "must have at most %d bytes", DN_NAME_MAX);
    c->listen = addr_of(conf, "listen", conf_str(conf, section, "listen", "0.0.0.0:8680"));
    c->advertise = addr_of(conf, "advertise", conf_str(conf, section, "advertise", c->listen));
    text = conf_str(conf, section, "http", "127.0.0.1:8681");
    c->http = strcmp(text, "off") == 0 ? NULL : addr_of(conf, "http", text);
    text = conf_str_required(conf, section, "targets");
    if (text != NULL)
        split(text, take_target, &r);
    if (text != NULL && c->target_count == 0)
        conf_problem(conf, section, "targets", "names no directory");
    text = conf_str_required(conf, section, "namenodes");
    if (text != NULL)
        split(text, take_namenode, &r);
    if (text != NULL && c->namenode_count == 0)
        conf_problem(conf, section, "namenodes", "names no namenode");
    c->reserve_percent = (unsigned)conf_u64(conf, section, "reserve", DISK_RESERVE_PERCENT, 0, 50);
    c->capacity_bytes = conf_size(conf, section, "capacity", 0, 0, UINT64_MAX);
    c->direct_io = conf_bool(conf, section, "direct_io", true);
    c->scrub_period_ms = conf_duration_ms(conf, section, "scrub_period", SCRUB_PERIOD_MS, 0,
                                          UINT64_C(366) * 24 * 3600 * 1000);
    c->repair_rate = repair_rate_of(conf);
}

int dn_conf_read(struct conf *conf, const char *path, struct dn_conf *c)
{
    static const char *const others[] = {"namenode", "client", "mount", "fuse", "dfs", NULL};
    const char *level;

    *c = (struct dn_conf){0};
    read_datanode(conf, c);
    c->tls_ca = file_of(conf, path, "ca");
    c->tls_cert = file_of(conf, path, "cert");
    c->tls_key = file_of(conf, path, "key");
    c->data_tls = conf_bool(conf, "data", "tls", true);
    level = conf_str(conf, "log", "level", "info");
    if (log_level_parse(level, &c->log_level) < 0)
        conf_problem(conf, "log", "level", "\"%s\" is none of error, warn, info, debug", level);
    for (unsigned i = 0; others[i] != NULL; i++)
        conf_ignore_section(conf, others[i]);
    return conf_check(conf);
}

void dn_conf_done(struct dn_conf *c)
{
    for (unsigned i = 0; i < c->target_count; i++)
        free(c->targets[i]);
    for (unsigned i = 0; i < c->namenode_count; i++)
        free(c->namenodes[i]);
    free(c->node);
    free(c->host);
    free(c->rack);
    free(c->listen);
    free(c->advertise);
    free(c->http);
    free(c->tls_ca);
    free(c->tls_cert);
    free(c->tls_key);
    *c = (struct dn_conf){0};
}
