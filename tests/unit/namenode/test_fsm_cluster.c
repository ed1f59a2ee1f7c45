/* The cluster's records: targets, placement groups, namenodes, identity. */
#include <errno.h>
#include <string.h>

#include "tests/unit/namenode/fsm_fixture.h"

enum {
    SERVING = DFS__MEMBER_STATE__MEMBER_SERVING,
    SYNCING = DFS__MEMBER_STATE__MEMBER_SYNCING,
    OFFLINE = DFS__MEMBER_STATE__MEMBER_OFFLINE,
};

static uint32_t add_target(struct fx *f, uint8_t number, uint64_t incarnation)
{
    uint8_t uuid[16] = {number};
    REQ(TARGET_ADD, target_add, DFS__TARGET_ADD_OP__INIT);

    body.uuid = (ProtobufCBinaryData){.len = 16, .data = uuid};
    body.host = (char *)(uintptr_t) "host";
    body.addr = (char *)(uintptr_t) "host:8680";
    body.node = (char *)(uintptr_t) "dn1";
    body.incarnation = incarnation;
    body.bytes_total = 1000;
    assert_int_equal(fx_apply(f, &req), 0);
    return (uint32_t)f->reply->id->id;
}

/* A group message of up to three members, in static places for one call. */
static Dfs__Pg *pg_of(uint32_t id, const int *states)
{
    static Dfs__PgMember members[3];
    static Dfs__PgMember *ptrs[3];
    static Dfs__Pg pg;

    dfs__pg__init(&pg);
    pg.pg = id;
    pg.copies = 3;
    pg.min_write = 2;
    pg.members = ptrs;
    pg.n_members = 3;
    for (uint32_t i = 0; i < 3; i++) {
        dfs__pg_member__init(&members[i]);
        members[i].target = i + 1;
        members[i].incarnation = 10;
        members[i].state = (Dfs__MemberState)states[i];
        ptrs[i] = &members[i];
    }
    return &pg;
}

static int create_pg(struct fx *f, const int *states)
{
    Dfs__Pg *pgs[] = {pg_of(0, states)};
    REQ(PG_CREATE, pg_create, DFS__PG_CREATE_OP__INIT);

    body.pgs = pgs;
    body.n_pgs = 1;
    return fx_apply(f, &req);
}

static int change_pg(struct fx *f, uint64_t if_epoch, Dfs__Pg *pg)
{
    REQ(PG_EPOCH, pg_epoch, DFS__PG_EPOCH_OP__INIT);

    body.if_epoch = if_epoch;
    body.pg = pg;
    return fx_apply(f, &req);
}

static const int all_serving[] = {SERVING, SERVING, SERVING};

static void three_targets(struct fx *f)
{
    for (uint8_t i = 1; i <= 3; i++)
        assert_int_equal(add_target(f, i, 10), i);
}

static void cluster_is_made_once(void **state)
{
    struct fx *f = *state;
    struct cluster_rec rec;
    uint8_t uuid[16] = "another";
    REQ(CLUSTER_INIT, cluster_init, DFS__CLUSTER_INIT_OP__INIT);

    body.cluster_uuid = (ProtobufCBinaryData){.len = 16, .data = uuid};
    body.copies = body.min_write = 1;
    assert_int_equal(fx_apply(f, &req), -EEXIST);
    assert_int_equal(fsm_cluster(f->fsm, &rec), 0);
    assert_string_equal((char *)rec.uuid, "cluster-uuid-16");
    assert_int_equal(rec.copies, 3);
    assert_int_equal(rec.data_key_len, 6);
    assert_memory_equal(rec.data_key, "secret", 6);
}

static void disk_keeps_its_target_id(void **state)
{
    struct fx *f = *state;
    uint64_t version = fsm_state(f->fsm)->map_version;
    struct target_rec rec;

    assert_int_equal(add_target(f, 1, 10), 1);
    assert_int_equal(f->events[0].kind, FSM_EVENT_TARGET);
    assert_int_equal(f->events[0].target, 1);
    assert_int_equal(add_target(f, 2, 10), 2);
    assert_int_equal(add_target(f, 1, 11), 1);
    assert_true(fsm_state(f->fsm)->map_version > version);
    assert_int_equal(fsm_target_get(f->fsm, 1, &rec), 0);
    assert_int_equal(rec.incarnation, 11);
    assert_int_equal(rec.state, DFS__TARGET_STATE__TARGET_ACTIVE);
    assert_string_equal(rec.addr, "host:8680");
    assert_int_equal(fsm_target_get(f->fsm, 3, &rec), -ENOENT);
}

static void target_is_changed_where_the_request_says(void **state)
{
    struct fx *f = *state;
    struct target_rec rec;
    REQ(TARGET_SET, target_set, DFS__TARGET_SET_OP__INIT);

    add_target(f, 1, 10);
    body.target = 1;
    body.state = DFS__TARGET_STATE__TARGET_FAILED;
    assert_int_equal(fx_apply(f, &req), 0);
    assert_int_equal(fsm_target_get(f->fsm, 1, &rec), 0);
    assert_int_equal(rec.state, DFS__TARGET_STATE__TARGET_FAILED);
    assert_int_equal(rec.incarnation, 10);
    assert_string_equal(rec.host, "host");
    body.state = DFS__TARGET_STATE__TARGET_UNSET;
    body.maintenance_until_ns = fsm_state(f->fsm)->time_ns + 1000000000;
    assert_int_equal(fx_apply(f, &req), 0);
    assert_int_equal(fsm_target_get(f->fsm, 1, &rec), 0);
    assert_true(rec.maintenance_until_ns == body.maintenance_until_ns);
    assert_int_equal(rec.state, DFS__TARGET_STATE__TARGET_FAILED);
    body.rack = (char *)(uintptr_t) "r7";
    assert_int_equal(fx_apply(f, &req), 0);
    assert_int_equal(fsm_target_get(f->fsm, 1, &rec), 0);
    assert_string_equal(rec.rack, ""); /* Only with set_rack. */
    body.set_rack = true;
    assert_int_equal(fx_apply(f, &req), 0);
    assert_int_equal(fsm_target_get(f->fsm, 1, &rec), 0);
    assert_string_equal(rec.rack, "r7");
    body.maintenance_until_ns = -1; /* Over. */
    assert_int_equal(fx_apply(f, &req), 0);
    assert_int_equal(fsm_target_get(f->fsm, 1, &rec), 0);
    assert_true(rec.maintenance_until_ns == 0);
    body.target = 9;
    assert_int_equal(fx_apply(f, &req), -ENOENT);
}

static void groups_get_ids_and_epochs(void **state)
{
    struct fx *f = *state;
    struct pg_rec pg;

    assert_int_equal(create_pg(f, all_serving), -EINVAL); /* No such targets yet. */
    three_targets(f);
    assert_int_equal(create_pg(f, all_serving), 0);
    assert_int_equal(f->reply->id->id, 1);
    assert_int_equal(f->events[0].kind, FSM_EVENT_PG);
    assert_int_equal(create_pg(f, all_serving), 0);
    assert_int_equal(f->reply->id->id, 2);
    assert_int_equal(fsm_pg_get(f->fsm, 2, &pg), 0);
    assert_int_equal(pg.epoch, 1);
    assert_int_equal(pg.member_count, 3);
    assert_int_equal(pg.members[2].target, 3);
    assert_int_equal(pg.members[2].last_serving_epoch, 1);
}

static void epoch_change_needs_the_epoch_it_was_made_for(void **state)
{
    struct fx *f = *state;
    const int one_out[] = {SERVING, SERVING, OFFLINE};
    struct pg_rec pg;

    three_targets(f);
    assert_int_equal(create_pg(f, all_serving), 0);
    assert_int_equal(change_pg(f, 2, pg_of(1, one_out)), -ESTALE);
    assert_int_equal(change_pg(f, 1, pg_of(1, one_out)), 0);
    assert_int_equal(f->reply->id->epoch, 2);
    assert_int_equal(change_pg(f, 1, pg_of(1, one_out)), -ESTALE);
    assert_int_equal(change_pg(f, 1, pg_of(7, one_out)), -ENOENT);
    assert_int_equal(fsm_pg_get(f->fsm, 1, &pg), 0);
    assert_int_equal(pg.epoch, 2);
    assert_int_equal(pg.members[0].last_serving_epoch, 2);
    assert_int_equal(pg.members[2].last_serving_epoch, 1);
}

/* I28: an old copy that starts to serve would undo acknowledged writes. */
static void member_that_missed_writes_can_not_serve(void **state)
{
    struct fx *f = *state;
    const int one_out[] = {SERVING, SERVING, OFFLINE};
    const int one_back[] = {SERVING, SERVING, SYNCING};
    const int old_alone[] = {OFFLINE, OFFLINE, SERVING};
    const int none[] = {OFFLINE, OFFLINE, OFFLINE};
    const int first[] = {SERVING, OFFLINE, OFFLINE};
    Dfs__Pg *pg;

    three_targets(f);
    assert_int_equal(create_pg(f, all_serving), 0);
    assert_int_equal(change_pg(f, 1, pg_of(1, one_out)), 0);
    assert_int_equal(change_pg(f, 2, pg_of(1, all_serving)), -EINVAL);
    assert_int_equal(change_pg(f, 2, pg_of(1, one_back)), 0);
    assert_int_equal(change_pg(f, 3, pg_of(1, old_alone)), 0); /* Synced, then the others died. */
    assert_int_equal(change_pg(f, 4, pg_of(1, none)), 0);
    assert_int_equal(change_pg(f, 5, pg_of(1, first)), -EINVAL);
    assert_int_equal(change_pg(f, 5, pg_of(1, old_alone)), 0);
    assert_int_equal(change_pg(f, 6, pg_of(1, old_alone)), 0);

    assert_int_equal(create_pg(f, one_back), 0);
    pg = pg_of(2, all_serving);
    pg->members[2]->incarnation = 11; /* Not the process that was synced. */
    assert_int_equal(change_pg(f, 1, pg), -EINVAL);
    assert_int_equal(change_pg(f, 1, pg_of(2, all_serving)), 0);
}

static void malformed_groups_are_refused(void **state)
{
    struct fx *f = *state;
    Dfs__Pg *pg;

    three_targets(f);
    assert_int_equal(create_pg(f, all_serving), 0);
    pg = pg_of(1, all_serving);
    pg->members[1]->target = 1;
    assert_int_equal(change_pg(f, 1, pg), -EINVAL);
    pg = pg_of(1, all_serving);
    pg->members[1]->target = 77;
    assert_int_equal(change_pg(f, 1, pg), -EINVAL);
    pg = pg_of(1, all_serving);
    pg->members[1]->state = DFS__MEMBER_STATE__MEMBER_UNSET;
    assert_int_equal(change_pg(f, 1, pg), -EINVAL);
    pg = pg_of(1, all_serving);
    pg->copies = 0;
    assert_int_equal(change_pg(f, 1, pg), -EINVAL);
}

static int note_namenode(void *ctx, const struct namenode_rec *rec)
{
    *(struct namenode_rec *)ctx = *rec;
    return 0;
}

static void namenodes_are_remembered(void **state)
{
    struct fx *f = *state;
    struct namenode_rec rec = {0};
    REQ(NAMENODE_SET, namenode_set, DFS__NAMENODE_SET_OP__INIT);

    body.replica_id = 3;
    body.addr = (char *)(uintptr_t) "nn3:8670";
    assert_int_equal(fx_apply(f, &req), 0);
    assert_int_equal(fsm_each_namenode(f->fsm, note_namenode, &rec), 0);
    assert_int_equal(rec.replica_id, 3);
    assert_string_equal(rec.addr, "nn3:8670");
    body.remove = true;
    assert_int_equal(fx_apply(f, &req), 0);
    assert_int_equal(fx_apply(f, &req), -ENOENT);
}

static void group_survives_the_way_to_its_message_and_back(void **state)
{
    struct fx *f = *state;
    Dfs__PgMember members[REC_PG_MEMBERS_MAX], *ptrs[REC_PG_MEMBERS_MAX];
    struct pg_rec pg, back;
    Dfs__Pg msg;

    three_targets(f);
    assert_int_equal(create_pg(f, all_serving), 0);
    assert_int_equal(fsm_pg_get(f->fsm, 1, &pg), 0);
    pg_rec_to_msg(&pg, &msg, members, ptrs);
    assert_int_equal(pg_rec_from_msg(&msg, &back), 0);
    assert_memory_equal(&pg, &back, sizeof(pg));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH_STORES(cluster_is_made_once),
        ON_BOTH_STORES(disk_keeps_its_target_id),
        ON_BOTH_STORES(target_is_changed_where_the_request_says),
        ON_BOTH_STORES(groups_get_ids_and_epochs),
        ON_BOTH_STORES(epoch_change_needs_the_epoch_it_was_made_for),
        ON_BOTH_STORES(member_that_missed_writes_can_not_serve),
        ON_BOTH_STORES(malformed_groups_are_refused),
        ON_BOTH_STORES(namenodes_are_remembered),
        ON_BOTH_STORES(group_survives_the_way_to_its_message_and_back),
    };

    return cmocka_run_group_tests_name("fsm_cluster", tests, NULL, NULL);
}
