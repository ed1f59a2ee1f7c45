#!/usr/bin/env bash
# The same random operations on the mount and on a local directory: same errno, attributes, content,
# and the same times that move. SEEDS and OPS make it longer by hand; OPS operations a seed. One seed
# is another in each run.
. "$(dirname "$0")/lib.sh"
: "${SEEDS:=1 2 3 8 14 $((100 + RANDOM))}" "${OPS:=2000}"

compare() { # SEED
    local seed=$1
    "$DFS_BUILDDIR/tests/e2e/differential" "$DIR/ref/$seed" "$MNT/$seed" "$OPS" "$seed"
}

cluster_up
chmod 755 "$DIR"
mkdir "$DIR/ref"
for seed in $SEEDS; do
    mkdir "$DIR/ref/$seed" "$MNT/$seed"
    check "seed $seed: no difference in $OPS operations" compare "$seed"
done
check_logs
done_testing
