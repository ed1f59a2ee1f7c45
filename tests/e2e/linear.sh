#!/usr/bin/env bash
# Clients of three namenodes, each host in a network of its own, make, move and remove the same few names at
# once, while leaders and followers are killed, stopped, cut off in every direction, or asked to hand over:
# what the clients saw is linearizable (tests/lin).
#
#   SEED=7 DURATION=600 LEASE='on off' tests/e2e/linear.sh       seconds, of each LEASE (read_lease)
#   KINDS='stop_leader split' PAUSE=200 tests/e2e/linear.sh      these faults only; ms between two
#   KINDS='silence kill_leader' tests/e2e/linear.sh              silence is not among those of make check
#   EVICT=20 KINDS='silence kill_leader' tests/e2e/linear.sh     s: session_timeout; silence is longer then
#   MOUNTS=yes tests/e2e/linear.sh                              clients are programs on two mounts
#   ELECTION=1500 tests/e2e/linear.sh                            ms: clients look for the new leader (after 1 s)
#                                                                while the old one may think it still leads
#
# Everything lives in namespaces of its own (network, mounts, processes) and ends with them.
: "${SEED:=$RANDOM}" "${DURATION:=4}" "${LEASE:=on off}" "${PAUSE:=600}" "${CLIENTS:=4}" "${ELECTION:=500}" "${MOUNTS:=}" "${EVICT:=}"
: "${KINDS:=kill_leader kill_follower kill_all stop_leader stop_follower isolate mute deaf bridge split unplug lose_client transfer term}"
export SEED DURATION LEASE PAUSE CLIENTS ELECTION MOUNTS KINDS EVICT

inside=(unshare --net --mount --pid --fork --kill-child --mount-proc)
if [ -z "${LINEAR_DIR:-}" ]; then
    if ! "${inside[@]}" sh -c 'mount -t tmpfs none /run && ip link add br0 type bridge && ip netns add x' >/dev/null 2>&1; then
        echo "1..0 # SKIP network namespaces need root, ip(8) and a kernel that has them, with bridges"
        exit 0
    fi
    LINEAR_DIR=$(mktemp -d "${TMPDIR:-/tmp}/dfs-e2e-XXXXXX")
    export LINEAR_DIR
    "${inside[@]}" bash "$0" "$@" &
    trap 'kill -9 $!; wait; rm -rf "$LINEAR_DIR"; exit 1' INT TERM HUP
    wait $!
    status=$?
    [ -n "${DFS_E2E_KEEP:-}" ] && echo "# kept: $LINEAR_DIR" || rm -rf "$LINEAR_DIR"
    exit $status
fi
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
DIR=$LINEAR_DIR
load=$DFS_BUILDDIR/tests/lin/lin_load
nodes="nn1 nn2 nn3" hosts="nn1 nn2 nn3 c1 c2"
declare -A addr=([nn1]=10.0.0.1 [nn2]=10.0.0.2 [nn3]=10.0.0.3 [c1]=10.0.0.11 [c2]=10.0.0.12)
declare -A pid done_faults
RANDOM=$SEED

# ---- the network: a bridge, and a host on each of its ports; we are on it too ----
network_up() {
    local h
    mount -t tmpfs none /run && mkdir /run/netns
    ip link set lo up
    ip link add br0 type bridge
    ip addr add 10.0.0.100/24 dev br0
    ip link set br0 up
    for h in $hosts; do
        ip netns add "$h"
        ip link add "port-$h" type veth peer name eth0 netns "$h"
        ip link set "port-$h" master br0 up
        ip -n "$h" addr add "${addr[$h]}/24" dev eth0
        ip -n "$h" link set lo up
        ip -n "$h" link set eth0 up
    done
}
# What FROM sends to TO goes to nobody.
cut() {
    ip -n "$1" neigh replace "${addr[$2]}" lladdr 02:00:00:00:de:ad nud permanent dev eth0
}
cut_both() { cut "$1" "$2" && cut "$2" "$1"; }
heal() {
    local h
    for h in $hosts; do
        ip -n "$h" neigh flush nud permanent dev eth0
        ip link set "port-$h" up
    done
}

# ---- the namenodes ----
write_conf() { # read_lease
    local n all
    "$dfs" pki init --dir "$DIR/pki" && "$dfs" pki issue client client --dir "$DIR/pki" --out "$DIR/pki" &&
        "$dfs" pki issue operator admin --dir "$DIR/pki" --out "$DIR/pki" || return
    all=${addr[nn1]}:8670,${addr[nn2]}:8670,${addr[nn3]}:8670
    for n in client operator; do
        printf '[client]\nnamenodes = %s\n[tls]\nca = %s/ca.crt\ncert = %s/%s.crt\nkey = %s/%s.key\n' \
            "$all" "$DIR/pki" "$DIR/pki" $n "$DIR/pki" $n >"$DIR/conf/$n.conf"
    done
    for n in $nodes; do
        "$dfs" pki issue "$n" namenode --san "${addr[$n]}" --dir "$DIR/pki" --out "$DIR/pki" || return
        cat >"$DIR/conf/$n.conf" <<END
[namenode]
id = ${n#nn}
namenodes = 1@${addr[nn1]}:8670, 2@${addr[nn2]}:8670, 3@${addr[nn3]}:8670
listen = ${addr[$n]}:8670
http = ${addr[$n]}:8671
data_dir = $DIR/$n
read_lease = $1
election_ms = $ELECTION
session_timeout = ${EVICT:-3600}s
segment = 8M
memtable = 4M
cache = 16M
[tls]
ca = $DIR/pki/ca.crt
cert = $DIR/pki/$n.crt
key = $DIR/pki/$n.key
END
    done
}
start() {
    ip netns exec "$1" "$DFS_BUILDDIR/dfs-namenode" --config "$DIR/conf/$1.conf" --foreground \
        >>"$DIR/log/$1.log" 2>&1 </dev/null &
    pid[$1]=$!
    echo $! >"$DIR/run/$1.pid"
}
kill_node() {
    kill -9 "${pid[$1]}"
    wait "${pid[$1]}" 2>/dev/null
}
# A mount in the network of each of the clients.
mount_both() {
    local h
    for h in c1 c2; do
        mkdir -p "$DIR/mnt-$h"
        nsenter --net=/run/netns/$h "$DFS_BUILDDIR/dfs-fuse" --config "$DIR/conf/client.conf" --foreground \
            "$DIR/mnt-$h" >>"$DIR/log/mnt-$h.log" 2>&1 </dev/null &
    done
    check "two mounts" wait_until 20 eval "mountpoint -q $DIR/mnt-c1 && mountpoint -q $DIR/mnt-c2"
    where=(--mount "$DIR/mnt-c1,$DIR/mnt-c2")
}
says() { curl -s -m 1 "http://${addr[$1]}:8671/health" 2>/dev/null; }
leader_now() {
    local n
    for n in $nodes; do
        [ "$(says "$n")" != leader ] || { echo "$n" && return; }
    done
    return 1
}
# Sets L, and F and G, the others.
find_leader() {
    L=$(leader_now) || return
    # shellcheck disable=SC2086,SC2046 # one word each
    set -- $(printf '%s\n' $nodes | grep -vx "$L")
    F=$1 G=$2
    [ $((RANDOM % 2)) = 0 ] || F=$2 G=$1
}
nap() { # milliseconds
    sleep "$(($1 / 1000)).$(printf %03d $(($1 % 1000)))"
}
between() { echo $(($1 + RANDOM % ($2 - $1 + 1))); } # MIN MAX

# ---- faults: one each, and over again ----
kill_leader() {
    kill_node "$L"
    nap "$(between 0 1500)"
    start "$L"
}
kill_follower() {
    kill_node "$F"
    nap "$(between 0 1500)"
    start "$F"
}
kill_all() {
    local n
    for n in $nodes; do kill_node "$n"; done
    for n in $nodes; do start "$n"; done
}
stop_for() {
    kill -STOP "${pid[$1]}"
    nap "$2"
    kill -CONT "${pid[$1]}"
}
stop_leader() { stop_for "$L" "$(between 300 $((4 * ELECTION + 500)))"; }
stop_follower() { stop_for "$F" "$(between 500 5000)"; }
cut_for() {
    nap "$(between 300 $((4 * ELECTION + 1000)))"
    heal
}
isolate() { # by the others; the clients reach it
    cut_both "$L" "$F" && cut_both "$L" "$G" && cut_for
}
mute() { # heard by neither
    cut "$L" "$F" && cut "$L" "$G" && cut_for
}
deaf() { # hears neither
    cut "$F" "$L" && cut "$G" "$L" && cut_for
}
bridge() { # the third is between them
    cut_both "$L" "$F" && cut_for
}
split() { # with half of the clients
    cut_both "$L" "$F" && cut_both "$L" "$G" && cut_both c1 "$F" && cut_both c1 "$G" &&
        cut_both c2 "$L" && cut_for
}
unplug() {
    ip link set "port-$L" down && cut_for
}
silence() { # half of the clients reach nobody for longer than their sessions last; by hand only
    local n
    for n in $nodes; do cut_both c1 "$n"; done
    sleep $((${EVICT:-10} + 8))
    heal
}
lose_client() {
    cut_both c1 "$L" && cut_for
}
transfer() { "$dfs" namenode transfer --config "$DIR/conf/operator.conf" >/dev/null 2>&1; }
term() {
    kill -TERM "${pid[$L]}"
    wait "${pid[$L]}" 2>/dev/null
    start "$L"
}

faults_until() { # SECONDS, as in $SECONDS
    local kinds kind
    read -ra kinds <<<"$KINDS"
    while [ $SECONDS -lt "$1" ] && kill -0 $load_pid 2>/dev/null; do
        nap "$(between $((PAUSE / 4)) "$PAUSE")"
        find_leader || continue
        kind=${kinds[RANDOM % ${#kinds[@]}]}
        done_faults[$kind]=$((${done_faults[$kind]:-0} + 1))
        $kind
    done
}
round_trip() { # read_lease
    local n kind sum=
    mkdir -p "$DIR"/{conf,log,run,pki,hist}
    check "read_lease = $1: certificates and configurations" write_conf "$1" || return
    done_faults=()
    for n in $nodes; do start "$n"; done
    check "read_lease = $1: a leader" wait_until 20 leader_now
    where=(--netns c1,c2)
    [ -z "$MOUNTS" ] || mount_both
    "$load" --config "$DIR/conf/client.conf" "${where[@]}" --clients "$CLIENTS" --kill 3 --seed "$SEED" \
        --seconds "$DURATION" --out "$DIR/hist" >"$DIR/load.out" 2>&1 &
    load_pid=$!
    faults_until $((SECONDS + DURATION))
    wait $load_pid
    status=$?
    sed 's/^/# /' "$DIR/load.out"
    check "read_lease = $1: every history is linearizable" test $status = 0 || head -n 300 "$DIR"/hist/* | sed 's/^/# /'
    for kind in "${!done_faults[@]}"; do sum+=" $kind ${done_faults[$kind]}"; done
    echo "# read_lease = $1, seed $SEED, faults:$sum"
    check "read_lease = $1: something was done" grep -qE '^[1-9][0-9]* rounds' "$DIR/load.out"
    [ -z "$EVICT" ] || check "read_lease = $1: sessions were evicted" grep -q 'evicting a session' "$DIR"/log/nn*.log
    check "read_lease = $1: all namenodes run" all_run
    for n in $nodes; do
        kill -TERM "${pid[$n]}"
        wait "${pid[$n]}"
    done
    [ -z "$MOUNTS" ] || umount -l "$DIR/mnt-c1" "$DIR/mnt-c2"
    bad=$(grep -hE ' error |Sanitizer|runtime error:|Assertion .* failed' "$DIR"/log/*.log | head -n 5)
    check "read_lease = $1: no namenode logged an error" test -z "$bad" || sed 's/^/# /' <<<"$bad"
    rm -rf "${DIR:?}"/{conf,run,pki,nn1,nn2,nn3}
}

network_up
for lease in $LEASE; do
    round_trip "$lease"
done
done_testing
