#!/usr/bin/env bash
# What disks do wrong: a torn and a damaged Raft log, a damaged RocksDB, a flipped byte in a chunk, a
# chunk file that is gone, full disks of a datanode and of a namenode. The mount goes on (a full disk is
# ENOSPC, and deleting works), what is wrong is told and healed, and nothing is lost.
# Two of the disks are small: tmpfs, mounted by this test.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

DATANODE_DISK=${DATANODE_DISK:-160m}
NAMENODE_DISK=${NAMENODE_DISK:-640m}

DIR=$(mktemp -d "${TMPDIR:-/tmp}/dfs-e2e-XXXXXX")
mkdir -p "$DIR/dn1/t1" "$DIR/nn1"
mount -t tmpfs -o "size=$DATANODE_DISK" tmpfs "$DIR/dn1/t1" && mount -t tmpfs -o "size=$NAMENODE_DISK" tmpfs "$DIR/nn1" || {
    umount "$DIR/dn1/t1"
    echo "Bail out! no tmpfs can be mounted"
    exit 1
}
cluster_up --datanodes 3
cd "$DIR" || exit 1

same_content() { (cd "$MNT" && sha256sum --quiet -c "$DIR/sums"); }
remember() { (cd "$MNT" && find . -type f -exec sha256sum {} +) >"$DIR/sums"; }
# mark: what the logs hold by now is not what logged() looks for.
declare -A marks
mark() {
    local f
    for f in "$DIR"/log/*.log; do marks[$f]=$(stat -c %s "$f"); done
}
in_log() { # NODES PATTERN
    local f
    for f in "$DIR"/log/$1.log; do
        tail -c "+$((${marks[$f]:-0} + 1))" "$f" | grep -qE -- "$2" && return
    done
    return 1
}
logged() { check "$1" wait_until 20 in_log "$2" "$3"; } # NAME NODES PATTERN
metric() { curl -sf "http://127.0.0.1:$(sed -n 's/^http = .*:\([0-9]*\)$/\1/p' "conf/$1.conf")/metrics" | awk -v m="$2" '$1 == m {print $2}'; }
well() { check "$1" wait_until 60 bash -c "'$dfs' report && '$dfs' cluster status --dir '$DIR'"; }
# The namenode that is not the leader, of nn2 and nn3.
follower() { [ "$(leader)" = nn2 ] && echo nn3 || echo nn2; }
other() { [ "$1" = nn2 ] && echo nn3 || echo nn2; }
# Hands the lead to NODE.
leads() { [ "$(leader)" = "$1" ]; }
hand_over() { leads "$1" || "$dfs" namenode transfer "${1#nn}" --config conf/operator.conf; }
can_lead() {
    wait_until 20 hand_over "$1" || hand_over "$1" || return
    wait_until 20 leads "$1" && echo x >"$MNT/x" && [ "$(cat "$MNT/x")" = x ] && rm "$MNT/x" && ls "$MNT/tree" >"$DIR/ls" && leads "$1"
}
entries() { for i in $(seq "$1"); do echo "$i" >"$MNT/entry-$2-$i" || return; done; }

check "a certificate for the operator" "$dfs" pki issue operator admin --dir pki --out pki
sed 's,/pki/client\.,/pki/operator.,' conf/dfs.conf >conf/operator.conf
make_tree "$DIR/tree" 200
cp -a "$DIR/tree" "$MNT/tree"
head -c 20000000 /dev/urandom >"$MNT/large" && "$dfs" sync "$MNT"
remember

# ---- the Raft log ----
# Where the records of the newest segment end, behind the last byte that is not zero, and one of their
# bytes in the middle: between them are zeros that nobody reads.
segment_end() {
    python3 - "$1" <<'P'
import glob, sys
path = sorted(glob.glob(sys.argv[1] + "/log/seg-*"))[-1]
data = open(path, "rb").read().rstrip(b"\0")
print(path, len(data), next(i for i in range(len(data) // 2, len(data)) if data[i]))
P
}
flip() { # FILE OFFSET: one bit of the byte there
    python3 -c 'import sys
f = open(sys.argv[1], "r+b"); f.seek(int(sys.argv[2])); b = f.read(1); f.seek(-1, 1); f.write(bytes([b[0] ^ 4]))' "$1" "$2"
}

n=$(follower)
mark
"$dfs" cluster kill --dir "$DIR" "$n"
# shellcheck disable=SC2046
set -- $(segment_end "$n")
truncate -s $(($2 - 40)) "$1"
check "entries are written meanwhile" entries 20 torn
"$dfs" cluster start --dir "$DIR" "$n"
well "a namenode starts with a log that is cut off in its last entry"
logged "  and says what it lacks" "$n" "log entries are damaged and will be fetched from the leader from="

n=$(follower)
mark
"$dfs" cluster kill --dir "$DIR" "$n"
# shellcheck disable=SC2046
set -- $(segment_end "$n")
flip "$1" "$3"
"$dfs" cluster start --dir "$DIR" "$n"
well "a namenode starts with a damaged entry in the middle of its log"
logged "  and says so" "$n" "log entries are damaged and will be fetched from the leader from="
"$dfs" cluster kill --dir "$DIR" "$(other "$n")"
check "  and can lead, with nn1 alone" can_lead "$n"
"$dfs" cluster start --dir "$DIR" nn2 nn3 >/dev/null 2>&1
well "all three are back"

# ---- RocksDB ----
# With what a log of one segment cannot give back: the store is all there is. Always the same one, since
# after the first harm its store came as a snapshot, and so has tables for certain.
n=$(follower)
store_harm() { # NAME COMMAND: is run in the store
    mark
    "$dfs" cluster stop --dir "$DIR" "$n"
    check "$1: can be done" bash -c "cd \"\$(ls -d '$DIR/$n'/db-* | tail -n 1)\" && $2"
    "$dfs" cluster start --dir "$DIR" "$n"
    well "$1: the namenode is back by itself"
    logged "  and says why it began anew" "$n" "the metadata store is damaged: it is set aside"
    "$dfs" cluster kill --dir "$DIR" "$(other "$n")"
    check "  and can lead, with nn1 alone" can_lead "$n"
    "$dfs" cluster start --dir "$DIR" nn2 nn3 >/dev/null 2>&1
    well "  all three are back"
    check "  with one store each" test "$(ls -d "$DIR"/nn?/db-* | wc -l)" = 3
    check "  and nothing to mend" test ! -e "$DIR/$n/DIVERGED"
}
store_harm "RocksDB's CURRENT names nothing" "echo MANIFEST-999999 >CURRENT"
store_harm "a table of RocksDB is cut off" 'ls *.sst && for f in *.sst; do truncate -s -30 $f; done'
rm -f "$MNT"/entry-*
remember
check "all content is what it was" same_content

# ---- chunks ----
harm_chunks() { # NODE PART: a byte of each chunk file's data, PART of four from its beginning
    python3 - "$1" "$2" <<'P'
import glob, os, sys
for path in glob.glob(sys.argv[1] + "/t1/c/*/*"):
    with open(path, "r+b") as f:
        size = os.fstat(f.fileno()).st_size - 131072
        if size > 16384:  # So that the blocks of two copies are different ones.
            f.seek(131072 + size // 4 * int(sys.argv[2]))
            byte = f.read(1)[0]
            f.seek(-1, 1)
            f.write(bytes([byte ^ 1]))
            print(path)
P
}
found() { echo $(($(metric dn2 dfs_dn_bad_blocks_total) + $(metric dn3 dfs_dn_bad_blocks_total))); }
# Two copies of three are damaged, in different places. Readers choose theirs, for each chunk another:
# until one has met it.
read_until_found() {
    for _ in $(seq 10); do
        "$dfs" cat /large | cmp - "$DIR/large.own" || return 1
        rm -rf "$DIR/got" && "$dfs" get /tree "$DIR/got" && diff -r --no-dereference "$DIR/tree" "$DIR/got" || return 1
        [ "$(found)" -gt "$healed_before" ] && return
    done
    echo "nobody has read a damaged copy"
    return 1
}
heal_all() { "$dfs" fsck --replicas && ! "$dfs" fsck --replicas | grep healed; }
# The mount reads each file once, past the page cache, which knows the right bytes.
mount_finds() {
    local f before
    before=$(found)
    while IFS= read -r -d '' f; do
        dd if="$MNT/$f" iflag=direct bs=1M status=none | cmp - "$f" || return 1
    done < <(find large.own tree -type f -size +16k -print0)
    [ "$(found)" -gt "$before" ] || {
        echo "it has read no damaged copy"
        return 1
    }
}
cp "$MNT/large" "$DIR/large.own" && cp "$DIR/large.own" "$MNT/large.own"
"$dfs" sync "$MNT"
mark
check "bytes are flipped on dn2 and dn3" test -n "$(harm_chunks dn2 1)" -a -n "$(harm_chunks dn3 2)"
check "the mount reads the right bytes all the same" mount_finds
logged "  a datanode says what is damaged, and that it is healed" 'dn[23]' "damaged block pg=[0-9]+ target=[0-9]+ chunk=[0-9]+ block=[0-9]+ healed=1"
check "  and what nobody has read is healed" wait_until 60 heal_all
rm "$MNT/large.own" && "$dfs" sync "$MNT"
mark
healed_before=$(found)
check "bytes are flipped again" test -n "$(harm_chunks dn2 1)" -a -n "$(harm_chunks dn3 2)"
check "readers get the right bytes all the same" read_until_found
logged "  a datanode says what is damaged, and that it is healed" 'dn[23]' "damaged block pg=[0-9]+ target=[0-9]+ chunk=[0-9]+ block=[0-9]+ healed=1"
check "  dfs report counts it" wait_until 20 bash -c "'$dfs' report | grep -qE 'damaged blocks: [1-9][0-9]*, [1-9][0-9]* healed'"
check "dfs fsck --replicas finds the others and has them healed" \
    bash -c "'$dfs' fsck --replicas | tee '$DIR/fsck.out'; grep -qE 'chunks? had damaged blocks, which were healed' '$DIR/fsck.out'"
check "  then nothing is left to heal" bash -c "! '$dfs' fsck --replicas | grep healed"
check "  dfs report is content" "$dfs" report
victim=$(find dn3/t1/c -type f -size +130k | head -n 1)
"$dfs" cluster kill --dir "$DIR" dn3
rm "$victim"
"$dfs" cluster start --dir "$DIR" dn3
well "a datanode starts without one of its chunk files"
check "  the file is made again, the same" wait_until 60 "$dfs" fsck --replicas
check "  it is there" test -s "$victim"
victim=$(find dn2/t1/c -type f -size +130k | head -n 1)
rm "$victim"
again() { "$dfs" fsck --replicas && test -s "$victim"; }
check "one that goes under a running datanode is made again too, once it is looked for" wait_until 60 again
well "  and all is well then"
check "all content is what it was" same_content
check "dfs report is content" "$dfs" report

# ---- a full disk of a datanode ----
fill() { # until ENOSPC, which has to come
    local i
    for i in $(seq 100); do
        head -c 8000000 /dev/zero | tr '\0' "$((i % 10))" >"$MNT/fill-$i" 2>"$DIR/fill.err" || {
            grep -q "No space left on device" "$DIR/fill.err" || cat "$DIR/fill.err"
            grep -q "No space left on device" "$DIR/fill.err"
            return
        }
        ls -l "$MNT/fill-$i" >/dev/null
        (cd "$MNT" && sha256sum "fill-$i") >>"$DIR/fill.sums"
    done
    echo "it never got full"
    return 1
}
target_is_full() { # the smallest
    "$dfs" report --json | python3 -c 'import json, sys
t = min(json.load(sys.stdin)["targets"], key=lambda t: t["bytes_total"])
sys.exit(t["bytes_free"] * 8 >= t["bytes_total"])'
}
check "a full datanode is ENOSPC at the mount" fill
check "  without a file that was complete being lost" bash -c "cd '$MNT' && sha256sum --quiet -c '$DIR/fill.sums'"
check "  small files can still be made (they need no chunk)" bash -c "echo small >'$MNT/small' && [ \"\$(cat '$MNT/small')\" = small ]"
check "  no datanode is thrown out" all_serving
refuse "  the report says which one is full" 'datanode dn1, [^)]*\) is nearly full' "$dfs" report
check "  what was there can be read" same_content
check "  dfs report says which it is" wait_until 20 target_is_full
check "  deleting works" bash -c "rm '$MNT'/fill-* '$MNT/small'"
check "  and makes room: writing works again" wait_until 60 bash -c "head -c 40000000 /dev/urandom >'$MNT/again' && rm '$MNT/again'"
check "  replicas are the same" wait_until 30 "$dfs" fsck --replicas

# Somebody else's file takes the last byte of the disk, beyond the reserve.
dd if=/dev/zero of=dn1/t1/lost+found bs=1M >/dev/null 2>&1
check "a disk without a byte left: writing fails, or goes on without it" bash -c "head -c 20000000 /dev/urandom >'$MNT/tight' 2>'$DIR/tight.err' || grep -q 'No space left' '$DIR/tight.err'"
check "  deleting works" rm -f "$MNT/tight"
check "  what was there can be read" same_content
rm dn1/t1/lost+found
well "  with room again all is well"
check "  writing works again" wait_until 30 bash -c "head -c 20000000 /dev/urandom >'$MNT/again' && rm '$MNT/again'"
check "  replicas are the same" wait_until 30 "$dfs" fsck --replicas

# ---- a full disk of a namenode ----
mark
check "the namenode with the small disk leads" can_lead nn1
free=$(df --output=avail -B1 nn1 | tail -n 1)
fallocate -l $((free - 8000000)) nn1/snap-filler
enospc() { ! "$@" 2>"$DIR/err" && grep -q "No space left on device" "$DIR/err"; }
touch "$MNT/doomed" "$MNT/doomed2"
logged "a namenode tells that its disk is nearly full" nn1 "the disk is nearly full: only deleting is allowed dir=$DIR/nn1 free="
check "  names cannot be made" wait_until 20 bash -c "! mkdir '$MNT/full' 2>'$DIR/err' && grep -q 'No space left on device' '$DIR/err' || { rmdir '$MNT/full'; false; }"
check "  nor files" enospc touch "$MNT/full"
check "  nor big ones" enospc cp "$DIR/large.own" "$MNT/full"
check "  deleting works" rm "$MNT/doomed"
check "  reading works" same_content
dd if=/dev/zero of=nn1/snap-filler2 bs=64k >/dev/null 2>&1
check "  deleting works to the last byte" rm "$MNT/doomed2"
"$dfs" cluster kill --dir "$DIR" nn1
"$dfs" cluster start --dir "$DIR" nn1
check "  it can be started on the full disk" wait_until 30 bash -c "'$dfs' cluster status --dir '$DIR' | grep -qE '^nn1 +(leader|follower)'"
# It follows now. The leader, which has room, must not propose what would be its end.
no_names() { enospc mkdir "$MNT/full" || { rmdir "$MNT/full" && false; }; }
check "  the leader knows of it: names cannot be made" wait_until 20 no_names
refuse "  dfs report says which one is full" 'the disk of namenode 1 \([^)]*\) is nearly full' "$dfs" report
check "  it has not died" all_run
check "  reading works" same_content
rm nn1/snap-filler*
check "  with room again names are made" wait_until 30 bash -c "mkdir '$MNT/room' && rmdir '$MNT/room'"
well "  and all is well"

check "all content is what it was" same_content
check "and in all replicas" "$dfs" fsck --replicas
log_ignore='damaged|nearly full|chunk file is gone|rocksdb|metadata store|a block|No space|ballast'
check_logs
done_testing
