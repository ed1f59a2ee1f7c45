#!/usr/bin/env bash
# The shortest way through everything: a cluster, a mount, a tree in and out, a clean end.
. "$(dirname "$0")/lib.sh"

cluster_up
check "the cluster says that it serves" wait_until 30 all_serving
check "a tree can be made locally" make_tree "$DIR/tree" 1000
check "cp -a into the mount" cp -a "$DIR/tree" "$MNT/tree"
check "the copy is the same" diff -r --no-dereference "$DIR/tree" "$MNT/tree"
check "rsync finds nothing to do" bash -c "[ -z \"\$(rsync -nac --delete --out-format=%n '$DIR/tree/' '$MNT/tree/')\" ]"
check "dfs sync" "$dfs" sync "$MNT"
check "stop and start again" bash -c "'$dfs' cluster down --dir '$DIR' && '$dfs' cluster up --dir '$DIR'"
check "everything is still there" diff -r --no-dereference "$DIR/tree" "$MNT/tree"
check "rm -r" rm -r "$MNT/tree"
check "the mount is empty" bash -c "[ -z \"\$(ls -A '$MNT')\" ]"
check_logs
done_testing
