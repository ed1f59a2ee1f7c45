#!/usr/bin/env bash
# `dfs cluster` and `dfs pki`: what each verb does, what status says, and what is said when it cannot
# be done; then the same programs as on real hosts, configured by hand and mounted by mount.dfs.
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cluster_up --datanodes 3 --data-tls off
base=$(sed -n 's/^base_port = //p' "$DIR/conf/cluster.ini")
cluster() { # VERB ARGUMENT...
    local verb=$1
    shift
    "$dfs" cluster "$verb" --dir "$DIR" "$@"
}
exits() { # NAME CODE COMMAND...
    local name=$1 want=$2 out code
    shift 2
    out=$("$@" 2>&1)
    code=$?
    [ $code = "$want" ] && ok "$name" || {
        not_ok "$name (exit $code, not $want)"
        printf '%s\n' "$out" | tail -n 5 | sed 's/^/# /'
    }
}
json() { # EXPRESSION: a Python expression over n, the nodes by name, is true
    cluster status --json | python3 -c "import json, sys
n = {x['name']: x for x in json.load(sys.stdin)['nodes']}
sys.exit(0 if ($1) else 'got: %s' % n)"
}
alive() { kill -0 "$(cat "$DIR/run/$1.pid")" 2>/dev/null; }

# ---- status ----
check "status --json has name, kind, pid, addr and state of all" json \
    "all(set(x) == {'name', 'kind', 'pid', 'addr', 'state'} for x in n.values()) and list(n) == ['nn1', 'nn2', 'nn3', 'dn1', 'dn2', 'dn3', 'mount1']"
check "kinds" json "[n[x]['kind'] for x in ('nn1', 'dn1', 'mount1')] == ['namenode', 'datanode', 'mount']"
check "one leads, two follow" json "sorted(n['nn%d' % i]['state'] for i in (1, 2, 3)) == ['follower', 'follower', 'leader']"
check "datanodes serve, the mount is mounted" json "[n[x]['state'] for x in ('dn1', 'dn2', 'dn3', 'mount1')] == ['serving'] * 3 + ['mounted']"
check "addresses" json "n['nn2']['addr'] == '127.0.0.1:$((base + 2))' and n['mount1']['addr'] == '$MNT'"
echo kept >"$MNT/kept"
check "sync" "$dfs" sync "$MNT"

# ---- nodes ----
exits "stop ends a node" 0 cluster stop dn2
check "it is down" json "n['dn2']['state'] == 'down' and n['dn2']['pid'] == 0"
exits "status then fails" 1 cluster status
exits "what does not run cannot be stopped" 1 cluster stop dn2
refuse "and that is said" "dfs cluster stop: dn2: it is not running" cluster stop dn2
exits "start starts it" 0 cluster start dn2
check "it runs" alive dn2
exits "start of what runs does no harm" 0 cluster start dn2
pids="$(cat "$DIR/run/nn1.pid") $(cat "$DIR/run/dn1.pid")"
exits "kill takes several" 0 cluster kill nn1 dn1
# shellcheck disable=SC2086 # one word each
check "they are dead" wait_until 5 gone $pids
exits "start takes several" 0 cluster start nn1 dn1
check "all serve again" wait_until 60 cluster status
paused=$(leader)
exits "pause stops the leader" 0 cluster pause "$paused"
check "another one leads" wait_until 20 bash -c "'$dfs' cluster status --dir '$DIR' | grep -v '^$paused ' | grep -q ' leader '"
check "the mount works meanwhile" grep -q kept "$MNT/kept"
exits "resume lets it go on" 0 cluster resume "$paused"
check "all serve again after that" wait_until 60 cluster status
exits "a mount can be killed" 0 cluster kill mount1
check "it is down" json "n['mount1']['state'] == 'down'"
exits "and started over the dead one" 0 cluster start mount1
check "and works" grep -q kept "$MNT/kept"
exits "a mount can be stopped" 0 cluster stop mount1
check "then nothing is mounted" bash -c "! grep -q ' $MNT ' /proc/self/mounts"
exits "and started" 0 cluster start mount1

# ---- mistakes ----
refuse "an unknown verb has a hint" "there is no 'stauts'; did you mean 'status'" "$dfs" cluster stauts --dir "$DIR"
exits "and is a wrong command line" 2 "$dfs" cluster stauts
exits "an unknown node is a wrong command line" 2 cluster kill nn9
exits "a missing --dir is" 2 "$dfs" cluster status
exits "--json is for status" 2 cluster down --json
refuse "no cluster" "no cluster in .*make one with: dfs cluster up" "$dfs" cluster status --dir "$DIR/none"
refuse "an even number of namenodes" "must be odd" "$dfs" cluster up --dir "$DIR/none" --namenodes 2
refuse "a blank in the path" "choose another directory" "$dfs" cluster up --dir "$DIR/a b"
check "up again does no harm" cluster up
check "another shape is told and not taken" bash -c "'$dfs' cluster up --dir '$DIR' --datanodes 5 2>&1 | grep -q 'continuing with that one'"
mkdir "$DIR/other"
refuse "a port that is taken: whose, and what to do" "port $((base + 1)), which nn1 .*in use; --base-port" \
    "$dfs" cluster up --dir "$DIR/other" --namenodes 1 --datanodes 1 --base-port $((base + 1))
mkdir "$DIR/full" && touch "$DIR/full/x"
refuse "a mount point that is not empty" "cannot mount on $DIR/full: it is not empty" \
    "$dfs" cluster up --dir "$DIR/other" --namenodes 1 --datanodes 1 --base-port $((base + 50)) --mount "$DIR/full"
check "nothing was written" bash -c "[ -z \"\$(ls -A '$DIR/other')\" ]"
check "so it comes up with another port" "$dfs" cluster up --dir "$DIR/other" --namenodes 1 --datanodes 1 --base-port $((base + 50))
refuse "nor is it kept for a cluster that is there" "not empty" cluster up --mount "$DIR/full"
check "which still is well" cluster status
cluster kill dn1
sed -i "s/^listen.*/listen = 127.0.0.1:$base/" "$DIR/conf/dn1.conf"
refuse "a port taken later: the node's own words" "dn1: .*in use" cluster start dn1
sed -i "s/^listen.*/listen = 127.0.0.1:$((base + 20))/" "$DIR/conf/dn1.conf"
check "mended, it starts" cluster start dn1
"$dfs" cluster down --dir "$DIR/other"
cp "$DIR/conf/dn3.conf" "$DIR/dn3.good"
cluster stop dn3
sed -i 's/^targets.*/tragets = x/' "$DIR/conf/dn3.conf"
refuse "a node that cannot start: its own words" "tragets" cluster start dn3
cp "$DIR/dn3.good" "$DIR/conf/dn3.conf"
exits "mended, it starts" 0 cluster start dn3

# ---- down and up ----
check "a second mount, with a blank in its name" cluster up --mount "$DIR/my mnt"
check "sees the same" grep -q kept "$DIR/my mnt/kept"
check "status shows it" json "n['mount2']['state'] == 'mounted'"
pids=$(cat "$DIR"/run/*.pid)
check "down" cluster down
# shellcheck disable=SC2086
check "no process is left" wait_until 5 gone $pids
check "no mount is left" bash -c "! grep -q '$DIR' /proc/self/mounts"
check "down again does no harm" cluster down
check "up continues" cluster up
check "with the data" grep -q kept "$MNT/kept"
check "and both mounts" json "[n[x]['state'] for x in ('mount1', 'mount2')] == ['mounted'] * 2"
log_ignore='cannot start|tragets|in use|unwritten'
check_logs
cluster down

# ---- as on real hosts ----
mkdir -p "$DIR/host/disk1" "$DIR/host/mnt" && cd "$DIR/host" || exit 1
check "pki init makes its directory" "$dfs" pki init --dir pki --cluster prod
check "for nobody else" test "$(stat -c %a pki)" = 700
check "pki issue, as the README has it" "$dfs" pki issue nn1 namenode --dir pki --san nn1.example.net
refuse "but no directories above it" "a/b cannot be made: No such file" "$dfs" pki init --dir a/b
check "pki init here" "$dfs" pki init --cluster prod
refuse "pki overwrites nothing" "exist" "$dfs" pki init
check "pki issue for a namenode" "$dfs" pki issue nn1 namenode --san localhost --san 127.0.0.1
check "for a datanode" "$dfs" pki issue dn1 datanode --san 127.0.0.1
check "for a client" "$dfs" pki issue client client
exits "an unknown role" 2 "$dfs" pki issue x superuser
check "keys are for their owner alone" bash -c "[ \"\$(stat -c %a ca.key nn1.key client.key | sort -u)\" = 600 ]"
for node in nn1 dn1 client; do
    cat >$node.conf <<END
[namenode]
id = 1
namenodes = 1@127.0.0.1:$base
listen = 127.0.0.1:$base
http = off
data_dir = nn
copies = 1
min_write = 1

[datanode]
node = dn1
listen = 127.0.0.1:$((base + 1))
http = off
targets = $PWD/disk1
namenodes = 127.0.0.1:$base

[client]
namenodes = 127.0.0.1:$base

[tls]
ca = ca.crt
cert = $node.crt
key = $node.key
END
done
check "the configuration is checked" "$DFS_BUILDDIR/dfs-namenode" --check-config --config nn1.conf
check "of datanodes too" bash -c "$DFS_BUILDDIR/dfs-datanode --check-config --config dn1.conf | grep -q 'no mistakes'"
check "a namenode goes to the background" "$DFS_BUILDDIR/dfs-namenode" --daemon --config nn1.conf --log-file nn1.log --pid-file "$DIR/run/h-nn.pid"
check "a datanode too" "$DFS_BUILDDIR/dfs-datanode" --daemon --config dn1.conf --log-file dn1.log --pid-file "$DIR/run/h-dn.pid"
# Disks are opened once a namenode has said of which cluster they have to be.
check "it opens its disk" wait_until 30 grep -q 'target open' dn1.log
refuse "a second one on the same disk is refused" "running" "$DFS_BUILDDIR/dfs-datanode" --daemon --config dn1.conf --log-file dn1.log
check "the report is good" wait_until 30 "$dfs" report --config client.conf
ln -s "$DFS_BUILDDIR/dfs-fuse" mount.dfs
check "mount.dfs as mount(8) calls it" ./mount.dfs "127.0.0.1:$base:/" "$PWD/mnt" -o "rw,noatime,_netdev,config=$PWD/client.conf,log=$PWD/mnt.log,pid_file=$DIR/run/h-mnt.pid"
check "the mount is a dfs" bash -c "grep -q ' $PWD/mnt fuse.dfs ' /proc/self/mounts"
check "it can be written" bash -c "cp /etc/passwd mnt/ && cmp /etc/passwd mnt/passwd"
check "umount ends its daemon" bash -c "pid=\$(cat '$DIR/run/h-mnt.pid'); umount mnt && for i in \$(seq 100); do grep -qs '^State:.*[^Z] (' /proc/\$pid/status || exit 0; sleep 0.1; done; exit 1"
check "the file is in the cluster" "$dfs" stat --config client.conf /passwd
pids="$(cat "$DIR/run/h-dn.pid") $(cat "$DIR/run/h-nn.pid")"
# shellcheck disable=SC2086
kill $pids
# shellcheck disable=SC2086
check "the daemons end at SIGTERM" wait_until 20 gone $pids
done_testing
