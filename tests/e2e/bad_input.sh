#!/usr/bin/env bash
# What people and strangers do wrong: bytes that are no protocol, certificates that are not of us,
# wrong command lines, configurations and directories. Each is refused with a sentence that says
# what, where and what to do, and with the right exit code; the cluster goes on, and loses nothing.
# (Damaged files and full disks: bad_disks.sh.)
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

cluster_up --datanodes 3
bin=$DFS_BUILDDIR
here=$(cd "$(dirname "$0")" && pwd)
pki=$DIR/pki
cd "$DIR" || exit 1

# says NAME CODE PATTERN COMMAND...: ends within 30 s with CODE, and says PATTERN
says() {
    local name=$1 want=$2 pattern=$3 out code
    shift 3
    out=$(timeout 30 "$@" 2>&1 </dev/null)
    code=$?
    if [ $code = "$want" ] && grep -qE -- "$pattern" <<<"$out"; then
        ok "$name"
    else
        not_ok "$name (exit $code, wanted $want and: $pattern)"
        printf '%s\n' "$out" | tail -n 8 | sed 's/^/# /'
    fi
}
# logged NAME NODE PATTERN: NODE says so within 10 s
logged() { check "$1" wait_until 10 grep -qE -- "$3" "$DIR/log/$2.log"; }
port_of() { sed -n "s/^$2 = .*:\([0-9]*\)\$/\1/p" "$DIR/conf/$1.conf"; }
# conf_of NODE SED-SCRIPT: a changed copy of its configuration, by name
conf_of() {
    local out
    out=$(mktemp "$DIR/conf/bad-XXXXXX.conf")
    sed "$2" "$DIR/conf/$1.conf" >"$out"
    echo "$out"
}
same_content() { (cd "$MNT" && sha256sum --quiet -c "$DIR/sums"); }

make_tree "$DIR/tree" 200
cp -a "$DIR/tree" "$MNT/tree" && head -c 900000 /dev/urandom >large && cp large "$MNT/large" && "$dfs" sync "$MNT"
(cd "$MNT" && find . -type f -exec sha256sum {} +) >"$DIR/sums"
before=$("$dfs" cluster status --dir "$DIR" | awk '{print $1, $4}')

# ---- strangers at the ports ----
nn=127.0.0.1:$(port_of nn1 listen) nn_http=127.0.0.1:$(port_of nn1 http)
dn=127.0.0.1:$(port_of dn1 listen) dn_http=127.0.0.1:$(port_of dn1 http)
peer=(python3 "$here/bad_peer.py")
client=("$pki/ca.crt" "$pki/client.crt" "$pki/client.key")
said() { # NODE SOURCE PATTERN: what the log says of that peer
    logged "  and $1 says why" "$1" "connection refused peer=$2:[0-9]+ reason=\".*$3"
}

# In one go: each takes seconds of waiting, none of work. Every peer has an address of its own, since a
# log tells of one once a minute.
strangers() { # NODE ADDRESS NET [CERTIFICATE...]
    local node=$1 address=$2 net=$3 pids=() bad=0
    local as=("${@:4}")
    "${peer[@]}" "$address" "127.0.$net.1" garbage >"$DIR/p1" & pids+=($!)
    "${peer[@]}" "$address" "127.0.$net.2" http >"$DIR/p2" & pids+=($!)
    "${peer[@]}" "$address" "127.0.$net.3" frame >"$DIR/p3" & pids+=($!)
    "${peer[@]}" "$address" "127.0.$net.4" half-hello >"$DIR/p4" & pids+=($!)
    "${peer[@]}" "$address" "127.0.$net.5" hello-and-garbage >"$DIR/p5" & pids+=($!)
    "${peer[@]}" "$address" "127.0.$net.6" nothing >"$DIR/p6" & pids+=($!)
    "${peer[@]}" "$address" "127.0.$net.7" bad-header "${as[@]}" >"$DIR/p7" & pids+=($!)
    "${peer[@]}" "$address" "127.0.$net.8" huge-body "${as[@]}" >"$DIR/p8" & pids+=($!)
    "${peer[@]}" "$address" "127.0.$net.9" huge-data "${as[@]}" >"$DIR/p9" & pids+=($!)
    "${peer[@]}" "$address" "127.0.$net.10" bad-body "${as[@]}" >"$DIR/p10" & pids+=($!)
    for i in "${!pids[@]}"; do
        wait "${pids[$i]}" || { bad=1; echo "peer $((i + 1)): $(cat "$DIR/p$((i + 1))")"; }
    done
    return $bad
}
check "nn1 closes what is no protocol" strangers nn1 "$nn" 1 "${client[@]}"
check "dn1 closes what is no protocol" strangers dn1 "$dn" 2 "${client[@]}"
for n in nn1:1 dn1:2; do
    said "${n%:*}" "127.0.${n#*:}.1" "neither TLS nor a dfs frame"
    said "${n%:*}" "127.0.${n#*:}.2" "an HTTP request: this port speaks dfs; HTTP has a port of its own"
    said "${n%:*}" "127.0.${n#*:}.3" "plain text, this port wants TLS"
    said "${n%:*}" "127.0.${n#*:}.5" "TLS with 127.0.${n#*:}.5:[0-9]+ failed"
    said "${n%:*}" "127.0.${n#*:}.7" "not a frame: wrong magic, header checksum or length"
    said "${n%:*}" "127.0.${n#*:}.8" "not a frame"
    said "${n%:*}" "127.0.${n#*:}.9" "not a frame"
    said "${n%:*}" "127.0.${n#*:}.10" "body of a PING frame fails its checksum"
done
# HTTP ports: stands_http ADDR:PORT
stands_http() {
    local what
    for what in garbage hello; do
        check "the HTTP port $1 stands $what" "${peer[@]}" "$1" 127.0.0.1 $what
    done
    check "  and serves on" curl -sf -m 5 -o /dev/null "http://$1/metrics"
    says "  and knows no other page" 22 404 curl -sSf -m 5 "http://$1/../../etc/passwd"
    says "  and takes nothing" 22 405 curl -sSf -m 5 -X POST -d x "http://$1/metrics"
}
stands_http "$nn_http"
stands_http "$dn_http"
mkdir m1
mnt_http=127.0.0.1:$(free_base_port)
check "a mount with an HTTP port" "$bin/dfs-fuse" -o "http=$mnt_http,log=$DIR/log/m1.log,pid_file=$DIR/m1.pid" m1
stands_http "$mnt_http"
check "  and the mount goes on" cmp large m1/large
m1_pid=$(cat m1.pid)
umount m1
check "  until it is unmounted" wait_until 30 gone "$m1_pid"

# Where data_tls is off, plain connections get as far as their first frame.
plain_down() {
    local status=$?
    "$dfs" cluster down --dir "$DIR/c4" >/dev/null 2>&1
    return $status
}
plain_said() { # SOURCE PATTERN
    check "  and says why" wait_until 10 grep -qE "connection refused peer=$1:[0-9]+ reason=\".*$2" c4/log/dn1.log
}
plain_copy() { "$dfs" put --config c4/conf/dfs.conf large /large && "$dfs" cat --config c4/conf/dfs.conf /large | cmp - large; }
trap 'plain_down; cluster_end' EXIT
check "a cluster with data_tls = off" "$dfs" cluster up --dir "$DIR/c4" --namenodes 1 --datanodes 1 --base-port "$(free_base_port)" --data-tls off
check "its datanode closes what is no protocol" strangers dn1 "127.0.0.1:$(port_of ../c4/conf/dn1 listen)" 3
plain_said 127.0.3.1 "neither TLS nor a dfs frame"
plain_said 127.0.3.2 "an HTTP request: this port speaks dfs"
plain_said 127.0.3.3 "a plain connection that showed no data token sent PING"
plain_said 127.0.3.5 "TLS with 127.0.3.5:[0-9]+ failed"
for i in 7 8 9; do
    plain_said 127.0.3.$i "not a frame"
done
plain_said 127.0.3.10 "showed no data token|fails its checksum"
check "  and goes on" plain_copy
check "  without an error of its own" bash -c "! grep ' error ' c4/log/*.log"
plain_down
trap cluster_end EXIT
says "a request of an unknown type is answered by nn1" 0 "does not answer" "${peer[@]}" "$nn" 127.0.0.1 unknown "${client[@]}"
says "  and by dn1" 0 "does not answer|may not ask" "${peer[@]}" "$dn" 127.0.0.1 unknown "${client[@]}"

# ---- certificates ----
# Of another CA, expired, and of ours for another role.
mkdir other && "$dfs" pki init --dir other --cluster other
for c in "client client" "nn3 namenode" "dn3 datanode"; do
    # shellcheck disable=SC2086
    "$dfs" pki issue $c --dir other --san 127.0.0.1
done
expired() { # NAME ROLE
    openssl req -new -key "$pki/client.key" -subj "/O=dfs/OU=$2/CN=$1" -out "other/$1.csr" &&
        : >other/index.txt && echo 7001 >other/serial &&
        openssl ca -batch -config <(printf '%s\n' '[ca]' 'default_ca=c' '[c]' 'new_certs_dir=other' \
            'database=other/index.txt' 'serial=other/serial' 'default_md=sha256' 'policy=p' '[p]' \
            'O=optional' 'OU=optional' 'CN=supplied') -cert "$pki/ca.crt" -keyfile "$pki/ca.key" \
            -startdate 20200101000000Z -enddate 20210101000000Z -in "other/$1.csr" -out "other/$1.crt" -notext
}
check "an expired certificate can be made" expired late client
other=(other/ca.crt other/client.crt other/client.key)
late=("$pki/ca.crt" other/late.crt "$pki/client.key")
for n in "nn1 $nn 3" "dn1 $dn 4"; do
    # shellcheck disable=SC2086
    set -- $n
    check "$1 refuses a certificate of another CA" "${peer[@]}" "$2" "127.0.$3.1" handshake "${other[@]}"
    said "$1" "127.0.$3.1" "certificate 'client' .* is not good under our CA 'dfs CA dfs-cluster'.*dfs pki"
    check "$1 refuses an expired certificate" "${peer[@]}" "$2" "127.0.$3.2" handshake "${late[@]}"
    said "$1" "127.0.$3.2" "certificate 'late' .*expired"
    check "$1 refuses a client's vote" "${peer[@]}" "$2" "127.0.$3.3" raft "${client[@]}"
    logged "  and says why" "$1" "request refused: not for this role type=RAFT peer=127.0.$3.3.* role=client"
    says "$1 refuses a client's registration" 0 "may not ask NODE_REGISTER" "${peer[@]}" "$2" "127.0.$3.3" register "${client[@]}"
done
datanode=("$pki/ca.crt" "$pki/dn1.crt" "$pki/dn1.key")
says "nonsense from one of us is answered" 0 "not a NodeRegisterRequest|not lead" "${peer[@]}" "$nn" 127.0.0.1 not-protobuf "${datanode[@]}"

foreign=$(conf_of dfs "s|$pki|$DIR/other|")
says "a client of another CA hears it" 3 "not reached: namenode 127.0.0.1:[0-9]+: .*certificate.* CA .*dfs pki" "$dfs" ls --config "$foreign" /
mkdir m2 && ln -s "$bin/dfs-fuse" mount.dfs
says "and so does a mount" 32 "the cluster was not reached: .*certificate.*CA.*dfs pki" "$bin/dfs-fuse" --config "$foreign" m2
says "an expired certificate of one's own is told" 3 "late.crt has expired; issue a new one with .dfs pki." "$dfs" ls --config "$(conf_of dfs "s|pki/client.crt|other/late.crt|")" /
says "a key that does not fit is told" 3 "key .*nn1.key does not belong to the certificate .*client.crt" "$dfs" ls --config "$(conf_of dfs "s|client.key|nn1.key|")" /
says "a certificate that is not there is told" 3 "certificate .*/none.crt does not exist; make one with .dfs pki." "$dfs" ls --config "$(conf_of dfs "s|client.crt|none.crt|")" /
says "a namenode does not start with a datanode's certificate" 1 "dn1.crt is for the role 'datanode', this program needs one for 'namenode'.*dfs pki issue" "$bin/dfs-namenode" --config "$(conf_of nn1 "s|pki/nn1|pki/dn1|")"
says "nor a datanode with a client's" 1 "client.crt is for the role 'client', this program needs one for 'datanode'" "$bin/dfs-datanode" --config "$(conf_of dn1 "s|pki/dn1|pki/client|")"
says "a client does not take a datanode for a namenode" 3 "certificate 'dn1' of $dn is for the role 'datanode', not 'namenode'" "$dfs" ls --namenodes "$dn" /

# A datanode and a namenode that come with certificates of another CA: nobody listens to them.
"$dfs" cluster stop --dir "$DIR" dn3 nn3
cp conf/dn3.conf conf/nn3.conf other/
sed -i "s|$pki|$DIR/other|" conf/dn3.conf conf/nn3.conf
"$dfs" cluster start --dir "$DIR" dn3 nn3
logged "a datanode of another CA says so" dn3 "connection refused peer=127.0.0.1.* reason=\".*CA"
logged "a namenode of another CA says so" nn3 "connection refused|no connection to a namenode.*certificate"
logged "  and the others say so of it" nn1 "(connection refused|no connection to a namenode).*certificate.*CA"
check "the cluster serves without them" bash -c "echo on >'$MNT/on' && [ \"\$(cat '$MNT/on')\" = on ] && rm '$MNT/on'"
check "dfs report shows them" wait_until 20 bash -c "'$dfs' report | grep -q '^! namenode 3 .* is down'"
"$dfs" cluster stop --dir "$DIR" dn3 nn3
cp other/dn3.conf other/nn3.conf conf/
"$dfs" cluster start --dir "$DIR" dn3 nn3
check "with their own certificates they are back" wait_until 60 "$dfs" report

# ---- command lines ----
for p in dfs-namenode dfs-datanode dfs-fuse; do
    says "$p refuses an unknown option" 2 "$p: unknown option '--confg'; did you mean '--config'\?" "$bin/$p" --confg=x
    says "$p wants values" 2 "option '--config' needs a value: --config=FILE" "$bin/$p" --config
    says "$p says where help is" 2 "Try '$p --help'" "$bin/$p" -Z
done
for p in dfs-namenode dfs-datanode; do
    says "$p takes no operand" 2 "'x' is one operand too many" "$bin/$p" x
done
says "dfs-fuse wants a mount point" 2 "operand is missing" "$bin/dfs-fuse"
says "dfs-fuse refuses an unknown mount option" 2 "unknown mount option 'io_timeot'; did you mean 'io_timeout'" "$bin/dfs-fuse" -o io_timeot=3s m2
says "mount.dfs too" 2 "unknown mount option" "$DIR/mount.dfs" "$nn:/" m2 -o nonsense
says "dfs wants a command" 2 "Usage: dfs COMMAND" "$dfs"
says "dfs refuses an unknown command" 2 "no command 'lst'; did you mean 'ls'" "$dfs" lst
for c in ls tree stat cat put get cp mv rm mkdir touch chmod chown ln du df quota setrep getrep find report why fsck sync counters cluster namenode pki; do
    says "dfs $c refuses an unknown option" 2 "option.*--no-such|cluster: there is no '--no-such'" "$dfs" $c --no-such
done
says "dfs cluster refuses numbers that are none" 2 "--namenodes takes a number from 1 to 5, not 'x'" "$dfs" cluster up --dir c2 --namenodes x
says "dfs cluster refuses an even number" 2 "must be odd" "$dfs" cluster up --dir c2 --namenodes 2
says "dfs cluster wants a directory" 2 "--dir is missing" "$dfs" cluster status
says "dfs cluster knows its nodes" 2 "no node 'nn9'; see: dfs cluster status" "$dfs" cluster kill --dir "$DIR" nn9
says "dfs cluster of a directory without one" 1 "no cluster in $DIR/c3.*dfs cluster up" "$dfs" cluster status --dir "$DIR/c3"
says "dfs pki knows its roles" 2 "there is no role 'boss': namenode, datanode, client or admin" "$dfs" pki issue x boss --dir "$pki"
says "dfs pki overwrites nothing" 1 "exists already and is not overwritten" "$dfs" pki init --dir "$pki"

# ---- configurations ----
for n in nn1:dfs-namenode dn1:dfs-datanode; do
    node=${n%:*} p=$bin/${n#*:}
    says "${n#*:}: no configuration" 1 "configuration /no/such.conf cannot be read: No such file or directory; --config=FILE" "$p" --config /no/such.conf
    says "${n#*:}: an unknown key" 1 "bad-.*conf:[0-9]+: unknown key .*\.lisen; did you mean 'listen'" "$p" --config "$(conf_of $node 's/^listen/lisen/')"
    says "${n#*:}: a bad value" 1 "bad-.*conf:[0-9]+: data.tls = 'perhaps': must be on or off" "$p" --config "$(conf_of $node '/^\[data\]/{n;s/.*/tls = perhaps/}')"
    says "${n#*:}: a line that is none" 1 "bad-.*conf:2: not understood: expected \[section\], key = value" "$p" --config "$(conf_of $node '2i what is this')"
    says "${n#*:}: a key that is missing" 1 "bad-.*conf: .*namenodes must be set" "$p" --config "$(conf_of $node '/^namenodes/d')"
    says "${n#*:}: an address that is none" 1 "bad-.*conf:[0-9]+: .*listen = 'nowhere'" "$p" --config "$(conf_of $node 's/^listen.*/listen = nowhere/')"
    says "${n#*:}: a binary file" 1 "large:[0-9]+: this is no text file" "$p" --config "$DIR/large"
    says "${n#*:}: a directory" 1 "cannot be read: Is a directory" "$p" --config "$DIR"
    check "${n#*:}: --check-config of the good one" "$p" --check-config --config "$DIR/conf/$node.conf"
done
says "dfs-fuse: no configuration" 1 "configuration /no/such.conf cannot be read" "$bin/dfs-fuse" --config /no/such.conf m2
says "dfs-fuse: an unknown key" 1 "bad-.*conf:[0-9]+: unknown key client.dirty_mx; did you mean 'dirty_max'" "$bin/dfs-fuse" --config "$(conf_of dfs '/^\[client\]/a dirty_mx = 64M')" m2
says "dfs-fuse: a bad value" 1 "command line: client.io_timeout = 'soon': must be a time" "$bin/dfs-fuse" -o io_timeout=soon --config conf/dfs.conf m2
says "dfs: an unknown key" 3 "bad-.*conf:[0-9]+: unknown key client.namenods; did you mean" "$dfs" ls --config "$(conf_of dfs 's/^namenodes/namenods/')" /

# ---- directories and ports ----
says "namenode: a second one on the same directory" 1 "$DIR/nn1/lock is held by process $(cat run/nn1.pid): is the daemon already running" "$bin/dfs-namenode" --config conf/nn1.conf
says "datanode: a second one on the same directory" 1 "$DIR/dn1/t1/lock is held by process $(cat run/dn1.pid): is the daemon already running" "$bin/dfs-datanode" --config "$(conf_of dn1 "s/^\(listen\|advertise\|http\).*/\1 = 127.0.0.1:0/; s/^node.*/node = twin/")"
says "in the background it is told on the terminal" 1 "is held by process" "$bin/dfs-datanode" --daemon --log-file bg.log --config conf/dn1.conf
says "and of a namenode" 1 "is held by process" "$bin/dfs-namenode" --daemon --log-file bg.log --config conf/nn1.conf
says "namenode: a directory without a parent" 1 "directory /no/such/nn does not exist, nor does /no/such to make it in" "$bin/dfs-namenode" --config "$(conf_of nn1 's|^data_dir.*|data_dir = /no/such/nn|')"
says "datanode: a directory without a parent" 1 "directory /no/such/t1 does not exist, nor does /no/such to make it in" "$bin/dfs-datanode" --config "$(conf_of dn1 's|^targets.*|targets = /no/such/t1|')"
says "namenode: a file for a directory" 1 "sums is not a directory" "$bin/dfs-namenode" --config "$(conf_of nn1 "s|^data_dir.*|data_dir = $DIR/sums|")"
says "datanode: a file for a directory" 1 "sums is not a directory" "$bin/dfs-datanode" --config "$(conf_of dn1 "s|^targets.*|targets = $DIR/sums|")"
says "namenode: a port in use" 1 "listen = $nn: Address (already )?in use" "$bin/dfs-namenode" --config "$(conf_of nn1 "s|^data_dir.*|data_dir = $DIR/nnX|")"
says "namenode: an HTTP port in use" 1 "http = $nn_http: Address (already )?in use" "$bin/dfs-namenode" --config "$(conf_of nn1 "s|^data_dir.*|data_dir = $DIR/nnY|; s|^listen.*|listen = 127.0.0.1:0|")"
says "datanode: a port in use" 1 "listen = $dn: Address (already )?in use" "$bin/dfs-datanode" --config "$(conf_of dn1 "s|^targets.*|targets = $DIR/m2|")"
says "datanode: an HTTP port in use" 1 "http = $dn_http: Address (already )?in use" "$bin/dfs-datanode" --config "$(conf_of dn1 "s|^targets.*|targets = $DIR/m2|; s|^listen.*|listen = 127.0.0.1:0|")"
says "datanode: a directory that holds other things" 1 "is not a dfs target and holds '.*'; give an empty directory" "$bin/dfs-datanode" --config "$(conf_of dn1 "s|^targets.*|targets = $DIR/tree|; s/^\(listen\|advertise\|http\).*/\1 = 127.0.0.1:0/")"

# ---- mounting ----
mkdir t9
says "mount: a directory that is not there" 1 "cannot mount on .*m9: there is no such directory; make it first" "$bin/dfs-fuse" m9
says "mount: a file" 1 "cannot mount on sums: Not a directory" "$bin/dfs-fuse" sums
says "mount: a directory that is not empty" 1 "cannot mount on tree: the directory is not empty, .*-o nonempty" "$bin/dfs-fuse" tree
says "mount: what is mounted already" 1 "a dfs file system is mounted there already; umount it first" "$bin/dfs-fuse" "$MNT"
says "mount: a directory of dfs that is not there" 1 "/none on 127.0.0.1:.*: No such file" "$bin/dfs-fuse" "$(sed -n 's/^namenodes = //p' conf/dfs.conf):/none" t9
start=$SECONDS
says "mount: namenodes that do not answer" 32 "the cluster was not reached: namenode 127.0.0.1:[12]: Connection refused" "$bin/dfs-fuse" 127.0.0.1:1,127.0.0.1:2 t9
says "mount.dfs too" 32 "the cluster was not reached" "$DIR/mount.dfs" 127.0.0.1:1:/ t9
check "that is told at once" test $((SECONDS - start)) -lt 10
says "mount: a host that is not known" 32 "the cluster was not reached: namenode no-such-host.invalid:8670: .*no address" "$bin/dfs-fuse" no-such-host.invalid:8670 t9
check "nothing was mounted meanwhile" test "$(grep -c " $DIR/" /proc/self/mounts)" = 1

# ---- a data directory of somebody else ----
"$dfs" cluster stop --dir "$DIR" nn2 dn2
says "namenode: a directory of another number" 1 "belongs to another namenode .*its_id=3 configured_id=2|its_id=2 configured_id=3" "$bin/dfs-namenode" --config "$(conf_of nn2 's/^id.*/id = 3/')"
(
    DIR=$DIR/c2 && MNT=
    "$dfs" cluster up --dir "$DIR" --namenodes 3 --datanodes 1 --base-port "$(free_base_port)" && "$dfs" cluster down --dir "$DIR"
) >c2.out 2>&1
check "another cluster can be made" test -e c2/nn2/identity -a -e c2/dn1/t1/superblock.a
sed -i.own "s|^data_dir.*|data_dir = $DIR/c2/nn2|" conf/nn2.conf
sed -i.own "s|^targets.*|targets = $DIR/c2/dn1/t1|" conf/dn2.conf
find c2/nn2/log c2/dn1 -type f -exec sha256sum {} + | grep -v /lock | sort >c2.sums
says "datanode: a directory of another cluster" 1 "c2/dn1/t1 belongs to cluster .*, not to this one" "$bin/dfs-datanode" --config conf/dn2.conf
"$dfs" cluster start --dir "$DIR" nn2
logged "a namenode of another cluster is not listened to, and says so" nn2 "of another cluster"
"$dfs" cluster stop --dir "$DIR" nn2
check "the datanode's directory was left alone" bash -c "find c2/dn1 -type f -exec sha256sum {} + | grep -v /lock | sort | diff - <(grep c2/dn1 c2.sums)"
mv conf/nn2.conf.own conf/nn2.conf && mv conf/dn2.conf.own conf/dn2.conf
"$dfs" cluster start --dir "$DIR" nn2 dn2
check "with their own directories they are back" wait_until 60 "$dfs" report

# ---- nothing is lost ----
check "no other process was started or lost" test "$(grep -vE '^(nn|dn)[23] ' <<<"$before")" = "$("$dfs" cluster status --dir "$DIR" | awk '{print $1, $4}' | grep -vE '^(nn|dn)[23] ')"
check "all content is what it was" same_content
check "and in all replicas" "$dfs" fsck --replicas
log_ignore='refused|another cluster|another data directory|cannot|certificate'
check_logs
done_testing
