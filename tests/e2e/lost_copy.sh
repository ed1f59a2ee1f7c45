#!/usr/bin/env bash
# The newest copy is gone for good: one datanode served alone, and dies when the others come back. They do
# not serve by themselves, for they may lack what was written since; the operator gives it up.
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cluster_up --datanodes 3
cd "$DIR" || exit 1
check "a certificate for the operator" "$dfs" pki issue operator admin --dir pki --out pki
sed 's,/pki/client\.,/pki/operator.,' conf/dfs.conf >conf/operator.conf
datanode() { "$dfs" datanode --config conf/operator.conf "$@"; }
# No placement group has a copy in use on the datanode with this name.
serves_nothing() {
    "$dfs" report --json | python3 -c "import json, sys
r = json.load(sys.stdin)
ids = [t['target'] for t in r['targets'] if t['node'] == '$1']
sys.exit(any(m['target'] in ids and m['state'] == 'serving' for p in r['pgs'] for m in p['members']))"
}

make_tree tree 100
cp -a tree "$MNT/tree"
dd if=/dev/urandom of=big bs=1M count=24 status=none
dd if=big of="$MNT/big" bs=1M conv=fsync status=none
"$dfs" sync "$MNT"
for dn in dn2 dn3; do
    "$dfs" cluster kill --dir "$DIR" $dn
    check "$dn is out" wait_until 30 serves_nothing $dn
done
"$dfs" cluster kill --dir "$DIR" dn1
for dn in dn2 dn3; do
    check "$dn comes back" "$dfs" cluster start --dir "$DIR" $dn
done
refuse "the newest copy is not given up just so" "newest copy of .* --lose-data" datanode remove dn1 --force
check "older copies do not serve by themselves" bash -c \
    "! timeout 3 dd if='$MNT/big' of=/dev/null bs=1M iflag=direct status=none"
check "the operator gives it up" datanode remove dn1 --lose-data
check "the older copies go on" wait_until 40 bash -c \
    "timeout 5 dd if='$MNT/big' of=/dev/null bs=1M iflag=direct status=none"
check "the big file is what it was" cmp big "$MNT/big"
check "the tree is, too" diff -r --no-dereference tree "$MNT/tree"
check "the disk that was given up comes back as a new one" "$dfs" cluster start --dir "$DIR" dn1
check "and is used as one" wait_until 20 bash -c "'$dfs' datanode list | grep -w dn1 | grep active"
check "the copies that are left are the same" bash -c \
    "'$dfs' fsck --replicas | grep 'all replicas that were compared are the same'"
check_logs
done_testing
