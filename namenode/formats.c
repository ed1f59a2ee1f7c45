#include "namenode/formats.h"

#include <stddef.h>

#include "namenode/mutants.h"

uint32_t format_common(const struct raft_conf *conf, uint32_t known, format_of_fn *format_of,
                       const void *ctx, const struct raft_member **ret_slowest)
{
    uint32_t format = known;

    *ret_slowest = NULL;
    for (unsigned i = 0; i < conf->count; i++) {
        uint32_t its = format_of(ctx, conf->members[i].id);

        if (MUTANT(FORMAT_OF_VOTERS) && !conf->members[i].voter)
            continue;
        if (its < format) {
            format = its;
            *ret_slowest = &conf->members[i];
        }
    }
    return format;
}
