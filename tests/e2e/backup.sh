#!/usr/bin/env bash
# The metadata is saved while the cluster works, the cluster goes on, and then all namenodes lose
# their disks: one is made out of the backup, the datanodes come back to it, and what the backup
# knows is read again; the others join.
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cluster_up --datanodes 3
cd "$DIR" || exit 1
"$dfs" pki issue operator admin --dir pki --out pki >/dev/null
sed 's,/pki/client\.,/pki/operator.,' conf/dfs.conf >conf/operator.conf
backup() { "$dfs" backup "$@" --config conf/operator.conf; }
# A byte of a copy of the backup becomes another one. damage OFFSET
damage() {
    cp backup.tar bad.tar
    printf "\\$(printf %o $((($(od -An -tu1 -j "$1" -N1 backup.tar) + 1) % 256)))" |
        dd of=bad.tar bs=1 seek="$1" conv=notrunc status=none
}
pgs() { # a Python expression over the groups p is true of all
    "$dfs" report --json | python3 -c "import json, sys
sys.exit(0 if all($1 for p in json.load(sys.stdin)['pgs']) else 1)"
}
no_garbage() { "$dfs" report --json | python3 -c "import json, sys
r = json.load(sys.stdin); sys.exit(r['garbage_chunks'] + r['reaping_inodes'])"; }

make_tree tree 60
head -c 3000000 /dev/urandom >big
cp -a tree "$MNT/tree"
for f in kept deleted overwritten shortened appended; do cp big "$MNT/$f"; done
echo small >"$MNT/small"

# ---- create, check, show ----
refuse "a client's certificate is not enough" "role admin" "$dfs" backup create backup.tar
check "a backup is made while files are written" backup create backup.tar
# shellcheck disable=SC2016
check "what was acknowledged is in it, also from a follower that is asked at once" bash -c '
    for i in 1 2 3; do mkdir "$1/dir$i" && "$2" backup create now.tar --force --config conf/operator.conf >now.out || exit 1
        grep -q "point   index" now.out || exit 1; done' _ "$MNT" "$dfs"
refuse "an older one is not replaced unasked" "backup.tar is there; --force" backup create backup.tar
check "nothing half-made is left" test ! -e backup.tar.partial
check "tar knows it" bash -c "tar tf backup.tar | grep -q '^db/CURRENT$' && backup=\$(tar xOf backup.tar MANIFEST.json) && [[ \$backup == *'\"format\": 1'* ]]"
check "it is what it was" "$dfs" backup check backup.tar
check "show says of which cluster" bash -c "'$dfs' backup show backup.tar | grep -qE '^cluster [0-9a-f-]{36}$'"
check "it goes through a pipe" bash -o pipefail -c "'$dfs' backup create - --config conf/operator.conf 2>/dev/null | '$dfs' backup check -"
size=$(stat -c %s backup.tar)
for at in 0 130 600 $((size / 2)) $((size - 1100)) $((size - 1)); do
    damage "$at"
    refuse "byte $at damaged is seen" "backup: bad.tar: it is (damaged|not a backup)" "$dfs" backup check bad.tar
done
head -c $((size / 2)) backup.tar >bad.tar
refuse "one that is cut is seen" "it is cut off" "$dfs" backup check bad.tar
refuse "so is what is none" "not a backup of dfs" "$dfs" backup check big

# ---- the cluster goes on, and then its namenodes lose everything ----
"$dfs" backup show backup.tar >shown
rm "$MNT/deleted"
dd if=/dev/zero of="$MNT/overwritten" bs=4096 count=10 conv=notrunc,fsync status=none
cp "$MNT/overwritten" overwritten
truncate -s 1000 "$MNT/shortened"
cat big >>"$MNT/appended"
{ head -c 1000 big; head -c 2999000 /dev/zero; } >shortened
echo later >"$MNT/later"
check "the deleted file's chunks are gone" wait_until 20 no_garbage
# A follower alone.
rest=$(printf '%s\n' nn1 nn2 nn3 | grep -vx "$(leader)" | head -n 1)
for n in nn1 nn2 nn3; do [ "$n" = "$rest" ] || "$dfs" cluster kill --dir "$DIR" "$n" >/dev/null; done
refuse "without a leader only on request" "no leader says .*; --stale" backup create stale.tar
check "--stale takes what there is, and notes it" bash -c "'$dfs' backup create stale.tar --stale --config conf/operator.conf | grep -q -e '(--stale'"
"$dfs" cluster kill --dir "$DIR" "$rest" >/dev/null
rm -rf "${DIR:?}"/nn[123]

addr=$(sed -n 's/^listen = //p' conf/nn1.conf | head -n 1)
restore() { "$dfs" backup restore "$1" --config conf/nn1.conf; }
refuse "not while the configuration names others" "this one alone" restore backup.tar
sed -i "s/^namenodes = .*/namenodes = 1@$addr/" conf/nn[123].conf
damage $((size / 2))
refuse "nothing is made out of a damaged backup" "damaged" restore bad.tar
check "and nothing is left of the attempt" bash -c "[ -z \"\$(ls -A nn1 | grep -v '^lock\$')\" ]"
check "a namenode is made out of the backup" restore backup.tar
refuse "not twice into one directory" "not empty" restore backup.tar
check "it starts" "$dfs" cluster start --dir "$DIR" nn1
check "the datanodes come back to it, all groups serve" wait_until 30 pgs "any(m['state'] == 'serving' for m in p['members'])"

# ---- what is there ----
check "the mount that lived on reads the tree, byte for byte" diff -r --no-dereference tree "$MNT/tree"
check "and a large file" cmp big "$MNT/kept"
check "and a small one" grep -q small "$MNT/small"
check "what was overwritten since holds the newer bytes" cmp overwritten "$MNT/overwritten"
check "what was made shorter has zeros there" cmp shortened "$MNT/shortened"
check "what was made longer is as long as it was" cmp big "$MNT/appended"
check "what was made since is not known" test ! -e "$MNT/later"
check "what was deleted since has its name" test "$(stat -c %s "$MNT/deleted")" = 3000000
refuse "but not its content, and says so soon" "Input/output error" timeout 10 cat "$MNT/deleted"
refuse "fsck names it, and nothing else" "^/deleted: 1 of 1 chunk" "$dfs" fsck --files
check "only that" bash -c "[ \"\$('$dfs' fsck --files | grep -c ': .* chunk')\" = 1 ]"
check "it can be written, and read again" bash -c "cp big '$MNT/new' && cmp big '$MNT/new' && rm '$MNT/deleted' && cp big '$MNT/deleted' && cmp big '$MNT/deleted'"
check "inode numbers go on far away" test "$(stat -c %i "$MNT/new")" -gt 1000000000000
check "all groups are whole" wait_until 30 pgs "len([m for m in p['members'] if m['state'] == 'serving']) == 3"
check "and all copies are the same" "$dfs" fsck --replicas
check "every file is there" "$dfs" fsck --files

# ---- the others join ----
sed -i "s/^id = .*/id = 4/" conf/nn2.conf
addr2=$(sed -n 's/^listen = //p' conf/nn2.conf | head -n 1)
check "another namenode starts, empty" "$dfs" cluster start --dir "$DIR" nn2
check "and is added" "$dfs" namenode add "4@$addr2" --config conf/operator.conf
voters() { "$dfs" report --json | python3 -c "import json, sys
sys.exit([n['id'] for n in json.load(sys.stdin)['namenodes'] if n['voter'] and n['alive']] != [1, 4])"; }
check "it catches up and votes" wait_until 30 voters
check "a backup of it can be made" backup create again.tar
log_ignore='no member has good bytes'
stopped=nn3
check_logs
done_testing
