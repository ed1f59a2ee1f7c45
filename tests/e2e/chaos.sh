#!/usr/bin/env bash
# Random faults under random work. Each namenode, datanode and mount is a host of its own (hosts.sh).
# They are killed, stopped and paused, cut off from each other in every way, slowed down; disks are
# full, wiped, and lose bits (faults.sh). Meanwhile writers on two mounts check every sector
# (chaos_io.c), and fio, tar, diff and git check what they do. No call may fail, but with ENOSPC where
# a disk was filled; nothing may be lost; all copies are the same at the end, nothing deleted stays on a
# disk. At last everything is killed at once.
#
#   SEED=1 DURATION=300 DATANODES=4 DATA_TLS=off WRITERS=4 tests/e2e/chaos.sh
#   FAULTS='pause_leader chain_link rate' tests/e2e/chaos.sh      these only; all; or none
#   WORK='fio git' CRASH_SECONDS=0 tests/e2e/chaos.sh             which programs (tree fio git); no kill
: "${DURATION:=60}" "${SEED:=$((RANDOM * 32768 + RANDOM))}" "${DATANODES:=3}" "${DATA_TLS:=on}"
: "${WRITERS:=4}" "${FAULTS:=all}" "${WORK:=tree fio git}" "${CRASH_SECONDS:=10}"
: "${DATANODE_DISK:=1500m}" "${NAMENODE_DISK:=1000m}"
export DURATION SEED DATANODES DATA_TLS WRITERS FAULTS WORK CRASH_SECONDS DATANODE_DISK NAMENODE_DISK
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=hosts.sh
. "$(dirname "$0")/hosts.sh"
# shellcheck source=faults.sh
. "$(dirname "$0")/faults.sh"
[ -n "${HOSTS_DIR:-}" ] || hosts_enter "$0" "$@"

chaos_io=$DFS_BUILDDIR/tests/e2e/chaos_io
NOT_HERE=
[ "$NET" = yes ] || NOT_HERE=${track_kinds[network]}
echo "# chaos: SEED=$SEED DURATION=$DURATION DATANODES=$DATANODES DATA_TLS=$DATA_TLS WRITERS=$WRITERS FAULTS='$FAULTS' WORK='$WORK'"
[ -z "$NOT_HERE" ] || echo "# no faults of the network: network namespaces and /dev/net/tun are not to be had here"

# ---- work, over and over until $end; each looks at what it did ----
work_tree() { # Copied in by one mount, read by the other.
    rm -rf "$MNT/tree" && tar xpf "$DIR/tree.tar" -C "$MNT" && diff -r --no-dereference "$DIR/tree" "$MNT2/tree"
}
work_fio() {
    (cd "$MNT2" && fio --name=v --filename="$MNT2/fio" --rw=randrw --bs=4k-256k --size=24m --io_size=8m --verify=crc32c \
        --do_verify=1 --verify_fatal=1 --ioengine=psync --fsync=32 --thread --randseed=$RANDOM --output="$DIR/fio.out") ||
        { cat "$DIR/fio.out"; return 1; }
}
work_git() { # Commits on one mount, a clone on the other.
    local git="git -c user.name=x -c user.email=x@example.net -c gc.auto=0 -c core.fsync=all"
    rm -rf "$MNT2/clone"
    if [ ! -d "$MNT/repo" ] || [ $((RANDOM % 6)) = 0 ]; then
        rm -rf "$MNT/repo" && git init -q "$MNT/repo" || return
    fi
    for _ in 1 2 3; do
        cp "$DIR/tree/$(cd "$DIR/tree" && find . -type f -size -100k | shuf -n 1)" "$MNT/repo/file$((RANDOM % 20))" &&
            echo $RANDOM >"$MNT/repo/changed" && $git -C "$MNT/repo" add -A && $git -C "$MNT/repo" commit -qm x || return
    done
    git clone -q --no-local "$MNT/repo" "$MNT2/clone" && git -C "$MNT2/clone" fsck --full --no-progress &&
        diff -r --exclude=.git "$MNT/repo" "$MNT2/clone"
}
# What a program says when a disk was filled, and what it leaves then, is no fault.
fills() { kinds_of disks | grep -q full_; }
had_no_room() { fills && grep -qE 'No space left|ENOSPC|unable to (write|create)' "$1"; }
work_loop() { # NAME
    local rounds=0 full=0 out=$DIR/work.$1
    while [ $SECONDS -lt $end ]; do
        if "work_$1" >"$out" 2>&1; then
            rounds=$((rounds + 1))
        elif had_no_room "$out"; then
            full=$((full + 1))
            rm -rf "$MNT/repo"
            sleep 1
        else
            echo "$1 FAILED in round $((rounds + 1)):"
            tail -n 30 "$out"
            return 1
        fi
        sleep 0.5
    done
    echo "$1: $rounds rounds, $full without room"
}

# chaos SECONDS: faults and work for so long; the work's exit status.
chaos() {
    local end=$((SECONDS + $1)) deadline status=0 pids=() p name
    mkdir "$DIR/shadow" "$MNT/work"
    if fills; then export CHAOS_FULL=1; fi
    "$chaos_io" run "$DIR/shadow" "$1" "$SEED" "$WRITERS" "$MNT/work" "$MNT2/work" >"$DIR/io.out" 2>&1 &
    pids+=($!)
    for name in $WORK; do
        work_loop "$name" >"$DIR/loop.$name" 2>&1 &
        pids+=($!)
    done
    faults_for "$1"
    deadline=$((SECONDS + 600))
    for p in "${pids[@]}"; do
        while ! gone "$p" && [ $SECONDS -lt $deadline ]; do sleep 0.2; done
        if ! gone "$p"; then
            echo "$(ps -o args= -p "$p") still waits ten minutes after all faults"
            ps -o pid=,stat=,wchan:20=,args= -C chaos_io,fio,git,tar,diff,rm
            status=1
            continue
        fi
        wait "$p" || status=1
    done
    cat "$DIR/io.out" "$DIR"/loop.* 2>/dev/null
    return $status
}

no_node_died() {
    ! grep -A2 -B2 -E "DIED BY ITSELF|NOT WHOLE|NOT HEALED|NOT WELL" "$DIR/faults"
}

chunk_files() { find "$DIR"/dn*/t1/c -type f 2>/dev/null; }
no_chunk_files() { [ -z "$(chunk_files)" ]; }
garbage_goes() {
    wait_until 240 no_chunk_files || {
        chunk_files | sort
        "$dfs" report
        return 1
    }
}

kill_everything() {
    local io
    rm -rf "$DIR/shadow"
    mkdir "$DIR/shadow" "$MNT/crash"
    "$chaos_io" run "$DIR/shadow" 600 "$SEED" "$WRITERS" "$MNT/crash" "$MNT2/crash" >"$DIR/io.out" 2>&1 &
    io=$!
    sleep "$CRASH_SECONDS"
    grep FAILED "$DIR/io.out" && return 1
    kill_all_nodes
    wait $io
    node start "${all_nodes[@]}" && node start mount1 mount2
}

# Of two nodes the disks are small, so that they can be filled.
mkdir -p "$HOSTS_DIR/dn1" "$HOSTS_DIR/nn1"
mount -t tmpfs -o "size=$DATANODE_DISK" tmpfs "$HOSTS_DIR/dn1" && mount -t tmpfs -o "size=$NAMENODE_DISK" tmpfs "$HOSTS_DIR/nn1" ||
    NOT_HERE+=" full_dn full_nn"
hosts_up "$DATANODES" "$DATA_TLS"
make_tree "$DIR/tree" 150
tar cf "$DIR/tree.tar" -C "$DIR" tree
: >"$DIR/faults"

check "$DURATION s of work under faults, no call fails" chaos "$DURATION"
echo "# faults:$(faults_done)"
grep -h ' rounds,' "$DIR"/loop.* | sed 's/^/# /'
awk '/operations/ {n += $3; full += $5} END {printf "# writers: %d operations, %d times without room\n", n, full}' "$DIR/io.out"
echo "# $(grep -ohE 'slowest.*' "$DIR/io.out" | sort -k3n | tail -n 1)"
grep -E 'SKIPPED|refused' "$DIR/faults" | sed 's/^/# /'
check "no node died by itself, what was harmed was healed" no_node_died
check "all nodes serve again" wait_until 120 all_serving || "$dfs" report | sed 's/^/# /'
# A wiped datanode is replaced after a minute.
check "every group has all its copies" wait_until 180 fully_replicated || "$dfs" report | sed 's/^/# /'
check "every file is right through both mounts" "$chaos_io" verify "$DIR/shadow" exact "$MNT/work" "$MNT2/work"
check "all replicas are the same" healed
check "the files can be removed" bash -c "rm -rf '$MNT'/*"
check "what was removed leaves the disks" garbage_goes
if [ "$CRASH_SECONDS" != 0 ]; then
    check "everything is killed, and comes up again" kill_everything
    check "all nodes serve again" wait_until 120 all_serving
    check "what was synced is there" "$chaos_io" verify "$DIR/shadow" crash "$MNT/crash" "$MNT2/crash"
    check "all replicas are the same" healed
fi
[ "$NET" = no ] || exec {net_fd}>&-
# Asked for: what was flipped, and the full disks.
log_ignore='damaged|failed its checksum|has to stop .*Bad message|nearly full|No space|metadata store|rocksdb'
check_logs
[ "$NET" = no ] || sed 's/^/# network: /' "$DIR/netswitch.out" | grep packets
if [ "$tests_failed" -gt 0 ]; then
    sed 's/^/# fault: /' "$DIR/faults"
    [ -n "${KEEP_LOGS:-}" ] && cp -r "$DIR/log" "$DIR/faults" "$DIR/io.out" "$DIR"/work.* "$KEEP_LOGS/"
fi
done_testing
