#!/usr/bin/env bash
# Files in one, two and three copies: where their chunks go, what the loss of a datanode does to each,
# and data that is copied anew while programs read and write.
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cluster_up --datanodes 4
cd "$DIR" || exit 1

# The chunks of a file, each with how many copies serve: "2 2 2".
copies_of() {
    "$dfs" why --json "$1" | python3 -c "import json, sys
print(*[sum(c['state'] == 'serving' for c in k['copies']) for k in json.load(sys.stdin)[0]['chunks']])"
}
has_copies() { [ "$(copies_of "$1")" = "$2" ] || { echo "# $1: $(copies_of "$1")"; false; }; }
getrep() { "$dfs" getrep --json "$1" | python3 -c "import json, sys
j = json.load(sys.stdin)[0]
print(j['copies'], j['chunks'], j['chunks_to_copy'])"; }
says() { [ "$(getrep "$1")" = "$2" ] || { echo "# $1: $(getrep "$1")"; false; }; }

dd if=/dev/urandom of=big bs=1M count=150 status=none
dd if=/dev/urandom of=small bs=1K count=20 status=none
check "directories for each number" mkdir "$MNT/one" "$MNT/two" "$MNT/three"
check "one copy" "$dfs" setrep 1 /one
check "two, by setfattr" setfattr -n dfs.copies -v 2 "$MNT/two"
check "getfattr shows it" bash -c "getfattr --only-values -n dfs.copies '$MNT/two' | grep -qx 2"
check "and what was never set: the cluster's number" bash -c "getfattr --only-values -n dfs.copies '$MNT/three' | grep -qx 3"
check "it is not among the names, so that cp -a does not take it along" bash -c "! getfattr -d -m - '$MNT/two' | grep copies"
for d in one two three; do
    check "a file in $d" bash -c "cp big '$MNT/$d/big' && mkdir '$MNT/$d/sub' && cp small '$MNT/$d/sub/small' && sync '$MNT/$d/big'"
done
check "has one copy of each chunk" has_copies /one/big "1 1 1"
check "has two" has_copies /two/big "2 2 2"
check "has three" has_copies /three/big "3 3 3"
check "so has what is in directories made there" has_copies /two/sub/small "2"
check "getrep says so" says /two/sub/small "2 1 0"
check "nothing lacks copies" wait_until 20 "$dfs" report

refuse "a number has to be one" "from 1 to 3" "$dfs" setrep many /one
refuse "nor four" "from 1 to 3" "$dfs" setrep 4 /one
refuse "nor by setfattr" "Invalid argument" setfattr -n dfs.copies -v 4 "$MNT/one"
refuse "what is not there" "No such file" "$dfs" setrep 2 /none
ln -s big "$MNT/one/link"
refuse "a device has none" "neither a file nor a directory" bash -c "mknod '$MNT/one/null' c 1 3 && '$dfs' setrep 2 /one/null"
chmod 777 "$MNT/one"
cd "$MNT/one" || exit 1 # Others may not come here by its path.
refuse "who may write there may not set it" "not permitted" setpriv --reuid 65534 --regid 65534 --clear-groups setfattr -n dfs.copies -v 3 .
cd "$DIR" || exit 1

leader() { "$dfs" cluster status --dir "$DIR" --json | python3 -c 'import json, sys
print(*[n["node"] for n in json.load(sys.stdin)["nodes"] if n.get("role") == "leader"])'; }
node() { "$dfs" cluster "$1" --dir "$DIR" "$2" >/dev/null 2>&1; }

# ---- data that is there ----

check "a file is copied anew" "$dfs" setrep -qw 3 /one/big
check "it has three copies" has_copies /one/big "3 3 3"
check "getrep: nothing is left to do" says /one/big "3 3 0"
check "the bytes are the same" cmp big "$MNT/one/big"
check "its time, too" test "$(stat -c %Y "$MNT/one/big")" -le "$(stat -c %Y "$MNT/three/big")"
check "fewer copies, of a tree" "$dfs" setrep -qRw 2 /three
check "which has two" has_copies /three/big "2 2 2"
check "all of it" has_copies /three/sub/small "2"
check "marked only" "$dfs" setrep -R -n 3 /three
check "the old ones are told of" says /three/big "3 3 3"
check "nothing is left over" bash -c "! find '$MNT' -name '.dfs-setrep*' | grep ."

# A file that somebody has open stays as it is, and what he writes is there.
exec 7<>"$MNT/three/big"
refuse "an open file is left alone" "is open somewhere" "$dfs" setrep -q 3 /three/big
check "as it was" says /three/big "3 3 3"
"$dfs" setrep -qw 3 /three/big 7>&- &
waiter=$!
printf 'written meanwhile' >&7
cp big expected
printf 'written meanwhile' | dd of=expected conv=notrunc status=none
check "it waits" bash -c "sleep 2; kill -0 $waiter"
exec 7>&-
wait $waiter
check "and goes on when it is closed" test $? = 0
check "with all that was written" cmp expected "$MNT/three/big"
check "in three copies" has_copies /three/big "3 3 3"
check "a hole stays one" bash -c "truncate -s 300M '$MNT/two/hole' && printf x | dd of='$MNT/two/hole' bs=1 seek=200M conv=notrunc status=none && cp '$MNT/two/hole' hole && '$dfs' setrep -qw 3 /two/hole && cmp hole '$MNT/two/hole'"
check "of which one chunk has bytes" has_copies /two/hole "3"
check "a chunk whose file was made short" bash -c "cp big '$MNT/two/cut' && truncate -s 100 '$MNT/two/cut' && '$dfs' setrep -qw 1 /two/cut && cmp -n 100 big '$MNT/two/cut' && [ \$(stat -c %s '$MNT/two/cut') = 100 ]"
check "it can grow again, with zeros" bash -c "truncate -s 5000 '$MNT/two/cut' && cmp -n 4900 -i 100:0 '$MNT/two/cut' /dev/zero"

# Writers that open and close all the time, while the number changes all the time, and the leader and a
# datanode die: each file is what was last written to it.
mkdir "$MNT/busy"
(
    n=0
    while [ ! -e stop ]; do
        n=$((n + 1))
        f=$((n % 4))
        for to in "local-$f" "$MNT/busy/$f"; do
            dd if=big of="$to" bs=64K skip=$((n % 2000)) seek=$((n % 7)) count=9 conv=notrunc status=none || break 2
        done
        echo $n >made
    done
) 2>made.err &
writer=$!
for round in 1 2 3 1 2 3; do
    "$dfs" setrep -qR $round /busy >>setrep.out 2>&1
    [ "$round" != 2 ] || node kill "$(leader)"
    sleep 1
    for n in nn1 nn2 nn3; do node start $n; done
done
touch stop
wait $writer
check "programs wrote all the while, without an error" test ! -s made.err -a "$(cat made)" -gt 10
check "nothing was said but that files were open" bash -c "! grep -v 'is open somewhere' setrep.out"
for f in 0 1 2 3; do
    check "what was written to $f is there" cmp local-$f "$MNT/busy/$f"
done
check "at last it goes through" "$dfs" setrep -qRw 2 /busy
check "in two copies" has_copies /busy/1 "2"
for f in 0 1 2 3; do
    check "with the same bytes in $f" cmp local-$f "$MNT/busy/$f"
done

# ---- a datanode dies ----

cp big "$MNT/two/alive"
sync "$MNT/two/alive"
"$dfs" cluster kill --dir "$DIR" dn4
check "two copies can be written on after it was replaced, which is at once" timeout 20 dd if=big of="$MNT/two/alive" bs=1M conv=notrunc,fsync status=none
check "three as well" timeout 20 dd if=big of="$MNT/one/big" bs=1M conv=notrunc,fsync status=none
check "new files of one copy go where it is alive" timeout 20 bash -c "for i in 1 2 3 4 5 6 7 8; do cp small '$MNT/one/new-'\$i && sync '$MNT/one/new-'\$i || exit 1; done"
check "all of two copies can be read" cmp big "$MNT/two/alive"
check "two copies serve again soon" wait_until 30 has_copies /two/alive "2 2 2"
check "it comes back" "$dfs" cluster start --dir "$DIR" dn4
check "all are well" wait_until 60 "$dfs" report
check "the one copy is there again" cmp small "$MNT/one/sub/small"
check "all replicas are the same" "$dfs" fsck --replicas
check "and all chunks are there" "$dfs" fsck --files
check_logs
done_testing
