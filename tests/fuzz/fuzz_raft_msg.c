/* A Raft message from a peer: refused, or understood so well that encoding gives it back. */
#include <stdlib.h>
#include <string.h>

#include "raft/msg.h"
#include "tests/fuzz/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct raft_msg msg;
    uint8_t *back;

    if (raft_msg_decode(data, size, &msg) < 0)
        return 0;
    if (raft_msg_size(&msg) != size)
        abort();
    back = malloc(size);
    if (back == NULL)
        abort();
    raft_msg_encode(&msg, back);
    if (memcmp(back, data, size) != 0)
        abort();
    free(back);
    raft_msg_done(&msg);
    return 0;
}
