#!/usr/bin/env bash
# What the calls of POSIX and Linux do on the mount is what they do on the local disk: errno, modes,
# owners, sizes, content, which times move; for root and for others; one fixed list (posix_*.c).
. "$(dirname "$0")/lib.sh"

run() { # DIRECTORY TRANSCRIPT
    mkdir "$1" && chmod 755 "$1" && "$DFS_BUILDDIR/tests/e2e/posix" "$1" >"$2" 2>&1 ||
        { tail -n 5 "$2"; false; }
}
same() {
    local n
    n=$(wc -l <"$DIR/local.out")
    [ "$n" -gt 1000 ] && diff "$DIR/local.out" "$DIR/mount.out" && echo "$n lines"
}

cluster_up
chmod 755 "$DIR"
check "the list runs on the local disk" run "$DIR/ref" "$DIR/local.out"
check "the list runs on the mount" run "$MNT/ref" "$DIR/mount.out"
check "what came of each call is the same" same
check_logs
done_testing
