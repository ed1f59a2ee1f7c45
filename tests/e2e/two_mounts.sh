#!/usr/bin/env bash
# What one mount has closed or synced, the next open on another mount sees; names are seen at once.
. "$(dirname "$0")/lib.sh"

cluster_up --mount "$(mktemp -d /tmp/dfs-e2e-second-XXXXXX)"
A=$MNT
B=$(awk '$1 == "mount2" {print $NF}' < <("$dfs" cluster status --dir "$DIR"))
[ "$B" != "" ] || { echo "Bail out! no second mount"; exit 1; }
second_end() { umount -l "$B" 2>/dev/null; rmdir "$B" 2>/dev/null; }
trap 'status=$?; second_end; (exit $status); cluster_end' EXIT

seen() { # SIZE: written and closed on A, then opened on B
    head -c "$1" /dev/urandom >"$DIR/data" && cp "$DIR/data" "$A/f$1" && cmp "$DIR/data" "$B/f$1" &&
        [ "$(stat -c '%s %y' "$A/f$1")" = "$(stat -c '%s %y' "$B/f$1")" ]
}
for size in 0 1 4096 4097 100000 3000000; do
    check "$size bytes closed here are there, with size and mtime" seen "$size"
done
overwritten() {
    local i
    for i in $(seq 30); do
        echo "round $i from a" >"$A/turn" && [ "$(cat "$B/turn")" = "round $i from a" ] || return 1
        echo "round $i from b, longer" >"$B/turn" &&
            [ "$(cat "$A/turn")" = "round $i from b, longer" ] || return 1
    done
}
check "a small file written in turns is always the last one" overwritten
big_turns() {
    local i
    for i in 1 2 3 4; do
        head -c $((i * 700000)) /dev/urandom >"$DIR/data"
        cp "$DIR/data" "$A/big" && cmp "$DIR/data" "$B/big" || return 1
        head -c $((2000000 - i * 300000)) /dev/urandom >"$DIR/data"
        cp "$DIR/data" "$B/big" && cmp "$DIR/data" "$A/big" || return 1
    done
}
check "a big file written in turns is always the last one" big_turns
names() {
    touch "$A/n1" && [ -e "$B/n1" ] && mv "$B/n1" "$B/n2" && [ ! -e "$A/n1" ] && [ -e "$A/n2" ] &&
        rm "$A/n2" && [ ! -e "$B/n2" ] && mkdir "$B/d" && [ -d "$A/d" ] && rmdir "$A/d" &&
        [ ! -e "$B/d" ] && ln -s x "$A/l" && [ "$(readlink "$B/l")" = x ] && chmod 600 "$B/big" &&
        [ "$(stat -c %a "$A/big")" = 600 ]
}
check "create, rename, unlink, mkdir, chmod are seen at once" names
synced() { # the writer keeps it open
    exec 7>"$A/synced" && head -c 300000 "$DIR/data" >&7 && sync -d "$A/synced" &&
        cmp "$B/synced" <(head -c 300000 "$DIR/data")
    local r=$?
    exec 7>&-
    return $r
}
check "what was synced here is read there, though it is still open here" synced
grows() { # the reader has it open, and its last page: what is appended must not look like zeros
    local line
    printf 'one\n' >"$A/log" && exec 7<"$B/log" && read -r line <&7 && [ "$line" = one ] &&
        printf 'two\n' >>"$A/log" && [ "$(cat <&7)" = two ] &&
        head -c 5000 "$DIR/data" >>"$A/log" && cmp - <(head -c 5000 "$DIR/data") <&7
    local r=$?
    exec 7<&-
    return $r
}
check "who reads on sees what is appended there" grows
appended() { # both keep it open
    local i r=0
    exec 7>>"$A/turns" 8>>"$B/turns"
    for i in $(seq 20); do
        echo "a $i" >&7 && dd if=/dev/null conv=fsync >&7 2>/dev/null &&
            echo "b $i" >&8 && dd if=/dev/null conv=fsync >&8 2>/dev/null || r=1
    done
    exec 7>&- 8>&-
    [ $r = 0 ] && cmp "$A/turns" <(for i in $(seq 20); do echo "a $i"; echo "b $i"; done)
}
check "O_APPEND on two mounts: in turns, each synced, nothing is overwritten" appended
unlinked() {
    exec 7<"$A/big" && rm "$B/big" && cmp - "$DIR/data" <&7
    local r=$?
    exec 7<&-
    return $r
}
cp "$DIR/data" "$A/big"
check "a file unlinked there is still read by who has it open here" unlinked
exclusive() { # every name is made by exactly one
    local i
    (for i in $(seq 200); do (set -C; : >"$A/x$i") 2>/dev/null && echo "$i"; done) >"$DIR/a.won" &
    (for i in $(seq 200); do (set -C; : >"$B/x$i") 2>/dev/null && echo "$i"; done) >"$DIR/b.won"
    wait $!
    [ "$(sort -n "$DIR/a.won" "$DIR/b.won")" = "$(seq 200)" ]
}
check "O_EXCL on two mounts: each name is made by one" exclusive
check_logs
done_testing
