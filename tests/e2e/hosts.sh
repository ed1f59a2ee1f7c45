# A cluster whose nodes and mounts live in hosts of their own: network namespaces, joined by
# netswitch.c, which can cut and slow each direction between two of them. Sourced after lib.sh, inside
# the namespaces that hosts_enter makes; where there are none, everything is on loopback and only
# $NET says so. Sourced, not run.
#
#   [ -n "${HOSTS_DIR:-}" ] || hosts_enter "$0" "$@"     the script again, inside; ends with it
#   hosts_up DATANODES DATA_TLS                          $DIR, $MNT, $MNT2, $DFS_CONFIG are set
#   node kill|stop|pause|resume|start NODE...            like `dfs cluster`
#   net cut nn1 dn2 ; net heal                           commands of netswitch.c; nothing without hosts
# shellcheck shell=bash

hosts_enter() { # SCRIPT ARGUMENT...
    local inside=(unshare --net --mount --pid --fork --kill-child --mount-proc) status
    NET=yes
    if ! "${inside[@]}" sh -c 'mount -t tmpfs none /run && ip netns add x && : <>/dev/net/tun' >/dev/null 2>&1; then
        NET=no inside=()
    fi
    HOSTS_DIR=$(mktemp -d "${TMPDIR:-/tmp}/dfs-e2e-XXXXXX")
    export HOSTS_DIR NET
    "${inside[@]}" bash "$@" &
    # Inside, the first process is killed with unshare(1), and everything with it.
    trap 'kill -9 $!; wait; rm -rf "$HOSTS_DIR"; exit 1' INT TERM HUP
    wait $!
    status=$?
    [ -n "${DFS_E2E_KEEP:-}" ] && echo "# kept: $HOSTS_DIR" || rm -rf "$HOSTS_DIR"
    exit $status
}

declare -A addr port
all_nodes=() hosts=()

hosts_name() { # DATANODES
    local i base
    base=$([ "$NET" = yes ] && echo 8600 || free_base_port)
    for i in 1 2 3; do all_nodes+=("nn$i") addr[nn$i]=10.77.0.$i port[nn$i]=$((base + 2 * (i - 1))); done
    for i in $(seq "$1"); do all_nodes+=("dn$i") addr[dn$i]=10.77.0.$((20 + i)) port[dn$i]=$((base + 18 + 2 * i)); done
    hosts=("${all_nodes[@]}" c1 c2)
    addr[c1]=10.77.0.101 addr[c2]=10.77.0.102 addr[here]=10.77.0.100
    [ "$NET" = yes ] || for i in "${!addr[@]}"; do addr[$i]=127.0.0.1; done
    namenodes=${addr[nn1]}:${port[nn1]},${addr[nn2]}:${port[nn2]},${addr[nn3]}:${port[nn3]}
}
network_up() {
    local h args=(here="${addr[here]}")
    [ "$NET" = yes ] || return 0
    mount -t tmpfs none /run && mkdir /run/netns || return
    for h in "${hosts[@]}"; do
        ip netns add "$h" || return
        args+=("$h=${addr[$h]}")
    done
    exec {net_fd}> >(exec "$DFS_BUILDDIR/tests/e2e/netswitch" "${SEED:-1}" "${args[@]}" >"$DIR/netswitch.out" 2>&1)
    wait_until 20 grep -qx ready "$DIR/netswitch.out"
}
net() {
    [ "$NET" = no ] || echo "$*" >&"$net_fd"
}

tls_conf() { # CERTIFICATE DATA_TLS
    printf '[tls]\nca = %s/ca.crt\ncert = %s/%s.crt\nkey = %s/%s.key\n[data]\ntls = %s\n' \
        "$DIR/pki" "$DIR/pki" "$1" "$DIR/pki" "$1" "$2"
}
# As `dfs cluster up` writes them, but for the addresses; small logs and caches.
hosts_conf() { # DATANODES DATA_TLS
    local n
    mkdir -p "$DIR"/{conf,log,run,pki,mnt,mnt2}
    "$dfs" pki init --dir "$DIR/pki" || return
    printf '[cluster]\nnamenodes = 3\ndatanodes = %s\nbase_port = %s\ndata_tls = %s\n[mounts]\nmount1 = %s\nmount2 = %s\n' \
        "$1" "${port[nn1]}" "$2" "$DIR/mnt" "$DIR/mnt2" >"$DIR/conf/cluster.ini"
    for n in client operator; do
        "$dfs" pki issue "$n" "$([ $n = client ] && echo client || echo admin)" --dir "$DIR/pki" --out "$DIR/pki" || return
        { printf '[client]\nnamenodes = %s\n' "$namenodes" && tls_conf $n "$2"; } >"$DIR/conf/$n.conf"
    done
    for n in dfs mount1 mount2; do cp "$DIR/conf/client.conf" "$DIR/conf/$n.conf"; done
    for n in "${all_nodes[@]}"; do
        mkdir -p "$DIR/$n"
        "$dfs" pki issue "$n" "$([[ $n = nn* ]] && echo namenode || echo datanode)" --san "${addr[$n]}" \
            --dir "$DIR/pki" --out "$DIR/pki" || return
        {
            if [[ $n = nn* ]]; then
                printf '[namenode]\nid = %s\nnamenodes = 1@%s:%s, 2@%s:%s, 3@%s:%s\n' "${n#nn}" "${addr[nn1]}" \
                    "${port[nn1]}" "${addr[nn2]}" "${port[nn2]}" "${addr[nn3]}" "${port[nn3]}"
                # Who was lost with a leader holds up deletions until then.
                printf 'data_dir = %s\nsession_timeout = 60s\nsegment = 8M\nmemtable = 4M\ncache = 16M\n' "$DIR/$n"
            else
                mkdir -p "$DIR/$n/t1"
                printf '[datanode]\nnode = %s\nadvertise = %s:%s\ntargets = %s\nnamenodes = %s\n' \
                    "$n" "${addr[$n]}" "${port[$n]}" "$DIR/$n/t1" "$namenodes"
            fi
            printf 'listen = %s:%s\nhttp = %s:%s\n' "${addr[$n]}" "${port[$n]}" "${addr[$n]}" $((port[$n] + 1))
            tls_conf "$n" "$2"
        } >"$DIR/conf/$n.conf"
    done
}

on_host() { # NODE COMMAND...
    local h=${1/#mount/c}
    shift
    if [ "$NET" = yes ]; then
        nsenter --net="/run/netns/$h" "$@"
    else
        "$@"
    fi
}
# What else a node is to find in its environment: a test may have its own.
node_env() { :; } # NODE
# shellcheck disable=SC2046 # NAME=VALUE...
start_one() { on_host "$1" env $(node_env "$1") "$dfs" cluster start --dir "$DIR" "$1"; }
node() { # VERB NODE...
    local verb=$1 n status=0 pids=()
    shift
    if [ "$verb" != start ]; then
        "$dfs" cluster "$verb" --dir "$DIR" "$@"
        return
    fi
    for n in "$@"; do
        start_one "$n" &
        pids+=($!)
    done
    for n in "${pids[@]}"; do wait "$n" || status=1; done
    return $status
}
says() { # NAMENODE: leader, follower, ...
    curl -s -m 2 "http://${addr[$1]}:$((port[$1] + 1))/health" 2>/dev/null
}
leader() {
    local n
    for n in nn1 nn2 nn3; do
        [ "$(says $n)" != leader ] || { echo $n && return; }
    done
    return 1
}
# dfs cluster status would ask on loopback.
all_serving() { "$dfs" report && all_run; }

hosts_start() { # DATANODES DATA_TLS
    network_up && hosts_conf "$1" "$2" && node start "${all_nodes[@]}" && wait_until 90 "$dfs" report &&
        node start mount1 mount2 && return
    cat "$DIR/netswitch.out" 2>/dev/null
    "$dfs" report
    return 1
}
hosts_up() { # DATANODES DATA_TLS
    DIR=$HOSTS_DIR MNT=$HOSTS_DIR/mnt MNT2=$HOSTS_DIR/mnt2
    export DFS_CONFIG=$DIR/conf/dfs.conf
    trap cluster_end EXIT
    trap 'exit 1' INT TERM HUP
    hosts_name "$1"
    hosts_start "$@" >"$DIR/up.out" 2>&1 || {
        sed 's/^/# /' "$DIR/up.out"
        echo "Bail out! the cluster did not start"
        exit 1
    }
}
