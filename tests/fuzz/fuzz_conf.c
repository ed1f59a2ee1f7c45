/* Configuration files and the texts in them: any bytes are read or refused, never more. */
#include "tests/fuzz/target.h"

#include <stdlib.h>
#include <string.h>

#include "common/conf.h"
#include "common/mem.h"
#include "common/strutil.h"
#include "common/uuid.h"

/* Every getter sees every key of its section: what is a size here is a mistyped word there. */
static void ask_all(struct conf *c, const char *section)
{
    static const char *const words[] = {"off", "on", NULL};
    const char *key;

    for (size_t i = 0; (key = conf_key_at(c, section, i)) != NULL; i++) {
        (void)conf_str_required(c, section, key);
        (void)conf_u64(c, section, key, 1, 0, 1000);
        (void)conf_size(c, section, key, 1, 0, UINT64_MAX);
        (void)conf_duration_ms(c, section, key, 1, 0, UINT64_MAX);
        (void)conf_bool(c, section, key, true);
        (void)conf_choice(c, section, key, words, 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(conf) struct conf *c = NULL;
    char *text = mem_memdup(data, size);
    char host[64];
    struct uuid uuid;
    uint16_t port;

    (void)str_parse_addr(text, host, sizeof host, &port);
    (void)uuid_parse(text, &uuid);
    if (conf_load_text("fuzz", text, size, &c) == 0) {
        ask_all(c, "a");
        if (conf_check(c) < 0 && conf_problems(c)[0] == '\0')
            abort();
    }
    free(text);
    return 0;
}
