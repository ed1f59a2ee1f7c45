/* Who may ask what: a certificate's role is all that stands between a client and the Raft log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rpc/frame.h"
#include "rpc/role.h"

static void a_client_does_not_speak_for_servers(void **state)
{
    static const uint16_t forbidden[] = {
        MSG_RAFT,      MSG_SNAP_WANT, MSG_SNAP_DATA,  MSG_PG_CONFIG,   MSG_NODE_REGISTER,
        MSG_HEARTBEAT, MSG_CHAIN_OP,  MSG_CHAIN_ACK,  MSG_CHAIN_HELLO, MSG_SYNC_BEGIN,
        MSG_TRANSFER,  MSG_MEMBER,    MSG_NODE_SPACE, MSG_PEER_HELLO};

    (void)state;
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
        assert_false(role_may_send("client", forbidden[i]));
    assert_true(role_may_send("client", MSG_META));
    assert_true(role_may_send("client", MSG_CHUNK_OP));
}

static void a_datanode_does_not_vote_and_a_namenode_does_not_chain(void **state)
{
    (void)state;
    assert_false(role_may_send("datanode", MSG_RAFT));
    assert_false(role_may_send("datanode", MSG_PG_CONFIG));
    assert_true(role_may_send("datanode", MSG_CHAIN_OP));
    assert_false(role_may_send("namenode", MSG_CHAIN_OP));
    assert_true(role_may_send("namenode", MSG_PG_CONFIG));
    assert_true(role_may_send("namenode", MSG_CHUNK_OP));
}

static void an_operator_may_move_leadership_but_not_take_part(void **state)
{
    (void)state;
    assert_true(role_may_send("admin", MSG_TRANSFER));
    assert_true(role_may_send("admin", MSG_MEMBER));
    assert_false(role_may_send("namenode", MSG_MEMBER));
    assert_true(role_may_send("admin", MSG_TARGET_ADMIN));
    assert_false(role_may_send("datanode", MSG_TARGET_ADMIN));
    assert_true(role_may_send("admin", MSG_REPORT));
    assert_false(role_may_send("admin", MSG_RAFT));
}

static void an_unknown_role_or_type_may_nothing(void **state)
{
    (void)state;
    assert_false(role_may_send("guest", MSG_META));
    assert_true(role_may_send("guest", MSG_STATUS));
    assert_false(role_may_send("client", 9999));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_does_not_speak_for_servers),
        cmocka_unit_test(a_datanode_does_not_vote_and_a_namenode_does_not_chain),
        cmocka_unit_test(an_operator_may_move_leadership_but_not_take_part),
        cmocka_unit_test(an_unknown_role_or_type_may_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
