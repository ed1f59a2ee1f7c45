#!/usr/bin/env bash
# All processes killed at once: what was synced is there, and what was written six seconds ago too,
# closed or not.
#
#   FILES=20000 BIG_MB=1024 ROUNDS=3 DATANODES=4 DATA_TLS=off tests/e2e/powerfail.sh
. "$(dirname "$0")/lib.sh"
: "${FILES:=400}" "${BIG_MB:=24}" "${ROUNDS:=1}" "${DATANODES:=3}" "${DATA_TLS:=on}"

kill_all() {
    local pids
    pids=$(cat "$DIR"/run/*.pid)
    # shellcheck disable=SC2086 # one word each
    kill_all_nodes && wait_until 10 gone $pids
}
again() { "$dfs" cluster up --dir "$DIR"; }
same_tree() {
    diff -r --no-dereference "$DIR/tree" "$MNT/$1" &&
        [ -z "$(rsync -nacHX --delete --out-format=%n "$DIR/tree/" "$MNT/$1/" | tee /dev/stderr)" ]
}
writes() { # NAME: random bytes; and a file written in small pieces
    local i
    head -c "${BIG_MB}M" /dev/urandom >"$DIR/$1" && cp "$DIR/$1" "$MNT/$1" &&
        for i in $(seq 500); do echo "$1 line $i"; done | tee "$DIR/$1.log" >"$MNT/$1.log"
}
same_writes() { cmp "$DIR/$1" "$MNT/$1" && cmp "$DIR/$1.log" "$MNT/$1.log"; }
# Three files that stay open, so that no close sends what is in them: a large one, one that is kept at
# the namenodes, and one that is appended to, as a log is. Their writer ends when it is killed.
write_and_hold() {
    exec python3 - "$DIR" "$MNT" <<'P'
import os, sys, time

contents = {
    "held.large": [os.urandom(1 << 20) for i in range(5)] + [os.urandom(12345)],
    "held.small": [os.urandom(1000) for i in range(3)],
    "held.log": [b"line %d\n" % i for i in range(2000)],
}
held = []
for name, pieces in contents.items():
    with open(os.path.join(sys.argv[1], name), "wb") as f:
        f.write(b"".join(pieces))
    fd = os.open(os.path.join(sys.argv[2], name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    held.append(fd)
    for piece in pieces:
        if os.write(fd, piece) != len(piece):
            sys.exit("a short write")
print("written", flush=True)
time.sleep(3600)
P
}
held_written() { grep -qx written "$DIR/held.out"; }
held_open() { ! gone "$holder"; }
same_held() { cmp "$DIR/held.$1" "$MNT/held.$1"; }
healed() {
    wait_until 60 "$dfs" report || "$dfs" report
    wait_until 30 "$dfs" fsck --replicas || "$dfs" fsck --replicas
}

cluster_up --datanodes "$DATANODES" --data-tls "$DATA_TLS"
check "a tree of $FILES files" make_tree "$DIR/tree" "$FILES"
for round in $(seq "$ROUNDS"); do
    check "$round: a tree is copied in" cp -a "$DIR/tree" "$MNT/synced$round"
    check "$round: and $BIG_MB MiB" writes big
    check "$round: dfs sync" "$dfs" sync "$MNT"
    check "$round: kill -9 of everything" kill_all
    check "$round: the cluster comes up again" again
    check "$round: the tree is there" same_tree "synced$round"
    check "$round: the big file is there" same_writes big

    check "$round: a second tree, the first loses a part" bash -c \
        "cp -a '$DIR/tree' '$MNT/late$round' && rm -r '$MNT/synced$round/d00/sub1'"
    check "$round: and $BIG_MB MiB over those that are there" writes big
    write_and_hold >"$DIR/held.out" 2>&1 &
    holder=$!
    check "$round: and files that stay open" wait_until 30 held_written
    sleep 6
    check "$round: whose writer is still there" held_open
    check "$round: kill -9 of everything, six seconds after the last write" kill_all
    kill -9 $holder
    wait $holder 2>/dev/null
    check "$round: the cluster comes up again" again
    check "$round: the second tree is there" same_tree "late$round"
    check "$round: the new content of the big file is there" same_writes big
    for name in large small log; do
        check "$round: held.$name is there" same_held $name
    done
    check "$round: what was removed stays removed" test ! -e "$MNT/synced$round/d00/sub1"
    check "$round: all is well, and the replicas are equal" healed
    check "$round: the trees can be removed" rm -r "$MNT/synced$round" "$MNT/late$round"
done
log_ignore='mount1|dfs-fuse'
check_logs
done_testing
