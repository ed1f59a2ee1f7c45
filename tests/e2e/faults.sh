# The faults of chaos.sh, one function each, and the tracks that draw from them: one for the namenodes,
# one for the datanodes, one for the network, one for disks, at the same time. Everything is drawn from
# SEED. What was done, when, is in $DIR/faults. Sourced after hosts.sh, not run.
#
# A fault of a disk that leaves good bytes on fewer disks waits until all copies are there, and holds
# off those of the other tracks (`hold`) until they are again: what was promised ends where the last
# good copy does.
# shellcheck shell=bash

declare -A track_kinds=(
    [namenodes]="kill_leader kill_leader kill_nn kill_majority stop_nn pause_leader pause_nn transfer roll_nn"
    [datanodes]="kill_dn kill_dn stop_dn pause_dn kill_two pause_two"
    [network]="cut_leader cut_nn cut_dn cut_client split mute deaf chain_link client_nn client_dn nn_dn delay loss reorder rate"
    [disks]="full_dn full_nn wipe_dn flip_chunk flip_ctab flip_log flip_sst kill_all"
)
declare -A track_pause=([namenodes]=7000 [datanodes]=6000 [network]=8000 [disks]=20000) # ms, at most

say() { echo "$(date +%T.%N | cut -c1-12) $*" >>"$DIR/faults"; }
# A node that is not there when its turn comes died by itself.
fault() {
    say "$@"
    node "$@" >>"$DIR/faults" 2>&1 || say "DIED BY ITSELF, or would not start: $*"
}
between() { echo $(($1 + RANDOM % ($2 - $1 + 1))); } # MIN MAX
nap() { # MIN_MS MAX_MS
    local ms
    ms=$(between "$1" "$2")
    sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
}

# hold TRACK...: none of their faults is under way, and none begins until let_go.
hold() {
    local t
    # In one order, so that two do not wait for each other.
    for t in datanodes namenodes network; do
        [[ " $* " != *" $t "* ]] || flock "${lock_fd[$t]}"
    done
}
let_go() {
    local t
    for t in datanodes namenodes network; do flock -u "${lock_fd[$t]}"; done
}

some_nn() { echo nn$((1 + RANDOM % 3)); }
some_dn() { echo dn$((1 + RANDOM % DATANODES)); }
some_client() { echo c$((1 + RANDOM % 2)); }
leader_or_some() { leader || some_nn; }
# The one after it, round.
next_of() { # NODE COUNT
    echo "${1:0:2}$((1 + ${1:2} % $2))"
}
some_node() {
    case $((RANDOM % 3)) in
    0) some_nn ;;
    1) some_dn ;;
    2) some_client ;;
    esac
}

# ---- processes ----
away() { # MAX_MS kill|stop|pause NODE...: and back
    local max_ms=$1 how=$2
    shift 2
    fault "$how" "$@"
    nap "$([ "$how" = pause ] && echo 1000 || echo 0)" "$max_ms"
    [ "$how" = pause ] && fault resume "$@" || fault start "$@"
}
kill_leader() { away 5000 kill "$(leader_or_some)"; }
kill_nn() { away 10000 kill "$(some_nn)"; }
kill_majority() {
    local n
    n=$(some_nn)
    away 2500 kill "$n" "$(next_of "$n" 3)"
}
stop_nn() { away 5000 stop "$(leader_or_some)"; }
pause_leader() { away 8000 pause "$(leader_or_some)"; }
pause_nn() { away 15000 pause "$(some_nn)"; }
transfer() {
    say transfer
    "$dfs" namenode transfer --config "$DIR/conf/operator.conf" >>"$DIR/faults" 2>&1
}
roll_nn() {
    local n
    for n in nn1 nn2 nn3; do
        away 500 stop $n
        nap 1000 3000
    done
}
kill_dn() { away 9000 kill "$(some_dn)"; }
stop_dn() { away 6000 stop "$(some_dn)"; }
pause_dn() { away 15000 pause "$(some_dn)"; }
two_dn() {
    local n
    n=$(some_dn)
    away "$1" "$2" "$n" "$(next_of "$n" "$DATANODES")"
}
kill_two() { two_dn 6000 kill; }
pause_two() { two_dn 6000 pause; }
kill_all() {
    hold datanodes namenodes
    away 2000 kill "${all_nodes[@]}"
    let_go
}

# ---- the network ----
mended() { # MAX_MS
    nap 500 "$1"
    say heal
    net heal
}
cut_both() { # A B
    say "cut $1 $2"
    net cut "$1" "$2"
    net cut "$2" "$1"
}
cut_off() { # MAX_MS HOST
    cut_both "$2" '*'
    # Not from us: we would only see less.
    net shape "$2" here 0 0 0 0 0
    net shape here "$2" 0 0 0 0 0
    mended "$1"
}
cut_leader() { cut_off 8000 "$(leader_or_some)"; }
cut_nn() { cut_off 12000 "$(some_nn)"; }
cut_dn() { cut_off 12000 "$(some_dn)"; }
cut_client() { cut_off 10000 "$(some_client)"; }
split() { # A namenode, a datanode and a client on one side, the rest on the other.
    local a b few
    few=" $(leader_or_some) $(some_dn) $(some_client) "
    for a in $few; do
        for b in "${hosts[@]}"; do
            [[ $few == *" $b "* ]] || cut_both "$a" "$b"
        done
    done
    mended 8000
}
mute() { # heard by nobody, hears all
    local h
    h=$(some_node)
    say "cut $h *"
    net cut "$h" '*'
    net shape "$h" here 0 0 0 0 0
    mended 10000
}
deaf() {
    local h
    h=$(some_node)
    say "cut * $h"
    net cut '*' "$h"
    net shape here "$h" 0 0 0 0 0
    mended 10000
}
chain_link() { # One link between two datanodes, in both directions or in one.
    local a b
    a=$(some_dn) b=$(next_of "$a" "$DATANODES")
    if [ $((RANDOM % 2)) = 0 ]; then
        cut_both "$a" "$b"
    else
        say "cut $a $b"
        net cut "$a" "$b"
    fi
    mended 12000
}
client_nn() {
    local c n
    c=$(some_client)
    for n in nn1 nn2 nn3; do cut_both "$c" $n; done
    mended 10000
}
client_dn() { cut_both "$(some_client)" "$(some_dn)" && mended 10000; }
nn_dn() {
    local d n
    d=$(some_dn)
    for n in nn1 nn2 nn3; do cut_both "$d" $n; done
    mended 12000
}
worse() { # MAX_MS DELAY JITTER LOSS REORDER RATE: one host, or all of them
    local h max_ms=$1
    shift
    h=$([ $((RANDOM % 3)) = 0 ] && echo '*' || some_node)
    say "shape $h $*"
    net shape "$h" '*' "$@"
    net shape '*' "$h" "$@"
    mended "$max_ms"
}
delay() { worse 15000 "$(between 5 200)" "$(between 0 50)" 0 0 0; }
loss() { worse 15000 0 0 "$(between 5 50)" 0 0; }
reorder() { worse 15000 "$(between 2 30)" "$(between 2 20)" 5 "$(between 50 300)" 0; }
rate() { worse 10000 0 0 0 0 "$(between 1000 20000)"; }

# ---- disks ----
fully_replicated() { "$dfs" report | grep -q 'degraded 0, not writable 0, down 0'; }
whole_first() {
    wait_until 120 fully_replicated && return
    say "SKIPPED, not all copies are there: ${FUNCNAME[1]}"
    return 1
}
# What nobody reads is found by reading everything, and healed.
healed() { "$dfs" fsck --replicas; }
heal_all() {
    wait_until 120 fully_replicated || say "NOT WHOLE AGAIN: ${FUNCNAME[1]}"
    wait_until 90 healed || say "NOT HEALED: ${FUNCNAME[1]}: $(healed 2>&1 | tail -n 3)"
}
fill() { # DIRECTORY LEFT_BYTES MAX_MS
    local free
    free=$(($(stat -f -c '%a * %S' "$1")))
    say "full $1"
    [ "$free" -le "$2" ] || fallocate -l $((free - $2)) "$1/$ballast" 2>>"$DIR/faults"
    nap 2000 "$3"
    rm -f "$1/$ballast"
    say "room again"
}
ballast=ballast
full_dn() { fill "$DIR/dn1" 3000000 8000; }
full_nn() { fill "$DIR/nn1" 8000000 6000; }

# A new disk in the place of the old one: only when no copy is missing, or it may be the last.
wipe_dn() {
    local d
    d=$(some_dn)
    hold datanodes network
    if whole_first; then
        fault kill "$d"
        say "wiped $d"
        rm -rf "${DIR:?}/$d"/t1/*
        fault start "$d"
        nap 5000 30000
        # Each new leader counts anew how long a target has been away.
        hold namenodes
        wait_until 180 fully_replicated || say "NOT WHOLE AGAIN: wipe_dn $d"
    fi
    let_go
}
# One bit of a byte of FILE that is not zero, between FROM and TO; the name and where, for unflip.
flip() { # FILE FROM TO
    python3 - "$RANDOM" "$@" <<'P'
import random, sys
rng = random.Random(int(sys.argv[1]))
with open(sys.argv[2], "r+b") as f:
    first = int(sys.argv[3])
    f.seek(first)
    data = f.read(int(sys.argv[4]) - first)
    places = [i for i in range(len(data)) if data[i]]
    if not places:
        sys.exit(1)
    at, bit = rng.choice(places), rng.randrange(8)
    f.seek(first + at)
    f.write(bytes([data[at] ^ 1 << bit]))
print(sys.argv[2], first + at, bit)
P
}
unflip() { # FILE AT BIT
    python3 -c 'import sys
f = open(sys.argv[1], "r+b"); f.seek(int(sys.argv[2])); b = f.read(1)[0]; f.seek(-1, 1); f.write(bytes([b ^ 1 << int(sys.argv[3])]))' "$@"
}
flip_chunk() { # Data of chunks: nothing but reading them tells.
    local d f
    d=$(some_dn)
    hold datanodes network
    if whole_first; then
        find "$DIR/$d"/t1/c -type f -size +200k 2>/dev/null | shuf -n 3 --random-source=<(yes "$SEED$RANDOM") |
            while read -r f; do say "flipped $(flip "$f" 131072 147456 2>&1 | tail -n 1)"; done
        nap 1000 4000
        heal_all
    fi
    let_go
}
# It listens before its targets are open.
refused_table() { gone "$(cat "$DIR/run/$1.pid")" && grep -q 'the chunk table .* is damaged' "$DIR/log/$1.log"; }
# A datanode that starts on a damaged chunk table uses what is whole, or refuses: then the bit is put
# back.
flip_ctab() {
    local d f where
    d=$(some_dn)
    hold datanodes network
    if whole_first; then
        fault kill "$d"
        f=$(find "$DIR/$d/t1" -maxdepth 1 -name 'ctab*' -size +0 | shuf -n 1 --random-source=<(yes "$SEED$RANDOM"))
        where=$(flip "$f" 0 100000000)
        say "flipped $where"
        node start "$d" >>"$DIR/faults" 2>&1
        if wait_until 10 refused_table "$d"; then
            say "refused: $(grep 'the chunk table' "$DIR/log/$d.log" | tail -n 1)"
            # shellcheck disable=SC2086 # three words
            unflip $where
            fault start "$d"
        fi
        heal_all
    fi
    let_go
}
nn_well() {
    local n
    for n in nn1 nn2 nn3; do
        gone "$(cat "$DIR/run/$n.pid" 2>/dev/null)" && start_one $n
        says $n | grep -qE 'leader|follower' || return
    done
}
# A namenode that finds damage ends, and whoever looks after it starts it again: for so long that is us.
flip_nn() { # NAMENODE kill|stop FILE-PATTERN
    local f where
    fault "$2" "$1"
    f=$(find "$DIR/$1" -path "$3" -size +0 | shuf -n 1 --random-source=<(yes "$SEED$RANDOM"))
    if where=$(flip "${f:-/none}" "${4:-0}" "${5:-100000000}" 2>&1); then
        say "flipped $where"
    else
        say "nothing to flip in $1: $3"
    fi
    node start "$1" >>"$DIR/faults" 2>&1
    nap 2000 6000
    wait_until 120 nn_well || say "NOT WELL AGAIN: $1"
}
nn_ready() {
    wait_until 120 nn_well && return
    say "SKIPPED, not all namenodes are well: ${FUNCNAME[1]}"
    return 1
}
flip_log() {
    hold namenodes network
    nn_ready && flip_nn "$(some_nn)" kill '*/log/seg-*'
    let_go
}
flip_sst() {
    local n
    n=$(some_nn)
    hold namenodes network
    if nn_ready; then
        flip_nn "$n" stop '*/db-*.sst'
        # What was not met by now would be met when another one is down: the store is given up.
        flip_nn "$n" stop '*/db-*/MANIFEST-*' 0 60
    fi
    let_go
}

# ---- the tracks ----
kinds_of() { # TRACK: those of its kinds that FAULTS names
    local kind
    for kind in ${track_kinds[$1]}; do
        [[ "$FAULTS" = all || " $FAULTS " == *" $kind "* ]] && [[ " $NOT_HERE " != *" $kind "* ]] && echo "$kind"
    done
}
track() { # NAME NUMBER END
    local kinds kind t
    declare -A lock_fd
    mapfile -t kinds < <(kinds_of "$1")
    [ ${#kinds[@]} -gt 0 ] || return 0
    for t in datanodes namenodes network; do exec {lock_fd[$t]}>"$DIR/lock.$t"; done
    RANDOM=$(((SEED + $2) % 32768))
    while nap $((track_pause[$1] / 5)) "${track_pause[$1]}" && [ $SECONDS -lt "$3" ]; do
        kind=${kinds[RANDOM % ${#kinds[@]}]}
        [ "$1" = disks ] || hold "$1"
        echo "$kind" >>"$DIR/kinds"
        $kind
        [ "$1" = disks ] || let_go
    done
}
faults_for() { # SECONDS
    local end=$((SECONDS + $1)) name n=0 pids=()
    for name in namenodes datanodes network disks; do
        track $name $n $end &
        pids+=($!)
        n=$((n + 1))
    done
    wait "${pids[@]}"
    net heal
}
faults_done() { sort "$DIR/kinds" 2>/dev/null | uniq -c | awk '{printf " %s %s", $2, $1}'; }
