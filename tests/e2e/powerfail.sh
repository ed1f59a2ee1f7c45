#!/usr/bin/env bash
# All processes killed at once: what was synced is there, and what was written six seconds ago too.
. "$(dirname "$0")/lib.sh"
: "${FILES:=600}"

kill_all() {
    local pid
    for pid in "$DIR"/run/*.pid; do kill -9 "$(cat "$pid")"; done
    wait_until 10 nobody_left
}
nobody_left() {
    local pid
    for pid in "$DIR"/run/*.pid; do
        [ ! -e "$pid" ] || ! kill -0 "$(cat "$pid")" 2>/dev/null || return 1
    done
}
again() { "$dfs" cluster up --dir "$DIR"; }
writes() { dd if=/dev/urandom of="$MNT/$1" bs=1M count=24 status=none && sha256sum <"$MNT/$1" >"$DIR/$1.sum"; }
same_sum() { sha256sum <"$MNT/$1" | cmp - "$DIR/$1.sum"; }

cluster_up
check "a tree is copied in" bash -c "'$DFS_BUILDDIR/tests/e2e/mktree' '$DIR/tree' $FILES && cp -a '$DIR/tree' '$MNT/tree'"
check "and a big file" writes big
check "dfs sync" "$dfs" sync "$MNT"
check "kill -9 of everything" kill_all
check "the cluster comes up again" again
check "the tree is there" diff -r --no-dereference "$DIR/tree" "$MNT/tree"
check "rsync finds nothing to do" bash -c "[ -z \"\$(rsync -nac --delete --out-format=%n '$DIR/tree/' '$MNT/tree/')\" ]"
check "the big file is there" same_sum big

check "a second tree, and a second big file" bash -c "cp -a '$DIR/tree' '$MNT/tree2' && rm -r '$MNT/tree/d00/sub1'"
check "written" writes big2
sleep 6
check "kill -9 of everything, six seconds after the last write" kill_all
check "the cluster comes up again" again
check "the second tree is there" diff -r --no-dereference "$DIR/tree" "$MNT/tree2"
check "the second big file is there" same_sum big2
check "what was removed stays removed" test ! -e "$MNT/tree/d00/sub1"
check "the replicas are equal" wait_until 30 "$dfs" fsck --replicas
log_ignore='mount1|dfs-fuse'
check_logs
done_testing
