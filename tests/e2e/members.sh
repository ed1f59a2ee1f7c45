#!/usr/bin/env bash
# Namenodes are replaced, and the leadership moves, while programs work on a mount and notice nothing: one
# has lost its disk and is replaced as on a host of its own, by commands that are broken off; then the
# leader is, by `dfs cluster replace`; then the leader is told to hand over, and is stopped.
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cluster_up --datanodes 3
cd "$DIR" || exit 1
check "a certificate for the operator" "$dfs" pki issue operator admin --dir pki --out pki
sed 's,/pki/client\.,/pki/operator.,' conf/dfs.conf >conf/operator.conf
namenode() { "$dfs" namenode "$@" --config conf/operator.conf; }
# What `dfs report` says of the namenode with this id: a Python expression over n is true.
member() {
    "$dfs" report --json | python3 -c "import json, sys
n = {x['id']: x for x in json.load(sys.stdin)['namenodes']}.get($1)
sys.exit(0 if $2 else 'got: %s' % n)"
}
id_of() { sed -n 's/^id = //p' "conf/$1.conf"; }
now_us() { echo "${EPOCHREALTIME/[.,]/}"; }
# The longest call of the load that was under way since then, in ms.
stall_since() { awk -v t="$1" '$1 == "slow" && $2 + $3 > t && $3 > max {max = $3} END {print int(max / 1000)}' load.out; }

make_tree tree 200
cp -a tree "$MNT/tree"
"$DFS_BUILDDIR/bench/meta_load" "$MNT" 3 3000 >load.out 2>load.err &
load=$!

lost=$([ "$(leader)" = nn3 ] && echo nn2 || echo nn3)
old=${lost#nn} addr=$(sed -n 's/^listen = //p' "conf/$lost.conf" | head -n 1)
"$dfs" cluster kill --dir "$DIR" "$lost"
check "who is not heard is unreachable, not a follower" wait_until 20 member "$old" "n['role'] == 'unreachable' and not n['alive']"
refuse "the list says it, and how long" " $old .* unreachable .* ago" namenode list
other=$(printf '%s\n' nn1 nn2 nn3 | grep -vx -e "$lost" -e "$(leader)")
refuse "one more may not go" "they would have no majority" namenode remove "$(id_of "$other")"
refuse "nor be replaced" "they would have no majority" "$dfs" cluster replace --dir "$DIR" "$other"
rm -rf "${DIR:?}/$lost" && mkdir "$lost"
refuse "a client's certificate is not enough" "admin" "$dfs" namenode remove "$old"
refuse "an id that is not there" "the group has no namenode of this id" namenode remove 99
refuse "nor can it be replaced" "the group has no namenode 99" namenode replace 99 "4@$addr"
"$dfs" cluster start --dir "$DIR" "$lost" >/dev/null 2>&1
check "with an empty directory it is refused under its old id" \
    wait_until 20 grep -q "a namenode has another data directory than it had" log/nn1.log "log/$(leader).log"
"$dfs" cluster kill --dir "$DIR" "$lost"

# On its host: an empty directory, another id. The command does not wait for that, and may be broken off.
rm -rf "${DIR:?}/$lost" && mkdir "$lost"
sed -i "s/^id = .*/id = 4/" "conf/$lost.conf"
timeout 3 "$dfs" namenode replace "$old" "4@$addr" --config conf/operator.conf >replace.out 2>&1
check "without the new one it waits, and says for what" grep -q "namenode 4 is not heard at $addr" replace.out
"$dfs" cluster start --dir "$DIR" "$lost"
check "the same command goes on" timeout 60 "$dfs" namenode replace "$old" "4@$addr" --config conf/operator.conf
check "the new one votes" member 4 "n['voter'] and n['alive'] and n['lag'] < 1000"
check "the old one is no member any more" member "$old" "n is None"
check "once more: nothing is left to do" timeout 10 "$dfs" namenode replace "$old" "4@$addr" --config conf/operator.conf
refuse "an id is used once" "an id is never used again" namenode add "$old@$addr"
printf '\n[ids]\n%s = 4\n' "$lost" >>conf/cluster.ini # As `dfs cluster replace` would have noted it.

was=$(leader)
check "the leader is replaced by one command" timeout 60 "$dfs" cluster replace --dir "$DIR" "$was"
check "by one with the next id" member 5 "n['voter'] and n['alive'] and n['addr'] == '$(sed -n 's/^listen = //p' "conf/$was.conf" | head -n 1)'"
check "all are well" wait_until 30 "$dfs" report

# Planned: the leader hands over first. An election would take half a second at least.
shortest=9999
for id in 5 4 5; do
    t=$(now_us)
    check "namenode $id is given the lead" namenode transfer "$id"
    check "and leads" member "$id" "n['role'] == 'leader'"
    sleep 0.3
    stall=$(stall_since "$t")
    shortest=$((stall < shortest ? stall : shortest))
done
check "calls wait for $shortest ms, not for an election" test "$shortest" -lt 400
shortest=9999
for _ in 1 2 3; do
    was=$(leader) t=$(now_us)
    "$dfs" cluster stop --dir "$DIR" "$was"
    sleep 0.3
    stall=$(stall_since "$t")
    shortest=$((stall < shortest ? stall : shortest))
    "$dfs" cluster start --dir "$DIR" "$was"
    wait_until 20 "$dfs" cluster status --dir "$DIR"
done
check "when the leader is stopped for $shortest ms" test "$shortest" -lt 400

kill $load
wait $load
check "the load has seen no error" test $? = 0 -a ! -s load.err
check "and did much" awk '$1 == "calls" && $2 > 300 {n++} END {exit n != 3}' load.out
sed 's/^/# /' load.err
check "the tree is what it was" diff -r --no-dereference tree "$MNT/tree"
log_ignore='another data directory'
check_logs
done_testing
