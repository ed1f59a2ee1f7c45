/* What would keep a cluster from starting is said before anything of it is written. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shell/cluster.h"

static bool is_free(unsigned port)
{
    const struct sockaddr_in addr = {.sin_family = AF_INET,
                                     .sin_port = htons((uint16_t)port),
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, r;

    if (fd < 0)
        return true; /* The daemons will say what is wrong. */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    r = bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ? errno : 0;
    (void)close(fd);
    return r != EADDRINUSE;
}

int cluster_check_ports(const struct cluster *c)
{
    for (size_t i = 0; i < c->node_count; i++) {
        const struct cluster_node *n = &c->nodes[i];
        unsigned port = n->port;

        if (n->kind == NODE_MOUNT)
            continue;
        if (is_free(port))
            port = n->http_port;
        if (!is_free(port)) {
            fprintf(stderr,
                    "dfs cluster up: port %u, which %s would have, is in use; --base-port=N takes "
                    "the ports from N on\n",
                    port, n->name);
            return -EADDRINUSE;
        }
    }
    return 0;
}

static bool is_empty(DIR *d)
{
    const struct dirent *e;

    while ((e = readdir(d)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            return false;
    return true;
}

int cluster_check_mount(const struct cluster *c, const char *where)
{
    DIR *d = opendir(where);
    bool usable;

    for (unsigned i = 0; i < c->mount_count; i++)
        if (strcmp(c->mounts[i], where) == 0) {
            if (d != NULL)
                (void)closedir(d);
            return 0; /* It is ours: what is wrong with it, its daemon will say. */
        }
    if (d == NULL) {
        if (errno == ENOENT)
            return 0;
        fprintf(stderr, "dfs cluster up: cannot mount on %s: %s\n", where, strerror(errno));
        return -errno;
    }
    usable = is_empty(d);
    (void)closedir(d);
    if (usable)
        return 0;
    fprintf(stderr, "dfs cluster up: cannot mount on %s: it is not empty\n", where);
    return -ENOTEMPTY;
}
