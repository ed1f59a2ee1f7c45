#!/usr/bin/env bash
# Random faults under random work: namenodes and datanodes are killed, stopped and paused while
# writers on two mounts check every sector (chaos_io.c). No call may fail, nothing may be lost, all
# copies are the same at the end, nothing deleted stays on a disk. Once a datanode loses its data
# directory on the way (WIPE). Then bytes on the disk of one datanode are flipped while the others come and
# go (DAMAGE_SECONDS). Then everything is killed at once.
#
#   DURATION=60 SEED=1 DATANODES=3 DATA_TLS=on WRITERS=4 WIPE=yes DAMAGE_SECONDS=25 tests/e2e/chaos.sh
. "$(dirname "$0")/lib.sh"

: "${DURATION:=60}" "${SEED:=$((RANDOM * 32768 + RANDOM))}" "${DATANODES:=3}" "${DATA_TLS:=on}"
: "${WRITERS:=4}" "${WIPE:=no}" "${DAMAGE_SECONDS:=0}" "${CRASH_SECONDS:=10}"
chaos_io=$DFS_BUILDDIR/tests/e2e/chaos_io
echo "# chaos: SEED=$SEED DURATION=$DURATION DATANODES=$DATANODES DATA_TLS=$DATA_TLS WRITERS=$WRITERS WIPE=$WIPE"

cluster() {
    local verb=$1
    shift
    "$dfs" cluster "$verb" --dir "$DIR" "$@"
}

# What was done, when, is in $DIR/faults. A node that is not there when its turn comes died by itself.
fault() {
    echo "$(date +%T.%N | cut -c1-12) $*" >>"$DIR/faults"
    cluster "$@" >>"$DIR/faults" 2>&1 || echo "DIED BY ITSELF, or would not start: $*" >>"$DIR/faults"
}

# sleep_between MIN_MS MAX_MS
sleep_between() {
    local ms=$(($1 + RANDOM % ($2 - $1 + 1)))
    sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
}

# One fault of NODE...: gone by kill or by a clean stop, or silent; then back.
strike() {
    local away_ms=$1
    shift
    case $((RANDOM % 4)) in
    0 | 1)
        fault kill "$@"
        sleep_between 0 "$away_ms"
        fault start "$@"
        ;;
    2)
        fault stop "$@"
        sleep_between 0 "$away_ms"
        fault start "$@"
        ;;
    3)
        fault pause "$@"
        sleep_between 1000 "$away_ms"
        fault resume "$@"
        ;;
    esac
}

namenode_faults() {
    local n
    RANDOM=$((SEED % 32768))
    while [ $SECONDS -lt "$1" ]; do
        sleep_between 1500 7000
        case $((RANDOM % 8)) in
        0) # The majority, for a moment.
            n=$((RANDOM % 3))
            strike 2500 nn$((1 + n)) nn$((1 + (n + 1) % 3))
            ;;
        1 | 2) strike 10000 nn$((1 + RANDOM % 3)) ;;
        *) strike 5000 "$(leader | grep . || echo nn1)" ;;
        esac
    done
}

# Every group has all its copies.
fully_replicated() { "$dfs" report | grep -q 'degraded 0, not writable 0, down 0'; }

# A new disk in the place of the old one: only when no copy is missing, or it may be the last.
wipe() {
    wait_until 40 fully_replicated || {
        echo "DIED BY ITSELF: never fully replicated, no datanode can be wiped" >>"$DIR/faults"
        return
    }
    fault kill "$1"
    echo "wiped $1" >>"$DIR/faults"
    rm -rf "${DIR:?}/$1"/t1/*
    fault start "$1"
}

datanode_faults() {
    local first
    RANDOM=$(((SEED + 1) % 32768))
    [ "$WIPE" = no ] || wipe dn$((1 + RANDOM % DATANODES))
    while [ $SECONDS -lt "$1" ]; do
        sleep_between 500 6000
        first=$((RANDOM % DATANODES))
        if [ $((RANDOM % 5)) = 0 ]; then
            strike 6000 dn$((1 + first)) dn$((1 + (first + 1) % DATANODES))
        else
            strike 9000 dn$((1 + first))
        fi
    done
}

# chaos SECONDS: faults and work for so long; the work's exit status.
chaos() {
    local end=$((SECONDS + $1)) io status deadline
    mkdir "$DIR/shadow" "$MNT/work"
    "$chaos_io" run "$DIR/shadow" "$1" "$SEED" "$WRITERS" "$MNT/work" "$DIR/mnt2/work" >"$DIR/io.out" 2>&1 &
    io=$!
    namenode_faults "$end" &
    local nn=$!
    datanode_faults "$end" &
    local dn=$!
    wait $nn $dn
    deadline=$((SECONDS + 60))
    while kill -0 $io 2>/dev/null; do
        if [ $SECONDS -ge $deadline ]; then
            echo "a call still waits a minute after all faults"
            for f in /proc/"$io"/task/*/children; do
                ps -o pid=,stat=,wchan= -p "$(tr ' ' ',' <"$f" | sed 's/,$//')"
            done
            cat "$DIR/io.out"
            return 1
        fi
        sleep 0.2
    done
    wait $io
    status=$?
    cat "$DIR/io.out"
    return $status
}

no_node_died() {
    ! grep -A2 -B2 "DIED BY ITSELF" "$DIR/faults"
}

chunk_files() {
    find "$DIR"/dn*/t1/c -type f 2>/dev/null | wc -l
}
no_chunk_files() { [ "$(chunk_files)" = 0 ]; }
garbage_goes() {
    wait_until 75 no_chunk_files || {
        find "$DIR"/dn*/t1/c -type f | sort
        "$dfs" report
        return 1
    }
}

# A byte in the data of a chunk of that datanode: nothing but reading it tells.
flip_byte() {
    local file at byte
    file=$(find "$DIR/$1"/t*/c -type f -size +200k 2>/dev/null | shuf -n 1)
    [ -n "$file" ] || return
    at=$((131072 + RANDOM % 16384))
    byte=$(od -An -tu1 -j $at -N 1 "$file")
    # shellcheck disable=SC2059 # the format is the byte
    printf "\\x$(printf %02x $((byte ^ (1 << RANDOM % 8))))" | dd of="$file" bs=1 seek=$at conv=notrunc status=none
    echo "flipped ${file#"$DIR"/} at $at" >>"$DIR/faults"
}
# Of one datanode the disk rots, of the others one at a time is away: a good copy is always left.
damage_faults() {
    local bad=$((1 + SEED % DATANODES))
    RANDOM=$(((SEED + 2) % 32768))
    while [ $SECONDS -lt "$1" ]; do
        for _ in 1 2 3; do flip_byte dn$bad; done
        sleep_between 500 2000
        [ $((RANDOM % 3)) = 0 ] || continue
        wait_until 30 fully_replicated
        strike 3000 dn$((1 + (bad - 1 + 1 + RANDOM % (DATANODES - 1)) % DATANODES))
    done
}
damage() {
    rm -rf "$DIR/shadow"
    mkdir "$DIR/shadow" "$MNT/damage"
    "$chaos_io" run "$DIR/shadow" "$1" "$SEED" "$WRITERS" "$MNT/damage" "$DIR/mnt2/damage" >"$DIR/io.out" 2>&1 &
    local io=$! status
    sleep 2
    damage_faults $((SECONDS + $1 - 2))
    wait $io
    status=$?
    cat "$DIR/io.out"
    return $status
}
# What nobody reads is found by fsck's reading of everything, and healed.
healed() { "$dfs" fsck --replicas; }

kill_everything() {
    local io
    rm -rf "$DIR/shadow" "$MNT/crash"
    mkdir "$DIR/shadow" "$MNT/crash"
    "$chaos_io" run "$DIR/shadow" 600 "$SEED" "$WRITERS" "$MNT/crash" "$DIR/mnt2/crash" >"$DIR/io.out" 2>&1 &
    io=$!
    sleep "$CRASH_SECONDS"
    grep FAILED "$DIR/io.out" && return 1
    kill_all_nodes
    wait $io
    cluster down
    cluster up
}

cluster_up --datanodes "$DATANODES" --data-tls "$DATA_TLS"
cluster up --mount "$DIR/mnt2" >/dev/null || echo "Bail out! no second mount"
check "$DURATION s of work under faults, no call fails" chaos "$DURATION"
echo "# $(grep -c . "$DIR/faults") faults; $(grep -ohE 'slowest.*' "$DIR/io.out" | sort -k3n | tail -n 1)"
check "no node died by itself" no_node_died
check "all nodes serve again" wait_until 60 all_serving
# A wiped datanode is replaced after a minute.
check "every group has all its copies" wait_until 120 fully_replicated || "$dfs" report | sed 's/^/# /'
check "every file is right through both mounts" "$chaos_io" verify "$DIR/shadow" exact "$MNT/work" "$DIR/mnt2/work"
check "all replicas are the same" "$dfs" fsck --replicas
check "the files can be removed" rm -r "$MNT/work"
check "what was removed leaves the disks" garbage_goes
if [ "$DAMAGE_SECONDS" != 0 ]; then
    check "$DAMAGE_SECONDS s of work while bytes of one datanode are flipped" damage "$DAMAGE_SECONDS"
    echo "# $(grep -c flipped "$DIR/faults") bytes flipped"
    check "all nodes serve again" wait_until 90 all_serving
    check "every file is right through both mounts" "$chaos_io" verify "$DIR/shadow" exact "$MNT/damage" "$DIR/mnt2/damage"
    check "all replicas are the same" wait_until 60 healed || "$dfs" fsck --replicas | tail -n 20 | sed 's/^/# /'
    rm -rf "$MNT/damage"
fi
if [ "$CRASH_SECONDS" != 0 ]; then
    check "everything is killed, and comes up again" kill_everything
    check "all nodes serve again" wait_until 60 all_serving
    check "what was synced is there" "$chaos_io" verify "$DIR/shadow" crash "$MNT/crash" "$DIR/mnt2/crash"
    check "all replicas are the same" "$dfs" fsck --replicas
fi
# Asked for: the flipped bytes.
log_ignore='damaged block reported|could not be applied .*failed its checksum'
check_logs
if [ "$tests_failed" -gt 0 ]; then
    sed 's/^/# fault: /' "$DIR/faults"
    [ -n "${KEEP_LOGS:-}" ] && cp -r "$DIR/log" "$DIR/faults" "$DIR/io.out" "$KEEP_LOGS/"
fi
done_testing
