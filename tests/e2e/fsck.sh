#!/usr/bin/env bash
# dfs fsck: says nothing of a cluster that is well and in use; finds what is broken, says what it is, and
# repairs it while the cluster is used.
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cluster_up --namenodes 3 --datanodes 3
cd "$DIR" || exit 1
"$dfs" pki issue operator admin --dir pki --out pki >/dev/null
sed 's,/pki/client\.,/pki/operator.,' conf/dfs.conf >conf/operator.conf
fsck() { "$dfs" fsck --config conf/operator.conf "$@"; }
# exits WANTED COMMAND...
exits() {
    local wanted=$1 got
    shift
    "$@"
    got=$?
    [ $got = "$wanted" ] || { echo "exit status $got, not $wanted"; return 1; }
}

make_tree tree 100
cp -a tree "$MNT/tree"
mkdir "$MNT/d"
echo lost >"$MNT/d/lost"
echo kept >"$MNT/d/kept"
head -c 100000 /dev/urandom >kept
cp kept "$MNT/d/nameless"
cp kept "$MNT/d/gone"

# Files come, change and go all the time.
(
    i=0
    while [ ! -e stop ]; do
        i=$((i + 1))
        mkdir -p "$MNT/load/$((i % 7))" "$MNT/load/$((i % 5 + 1))"
        echo "$i" >"$MNT/load/$((i % 7))/f$i" && ln "$MNT/load/$((i % 7))/f$i" "$MNT/load/l$i" &&
            mv "$MNT/load/l$i" "$MNT/load/$((i % 5 + 1))/" || break
        [ $((i % 50)) = 0 ] && rm -r "$MNT/load/$((i % 7))"
        echo "$i" >made
    done
) 2>made.err &
writer=$!

refuse "a client's certificate is not enough" "may not ask FSCK" "$dfs" fsck
check "a cluster in use has no findings" exits 0 fsck
check "again" exits 0 fsck
check "on all namenodes" bash -c "'$dfs' fsck --config conf/operator.conf --json | python3 -c '
import json, sys
j = json.load(sys.stdin)
assert j[\"well\"] and j[\"namenodes_agree\"] and len(j[\"namenodes\"]) == 3
assert all(n[\"checked\"] and n[\"inodes\"] > 100 for n in j[\"namenodes\"])'"
check "there is nothing to repair" exits 0 fsck --repair
"$dfs" cluster kill --dir "$DIR" "$(leader)"
check "without one namenode it says that it could not check all" exits 8 fsck
check "  which comes back" "$dfs" cluster start --dir "$DIR" nn1 nn2 nn3
touch stop
wait $writer
check "files were made all the while, without an error" test ! -s made.err -a "$(cat made)" -gt 10
check "no findings at the end" wait_until 20 fsck

# The same damage in every replica: a mistake of the state machine would look like this.
gone=$(stat -c %i "$MNT/d/gone")
d=$(stat -c %i "$MNT/d")
"$dfs" cluster stop --dir "$DIR" mount1 nn1 nn2 nn3 >/dev/null
damage() {
    local store
    for store in "$DIR"/nn?/db-*; do
        [ -d "$store" ] && { "$DFS_BUILDDIR/tests/e2e/doctor" "$store" "$@" || return 1; }
    done
}
check "an inode is lost" damage lose-inode "$gone"
check "a name is lost" damage lose-name "$d" nameless
check "a count is wrong" damage count-wrong 1
check "the cluster runs all the same" "$dfs" cluster start --dir "$DIR" nn1 nn2 nn3
check "  and can be mounted" wait_until 30 "$dfs" cluster start --dir "$DIR" mount1
check "and serves" wait_until 30 ls "$MNT/d/kept"
check "what was found is told" exits 4 fsck
fsck >out
check "  with the path" grep -q '^/d/gone: dangling-entry: ' out
check "  what it means, and what would be done" grep -q -- '--repair: It is put into /lost+found' out
check "it is repaired" exits 1 fsck --repair
check "then nothing is left" exits 0 fsck
check "what had no name is in /lost+found" bash -c "cmp '$DIR/kept' '$MNT'/lost+found/#*"
check "  where only root may look" test "$(stat -c '%a %u' "$MNT/lost+found")" = "700 0"
check "the name of nothing is gone" test ! -e "$MNT/d/gone"
check "the rest is what it was" diff -r --no-dereference tree "$MNT/tree"
check "the directory can be emptied" rm -r "$MNT/d"

# One replica alone: that is no mistake of all, and nothing is to be made of it.
"$dfs" cluster stop --dir "$DIR" nn2 >/dev/null
store=$(ls -d "$DIR"/nn2/db-* | head -n 1)
check "one replica is broken" "$DFS_BUILDDIR/tests/e2e/doctor" "$store" count-wrong 1
check "  and runs" "$dfs" cluster start --dir "$DIR" nn2
refuse "fsck says that the namenodes differ" "namenodes differ" fsck --repair

check_logs
done_testing
