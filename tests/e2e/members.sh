#!/usr/bin/env bash
# A namenode has lost its disk: it is taken out of the group and comes back under another id, while files
# are made; then the group does without one of the others, and is led by the new one.
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cluster_up --datanodes 3
cd "$DIR" || exit 1
check "a certificate for the operator" "$dfs" pki issue operator admin --dir pki --out pki
sed 's,/pki/client\.,/pki/operator.,' conf/dfs.conf >conf/operator.conf
namenode() { "$dfs" namenode --config conf/operator.conf "$@"; }
# What `dfs report` says of the namenode with this id: a Python expression over n is true.
member() {
    "$dfs" report --json | python3 -c "import json, sys
n = {x['id']: x for x in json.load(sys.stdin)['namenodes']}.get($1)
sys.exit(0 if $2 else 'got: %s' % n)"
}

make_tree tree 200
cp -a tree "$MNT/tree"
# Files are made all the time; the first error ends it, and is kept.
(
    i=0
    while [ ! -e stop ]; do
        i=$((i + 1))
        echo "$i" >"$MNT/made-$i" || break
        echo "$i" >made
    done
) 2>made.err &
maker=$!

lost=$([ "$(leader)" = nn3 ] && echo nn2 || echo nn3)
id=${lost#nn} addr=$(sed -n 's/^listen = //p' "conf/$lost.conf" | head -n 1)
"$dfs" cluster kill --dir "$DIR" "$lost"
rm -rf "${DIR:?}/$lost" && mkdir "$lost"
refuse "a client's certificate is not enough" "admin" "$dfs" namenode remove "$id"
refuse "an id that is not there" "the group has no namenode of this id" namenode remove 99
"$dfs" cluster start --dir "$DIR" "$lost" >/dev/null 2>&1
check "with an empty directory it is refused under its old id" \
    wait_until 20 grep -q "a namenode has another data directory than it had" log/nn1.log "log/$(leader).log"
"$dfs" cluster kill --dir "$DIR" "$lost"
check "it is removed" namenode remove "$id"
check "the report knows it no more" wait_until 20 member "$id" "n is None"

rm -rf "${DIR:?}/$lost" && mkdir "$lost"
sed -i "s/^id = .*/id = 4/" "conf/$lost.conf"
check "it is started under another id" "$dfs" cluster start --dir "$DIR" "$lost"
check "and added" namenode add "4@$addr"
check "it catches up and votes" wait_until 60 member 4 "n and n['voter'] and n['alive'] and n['lag'] < 100"
check "all are well" wait_until 30 "$dfs" report
refuse "an id is used once" "an id is never used again" namenode add "$id@$addr"
touch stop
wait $maker
check "files were made all the while, without an error" test ! -s made.err -a "$(cat made)" -gt 50

other=$(printf '%s\n' nn1 nn2 nn3 | grep -vx -e "$lost" -e "$(leader)" | head -n 1)
"$dfs" cluster kill --dir "$DIR" "$other"
check "its vote counts: one of the old ones may die" bash -c "echo x >'$MNT/after' && rm '$MNT/after'"
"$dfs" cluster start --dir "$DIR" "$other"
check "all are well again" wait_until 60 "$dfs" report
check "it can be given the lead" namenode lead 4
check "and leads" wait_until 20 member 4 "n['role'] == 'leader'"
check "the tree is what it was" diff -r --no-dereference tree "$MNT/tree"
check "each file that was made is there" bash -c "for i in \$(seq \$(cat made)); do [ \"\$(cat '$MNT'/made-\$i)\" = \$i ] || exit 1; done"
log_ignore='another data directory'
check_logs
done_testing
