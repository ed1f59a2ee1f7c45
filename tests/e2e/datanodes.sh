#!/usr/bin/env bash
# An operator and the datanodes, while files are written: one is drained, stopped and removed, and comes
# back as a new one; another one is away for maintenance.
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cluster_up --datanodes 4
cd "$DIR" || exit 1
check "a certificate for the operator" "$dfs" pki issue operator admin --dir pki --out pki
sed 's,/pki/client\.,/pki/operator.,' conf/dfs.conf >conf/operator.conf
datanode() { "$dfs" datanode --config conf/operator.conf "$@"; }
# What `dfs datanode list` says of the datanode with this name: a Python expression over t is true.
target() {
    "$dfs" datanode list --json | python3 -c "import json, sys
t = {x['node']: x for x in json.load(sys.stdin)}.get('$1')
sys.exit(0 if $2 else 'got: %s' % t)"
}

make_tree tree 200
cp -a tree "$MNT/tree"
dd if=/dev/urandom of=big bs=1M count=96 status=none
cp big "$MNT/big"
# Bytes are written and synced all the time; the first error ends it, and is kept.
(
    i=0
    while [ ! -e stop ]; do
        i=$((i + 1))
        dd if=big of="$MNT/round-$((i % 8))" bs=1M skip=$((i % 90)) count=4 conv=fsync status=none || break
        echo "$i" >made
    done
) 2>made.err &
writer=$!

refuse "a client's certificate is not enough" "role admin" "$dfs" datanode drain dn2
refuse "one that is not there" "no datanode or target of this name" datanode drain dn9
refuse "a verb that is none" "expected list, drain" datanode remove-all dn2
refuse "one that runs is not removed" "is running" datanode remove dn2
check "it is active" target dn2 "t['state'] == 'active' and t['pgs'] > 0"
check "it is drained" datanode drain dn2
check "its copies are elsewhere soon" wait_until 60 target dn2 "t['state'] == 'drained' and t['chunks'] == 0"
check "nothing is in danger" "$dfs" report
"$dfs" cluster kill --dir "$DIR" dn2
check "stopped, it is removed" wait_until 20 datanode remove dn2
check "and not in the list" bash -c "! '$dfs' datanode list | grep -w dn2"
check "a number of copies is not given up" bash -c "'$dfs' cluster kill --dir '$DIR' dn3 &&
    for i in \$(seq 50); do '$dfs' datanode --config conf/operator.conf remove dn3 2>&1 | grep 'have a copy there' && exit; sleep 0.2; done; exit 1"
check "maintenance is told of it" datanode maintenance dn3 --for 30m
check "and shown" bash -c "'$dfs' datanode list | grep 'dn3.*silent, maintenance for'"
check "it comes back" "$dfs" cluster start --dir "$DIR" dn3
check "its maintenance is over" datanode maintenance dn3 --end
check "which is shown" target dn3 "t['maintenance_until_ns'] == 0"
check "the one that was removed comes back as a new one" "$dfs" cluster start --dir "$DIR" dn2
check "and is used again" wait_until 30 target dn2 "t and t['state'] == 'active'"
check "all are well" wait_until 60 "$dfs" report
touch stop
wait $writer
check "bytes were written all the while, without an error" test ! -s made.err -a "$(cat made)" -gt 10
check "the tree is what it was" diff -r --no-dereference tree "$MNT/tree"
check "the big file too" cmp big "$MNT/big"
check "all replicas are the same" "$dfs" fsck --replicas
check_logs
done_testing
