#include "namenode/swap_gate.h"

bool swap_gate_is_create(const Dfs__MetaRequest *req)
{
    return req->op_case == DFS__META_REQUEST__OP_CREATE && req->create->open;
}

bool swap_gate_holds(const struct swap_gate *g, const Dfs__MetaRequest *req)
{
    if (swap_gate_is_create(req))
        return g->waiting > 0;
    return req->op_case == DFS__META_REQUEST__OP_OPEN && g->is_under_way &&
           req->open->ino == g->ino;
}

bool swap_gate_is_free(const struct swap_gate *g)
{
    return g->waiting > 0 && !g->is_under_way && g->creates == 0;
}

void swap_gate_begin(struct swap_gate *g, uint64_t ino)
{
    g->is_under_way = true;
    g->ino = ino;
}

void swap_gate_ended(struct swap_gate *g)
{
    g->is_under_way = false;
    g->waiting--;
}
