#!/usr/bin/env bash
# One flipped bit on the disk of one namenode, in each kind of file it has, while it is down and while
# it runs. Each is told and made good by itself, or refused with a sentence that says what and where;
# the mount goes on meanwhile; afterwards each namenode leads in turn and shows the same tree.
#
#   KINDS=all ROUNDS=3 SEED=7 tests/e2e/bit_flips.sh     KINDS: some of those in `kinds`, or all
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# short: what `make check` takes.
: "${KINDS:=short}" "${ROUNDS:=1}" "${SEED:=$RANDOM}"
kinds="log-record log-header log-headers ring meta metas identity members current db-manifest db-options db-table db-table-running db-table-cold snap-in snap-out"
[ "$KINDS" = short ] && KINDS="log-record metas db-table"
[ "$KINDS" = all ] && KINDS=$kinds
echo "# SEED=$SEED KINDS=$KINDS ROUNDS=$ROUNDS"

cluster_up --datanodes 3
cd "$DIR" || exit 1
"$dfs" pki issue operator admin --dir pki --out pki >"$DIR/pki.out" 2>&1
sed 's,/pki/client\.,/pki/operator.,' conf/dfs.conf >conf/operator.conf
make_tree "$DIR/tree" 60
cp -a "$DIR/tree" "$MNT/tree" && "$dfs" sync "$MNT"

# flip PATTERN HOW: one bit of one file, of a byte that is not zero: any, or one from A to B (A-B).
flip() {
    python3 - "$SEED" "$@" <<'P'
import glob, random, sys
rng = random.Random(int(sys.argv[1]))
path = sorted(glob.glob(sys.argv[2]))[-1]
data = open(path, "rb").read()
where = [int(x) for x in sys.argv[3].split("-")] if sys.argv[3] != "any" else [0, len(data)]
places = [i for i in range(where[0], min(where[-1], len(data))) if data[i]]
at, bit = rng.choice(places), rng.randrange(8)
with open(path, "r+b") as f:
    f.seek(at)
    f.write(bytes([data[at] ^ 1 << bit]))
print(path, at, bit)
P
}
unflip() { # PATH AT BIT
    python3 -c 'import sys
f = open(sys.argv[1], "r+b"); f.seek(int(sys.argv[2])); b = f.read(1)[0]; f.seek(-1, 1); f.write(bytes([b ^ 1 << int(sys.argv[3])]))' "$@"
}
follower() { [ "$(leader)" = nn2 ] && echo nn3 || echo nn2; }
leads() { [ "$(leader)" = "$1" ]; }
hand_over() { leads "$1" || "$dfs" namenode transfer "${1#nn}" --config conf/operator.conf; }
can_lead() { wait_until 30 hand_over "$1" && wait_until 20 leads "$1" && wait_until 20 touch "$MNT/by-$1"; }
# One whose store is damaged may end of it as soon as it begins to lead.
ended() { gone "$(cat "run/$1.pid" 2>/dev/null)"; }
ends_or_hands_over() { ended "$1" || hand_over "$1"; }
ends_or_leads() { ended "$1" || leads "$1"; }
ends_or_is_used() { ended "$1" || touch "$MNT/by-$1"; }
can_lead_or_ends() { wait_until 30 ends_or_hands_over "$1" && wait_until 20 ends_or_leads "$1" && wait_until 20 ends_or_is_used "$1"; }
well() { wait_until 60 bash -c "'$dfs' report && '$dfs' cluster status --dir '$DIR'"; }
works() { echo "$1" >"$MNT/work" && [ "$(cat "$MNT/work")" = "$1" ] && ls -R "$MNT/tree" >"$DIR/ls"; }
said() { tail -c "+$((mark + 1))" "log/$n.log" | grep -qE -- "$1"; }
db() { find "$DIR/$n" -maxdepth 1 -name 'db-*' | sort -V | tail -n 1; }

# harm FILE HOW [FILE HOW]: with the namenode down; `at` has what was flipped. A stop in order flushes
# the store: then it has tables.
harm() {
    at=()
    case $kind in
    db-*) "$dfs" cluster stop --dir "$DIR" "$n" ;;
    *) "$dfs" cluster kill --dir "$DIR" "$n" ;;
    esac
    mark=$(stat -c %s "log/$n.log")
    while [ $# -gt 0 ]; do
        SEED=$((SEED + 1))
        at+=("$(flip "$1" "$2")")
        shift 2
    done
}
# A damaged block of a table is met when somebody asks for it, at the latest by the scrub: its namenode
# ends then, and whoever looks after it starts it again, as systemd does.
start_the_ended() {
    local node
    for node in nn1 nn2 nn3; do
        ! ended "$node" || "$dfs" cluster start --dir "$DIR" "$node"
    done
    "$dfs" report && "$dfs" cluster status --dir "$DIR"
}
revived() { wait_until 60 start_the_ended; }
back() {
    case $kind in
    db-* | snap-out) revived ;;
    *) well ;;
    esac
}
# healed KIND PATTERN FILE HOW...: by itself, and says PATTERN.
healed() {
    local pattern=$2
    shift 2
    harm "$@"
    check "$kind: ${at[*]}: the mount goes on" works "$kind"
    "$dfs" cluster start --dir "$DIR" "$n"
    check "  $n is back by itself" back
    [ -z "$pattern" ] || check "  and says what it found" wait_until 10 said "$pattern"
}
# refused KIND PATTERN FILE HOW...: it does not start, and says PATTERN; with the right bits it does.
refused() {
    local pattern=$2 a
    shift 2
    harm "$@"
    "$dfs" cluster start --dir "$DIR" "$n" >"$DIR/start.out" 2>&1
    check "$kind: ${at[*]}: $n is refused, and says why" wait_until 20 said "$pattern"
    check "  the mount goes on" works "$kind"
    for a in "${at[@]}"; do
        # shellcheck disable=SC2086 # three words
        unflip $a
    done
    "$dfs" cluster start --dir "$DIR" "$n" >"$DIR/start.out" 2>&1
    check "  with the right bits $n is back" well
}
# It leads, and all is asked of it. Either nobody needs what was flipped, or it ends and another one
# goes on; at its next start it is well.
while_running() {
    local where
    "$dfs" cluster stop --dir "$DIR" "$n"
    "$dfs" cluster start --dir "$DIR" "$n"
    check "$1: $n leads" can_lead "$n"
    SEED=$((SEED + 1))
    where=$(flip "$(db)/*.sst" any)
    check "  $where: the mount goes on" works "$1"
    "$dfs" cluster kill --dir "$DIR" "$n" >/dev/null 2>&1
    "$dfs" cluster start --dir "$DIR" "$n"
    check "  $n is back by itself" back
}

# What was not met by then would be met when another one is down: the store is given up.
ask_and_replace() {
    check "  $n leads and is asked for all" can_lead_or_ends "$n"
    check "  the tree is what it was" diff -r --no-dereference "$DIR/tree" "$MNT/tree"
    check "  all are well again" back
    healed "$kind, and the rest" "$anew" "$(db)/MANIFEST-*" 0-60
}

# The configuration of all namenodes, which start anew with it.
configure() { # KEY=VALUE...
    local node set
    for node in nn1 nn2 nn3; do
        for set in "$@"; do
            sed -i "/^${set%=*} = /d; s/^\[namenode\]/&\n${set%=*} = ${set#*=}/" "conf/$node.conf"
        done
        "$dfs" cluster stop --dir "$DIR" "$node" && "$dfs" cluster start --dir "$DIR" "$node"
        well || return 1
    done
}
largest() { find "$1" -name '*.sst' -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-; }
middle() { # FILE: a range in it that holds records, of which nobody asks for one
    local size
    size=$(stat -c %s "$1")
    echo "$((size / 3))-$((size / 2))"
}

# bulk write|check: metadata of 6 MB, always the same.
bulk() {
    python3 - "$1" "$MNT/bulk" <<'P'
import os, random, sys
os.makedirs(sys.argv[2], exist_ok=True)
rng = random.Random(7)
for i in range(100):
    path, value = f"{sys.argv[2]}/{i}", rng.randbytes(60000)
    if sys.argv[1] == "check":
        assert os.getxattr(path, "user.bulk") == value, path
        continue
    open(path, "a").close()
    os.setxattr(path, "user.bulk", value)
P
}
# n is down until the others have cut their logs beyond what it has: it needs a snapshot. That takes some
# seconds, as the sender is slow. The segment it ends in may be one of 64 MB from before.
fall_behind() {
    local last
    "$dfs" cluster kill --dir "$DIR" "$n"
    # shellcheck disable=SC2012 # names of ours
    last=$DIR/$(leader)/log/$(ls "$DIR/$(leader)/log" | grep '^seg-' | tail -n 1)
    for _ in $(seq 14); do
        bulk write || return 1
        sleep 1.5
        [ -e "$last" ] || return 0
    done
    return 1
}
mark_log() { n=$1 && mark=$(stat -c %s "log/$1.log"); }
has_some() { [ -n "$(find "$1" -name '*.sst' -size +64k)" ]; }
# What has arrived, while the one that fetches it is down.
fetch_harmed() {
    check "  it fetches one" wait_until 60 has_some "$DIR/$n/snap-in"
    "$dfs" cluster kill --dir "$DIR" "$n"
    SEED=$((SEED + 1))
    at=$(flip "$(largest "$DIR/$n/snap-in")" any)
    check "  $at: the mount goes on" works "$kind"
    "$dfs" cluster start --dir "$DIR" "$n" >"$DIR/start.out" 2>&1
    check "  $n is back by itself" well
    check "  the file is fetched anew" wait_until 60 said "what was here of a snapshot's file is damaged or of another one"
    check "  and the snapshot taken" wait_until 60 said 'snapshot installed'
    check "  $n leads" can_lead "$n"
}
# What is sent lies under two names, in the snapshot and in the store of the one that sends it.
taken() { revived >"$DIR/revive.out" 2>&1 && said 'snapshot installed'; }
send_harmed() {
    sender=$(leader)
    check "  it fetches one" wait_until 60 has_some "$DIR/$n/snap-in"
    SEED=$((SEED + 1))
    at=$(flip "$(largest "$DIR/$sender/snap-out")" any)
    check "  $at: a good one is taken, of the one that leads or of the next" wait_until 120 taken
    check "  the mount goes on" works "$kind"
    check "  $n leads" can_lead "$n"
}
# The configuration in which a namenode needs a snapshot soon, and it takes a while; and as it was.
slow_snapshots='segment=8M segments_min=1 memtable=1M flush=1s snapshot_rate=1M'
usual='segment=64M segments_min=4 memtable=64M flush=30s snapshot_rate=100M'
# snapshot HOW: n needs one, and HOW is done to it on its way.
snapshot() {
    local starter
    # shellcheck disable=SC2086 # words
    configure $slow_snapshots
    check "$kind: $n is so far behind that it needs a snapshot" fall_behind
    mark_log "$n"
    "$dfs" cluster start --dir "$DIR" "$n" >"$DIR/behind.out" 2>&1 &
    starter=$!
    "$1"
    wait "$starter"
    check "  what was written while it was down is there" bulk check
}
anew='the metadata store is damaged: it is set aside, and a snapshot'
small_file='identity, members or CURRENT in the data directory is damaged or gone'
for round in $(seq "$ROUNDS"); do
    for kind in $KINDS; do
        n=$(follower)
        case $kind in
        log-record) healed "$kind" "log entries are damaged and will be fetched from the leader" "$n/log/seg-*" 8192-999999999 ;;
        log-header) healed "$kind" "one copy of a log segment's header is torn or damaged: it is written anew" "$n/log/seg-*" 0-56 ;;
        log-headers) healed "$kind" "a log segment whose header is torn or damaged is given up" "$n/log/seg-*" 0-56 "$n/log/seg-*" 4096-4152 ;;
        ring) healed "$kind" "headers in the ring are torn or damaged" "$n/log/ring" any ;;
        meta) healed "$kind" "one copy of the hard state is torn or damaged" "$n/log/meta" 4096-4176 ;;
        metas) refused "$kind" "its hard state is damaged: this replica has to join anew" "$n/log/meta" 0-80 "$n/log/meta" 4096-4176 ;;
        identity | members) refused "$kind" "$small_file" "$n/$kind" any ;;
        current) refused "$kind" "$small_file" "$n/CURRENT" any ;;
        db-manifest) healed "$kind" "$anew" "$(db)/MANIFEST-*" 0-60 ;;
        db-options) healed "$kind" "" "$(db)/OPTIONS-*" any ;;
        db-table)
            healed "$kind" "" "$(db)/*.sst" any
            ask_and_replace
            ;;
        db-table-running)
            while_running "$kind"
            ask_and_replace
            ;;
        db-table-cold)
            configure scrub=2s
            harm "$(largest "$(db)")" "$(middle "$(largest "$(db)")")"
            "$dfs" cluster start --dir "$DIR" "$n" >"$DIR/start.out" 2>&1
            check "$kind: ${at[*]}: a scrub finds what nobody reads" wait_until 60 said 'was read .*damaged=yes'
            check "  $n ends" wait_until 20 ended "$n"
            check "  the mount goes on" works "$kind"
            check "  it is set aside, and filled by the others" revived
            check "  and says so" said "$anew"
            configure scrub=off
            ;;
        snap-in)
            snapshot fetch_harmed
            # shellcheck disable=SC2086 # words
            configure $usual
            ;;
        snap-out)
            snapshot send_harmed
            n=$sender
            ask_and_replace
            # shellcheck disable=SC2086 # words
            configure $usual
            ;;
        *) not_ok "no such kind: $kind" ;;
        esac
    done
done
for n in nn1 nn2 nn3; do
    revived >"$DIR/revive.out" 2>&1
    check "$n leads" can_lead $n
    check "  the tree is what it was" diff -r --no-dereference "$DIR/tree" "$MNT/tree"
done
check "all are well" revived
check "all copies are the same" "$dfs" fsck --replicas
check "nothing is left to mend" wait_until 20 bash -c "! ls '$DIR'/nn?/DIVERGED"
log_ignore='damaged|has to stop|cannot be opened|cannot be read|rocksdb|cannot start|metadata store|lacks what was cut'
check_logs
done_testing
