#!/usr/bin/env bash
# The life of a mount: mount(8), fstab, options and their refusal, read-only, a directory as the
# root, unmounting with dirty data, SIGTERM, a busy mount, a daemon that died, a user's own mount.
. "$(dirname "$0")/lib.sh"

dfs_fuse=$DFS_BUILDDIR/dfs-fuse
cluster_up
M=$DIR/second
mkdir "$M"
log_ignore=' (reading /dev/fuse failed|the cluster was not reached) '
nodes=$(awk -F'= *' '/^namenodes/ {print $2; exit}' "$DFS_CONFIG")
opts="config=$DFS_CONFIG,log=$DIR/log/second.log,pid_file=$DIR/second.pid"
mkdir "$DIR/sbin" && ln -s "$dfs_fuse" "$DIR/sbin/mount.dfs"
helper=$DIR/sbin/mount.dfs # as mount(8) calls it

mounted() { grep -q " $M fuse.dfs " /proc/self/mounts; }
not_mounted() { ! mounted; }
ended() { gone "$(cat "$DIR/second.pid")"; }
unmounted() { umount "$M" && wait_until 30 ended && not_mounted; }
mount_second() { "$helper" "${1-$nodes}" "$M" -o "rw,$opts${2:+,$2}" && mounted; }

# ---- mounting ----
check "mount.dfs SPEC DIR -o LIST returns when it is mounted" mount_second
check "both mounts show the same" bash -c "echo hello >'$MNT/f' && [ \"\$(cat '$M/f')\" = hello ]"
check "umount ends the daemon" unmounted
check "the namenodes may come from the configuration" mount_second none
check "umount" unmounted
fake() { "$helper" "$nodes" "$M" -f -o "rw,$opts" && not_mounted; }
check "mount --fake mounts nothing" fake
words() { mount_second "$nodes" "noatime,nodev,nosuid,noexec,relatime,strictatime,nodiratime,_netdev,nofail,x-systemd.automount,io_timeout=60s,dirty_max=16M" &&
    grep " $M " /proc/self/mounts | grep nosuid | grep nodev | grep noexec | grep -q noatime; }
check "the usual words of fstab are taken" words
check "umount" unmounted

# Writes that wait for room must not see their bytes change under them: each block names its place.
crowded() {
    mount_second "$nodes" dirty_max=8M && cd "$DIR" &&
        fio --name=v --filename="$M/crowded" --rw=randwrite --bs=16k --size=64m --ioengine=libaio --iodepth=8 \
            --direct=1 --verify=crc32c --verify_fatal=1 --do_verify=1 --thread && rm "$M/crowded"
}
check "eight writes at once with little room for what is written" crowded
check "umount" unmounted

# mount(8) finds its helper in /sbin alone: an overlay, in a mount namespace of its own.
with_mount8() {
    unshare -m bash -c "mkdir -p '$DIR/over' && mount -t tmpfs none '$DIR/over' && mkdir '$DIR/over/u' '$DIR/over/w' &&
        ln -s '$dfs_fuse' '$DIR/over/u/mount.dfs' && ln -s mount.dfs '$DIR/over/u/mount.fuse.dfs' &&
        mount -t overlay -o lowerdir=/usr/sbin,upperdir='$DIR/over/u',workdir='$DIR/over/w' none /usr/sbin || exit 77
        export PATH=/usr/sbin:\$PATH; $1"
}
mount8() {
    with_mount8 "mount -t dfs -o '$opts' '$nodes:/' '$M' && [ \"\$(cat '$M/f')\" = hello ] && umount '$M'" &&
        wait_until 30 ended
}
fstab() {
    echo "$nodes:/ $M dfs noauto,_netdev,nofail,noatime,$opts 0 0" >"$DIR/fstab"
    with_mount8 "mount -T '$DIR/fstab' '$M' && [ \"\$(cat '$M/f')\" = hello ] && findmnt -n -o FSTYPE '$M' &&
        umount '$M'" && wait_until 30 ended
}
twice() { # What is mounted is not mounted again.
    echo "$nodes:/ $M dfs _netdev,nofail,$opts 0 0" >"$DIR/fstab"
    with_mount8 "mount -a -T '$DIR/fstab' && mount -a -T '$DIR/fstab' && [ \$(grep -c ' $M ' /proc/self/mounts) = 1 ] &&
        umount '$M'" && wait_until 30 ended
}
remount() {
    with_mount8 "mount -t dfs -o '$opts' '$nodes:/' '$M' && mount -o remount,ro '$M'; r=\$?; umount '$M'; exit \$r"
}
if with_mount8 true; then
    check "mount -t dfs" mount8
    check "a line of fstab" fstab
    check "mount -a, and once more" twice
    refuse "a remount by mount(8)" "unmount it and mount it anew" remount
else
    ok "mount -t dfs # SKIP no overlay file system"
fi

# ---- refusals ----
refuse "an unknown option is refused, with a hint" "unknown mount option 'dirty_mx'.*dirty_max" \
    "$helper" "$nodes" "$M" -o "$opts,dirty_mx=1M"
refuse "an address that is none" 'the namenodes: "b:x" is not of the form host' "$helper" "a:1,b:x:/" "$M" -o "$opts"
refuse "a directory that is not absolute" '"[^"]*:sub" is not of the form host' "$helper" "$nodes:sub" "$M" -o "$opts"
refuse "a value that is missing" "the mount option 'config' needs a value" "$helper" "$nodes" "$M" -o config
refuse "a value too much" "the mount option 'ro' takes no value" "$helper" "$nodes" "$M" -o "$opts,ro=1"
refuse "a bad value is refused" "dirty_max" "$helper" "$nodes" "$M" -o "$opts,dirty_max=much"
refuse "remounting is refused" "unmount it and mount it" "$helper" "$nodes" "$M" -o "remount,ro,$opts"
refuse "a mount point that is not there" "nowhere: there is no such directory" "$helper" "$nodes" "$DIR/nowhere" -o "$opts"
refuse "a mount point that is a file" "Not a directory" "$helper" "$nodes" "$DFS_CONFIG" -o "$opts"
refuse "a directory that is not there" "/nowhere.*No such file" "$helper" "$nodes:/nowhere" "$M" -o "$opts"
refuse "a file as the root" "/f.*Not a directory" "$helper" "$nodes:/f" "$M" -o "$opts"
nobody_there() { "$helper" 127.0.0.1:1 "$M" -o "$opts"; [ $? = 32 ]; }
check "no namenode: exit code 32" nobody_there
check "nothing was mounted by all that" not_mounted

# ---- ways to mount ----
read_only() {
    mount_second "$nodes" ro && [ "$(cat "$M/f")" = hello ] && ! touch "$M/g" 2>"$DIR/err" &&
        grep -q 'Read-only' "$DIR/err" && ! rm "$M/f" 2>/dev/null && unmounted
}
check "-o ro" read_only
subdir() {
    mkdir -p "$MNT/top/sub" && echo below >"$MNT/top/sub/file" && mount_second "$nodes:/top/sub" &&
        [ "$(cat "$M/file")" = below ] && [ "$(ls -A "$M")" = file ] && mkdir "$M/d" &&
        mv "$M/file" "$M/d/file" && [ "$(cat "$MNT/top/sub/d/file")" = below ] &&
        [ "$(stat -c %i "$M/..")" = "$(stat -c %i "$DIR")" ] && unmounted
}
check "a directory as the root" subdir
metrics() {
    local port
    port=$(free_base_port)
    mount_second "$nodes" "http=127.0.0.1:$port" && cat "$M/f" >/dev/null && sleep 1.2 &&
        exec 8<>"/dev/tcp/127.0.0.1/$port" && printf 'GET /metrics HTTP/1.0\r\n\r\n' >&8 &&
        cat <&8 >"$DIR/metrics.out"
    exec 8>&-
    grep -E '^dfs_mount_fuse_requests_total [1-9]' "$DIR/metrics.out" &&
        grep -E '^dfs_mount_meta_rpcs_total [1-9]' "$DIR/metrics.out" && unmounted
}
check "-o http=ADDR:PORT serves /metrics" metrics
foreground() {
    "$dfs_fuse" --foreground -o "$opts" "$nodes" "$M" 2>"$DIR/log/foreground.log" &
    local pid=$!
    wait_until 20 mounted && [ "$(cat "$M/f")" = hello ] && kill -TERM $pid && wait $pid && not_mounted
}
check "--foreground, ended by SIGTERM with status 0" foreground

# ---- ends ----
head -c 60000000 /dev/urandom >"$DIR/data"
dirty_end() {
    mount_second && cp "$DIR/data" "$M/big" && echo last >"$M/last" && unmounted &&
        cmp "$DIR/data" "$MNT/big" && [ "$(cat "$MNT/last")" = last ]
}
check "umount right after a big write loses nothing" dirty_end
terminated() { # the size is what write(2) has taken; SIGTERM ends the mount under the writer
    local took pid
    mount_second || return 1
    dd if="$DIR/data" of="$M/torn" bs=64k 2>"$DIR/dd.err" &
    pid=$!
    wait_until 20 [ -s "$M/torn" ]
    took=$(stat -c %s "$M/torn") && kill -TERM "$(cat "$DIR/second.pid")"
    wait $pid
    wait_until 60 ended && not_mounted || return 1
    echo "taken: $took, there: $(stat -c %s "$MNT/torn")"
    [ "$took" -gt 0 ] && [ "$(stat -c %s "$MNT/torn")" -ge "$took" ] &&
        cmp -n "$took" "$DIR/data" "$MNT/torn"
}
check "SIGTERM under a writer: what write(2) took is there" terminated
busy() {
    mount_second && exec 8>"$M/held" && ! umount "$M" 2>"$DIR/err" && grep -q busy "$DIR/err" &&
        echo more >&8 && exec 8>&- && [ "$(cat "$MNT/held")" = more ] && unmounted
}
check "a busy mount stays, and works" busy
lazily() {
    mount_second && exec 8>"$M/lazy" && umount -l "$M" && not_mounted && echo more >&8 && exec 8>&- &&
        wait_until 30 ended && [ "$(cat "$MNT/lazy")" = more ]
}
check "umount -l: who has a file open writes on, then the daemon ends" lazily
died() {
    mount_second && kill -9 "$(cat "$DIR/second.pid")" && wait_until 10 ended &&
        ! cat "$M/f" 2>"$DIR/err" && grep -q 'not connected' "$DIR/err" && umount "$M" && not_mounted &&
        mount_second && [ "$(cat "$M/f")" = hello ] && unmounted
}
check "a daemon that was killed: an error, umount, and it mounts again" died

# ---- a user's own mount ----
# In a mount namespace where /dev/fuse is everybody's, as udev has it.
U=$DIR/user
export U MNT DFS_SRCDIR nodes dfs_fuse
user() { # nobody: fusermount3 wants a name
    setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
user_mounted() { grep -q " $U/mnt fuse.dfs " /proc/self/mounts; }
user_ended() {
    local i
    for i in $(seq 150); do
        kill -0 "$(cat "$U/pid")" 2>/dev/null || { ! user_mounted; return; }
        sleep 0.2
    done
    return 1
}
user_mounts() {
    user "$dfs_fuse" -o "ca=$U/ca.crt,cert=$U/client.crt,key=$U/client.key,log=$U/log,pid_file=$U/pid" \
        "$nodes" "$U/mnt" && user_mounted
}
own_mount() {
    user_mounts && user cp "$DFS_SRCDIR/README.md" "$U/mnt/users/x" && user ls -l "$U/mnt" &&
        user cmp "$DFS_SRCDIR/README.md" "$U/mnt/users/x" &&
        [ "$(stat -c %u "$MNT/users/x")" = 65534 ] && ! user touch "$U/mnt/f" 2>/dev/null &&
        ! ls "$U/mnt" 2>/dev/null && user fusermount3 -u "$U/mnt" && user_ended
}
own_term() {
    user_mounts && user cp "$DFS_SRCDIR/README.md" "$U/mnt/users/y" && kill "$(cat "$U/pid")" &&
        user_ended && cmp "$DFS_SRCDIR/README.md" "$MNT/users/y"
}
export -f user user_mounted user_ended user_mounts own_mount own_term
chmod 711 "$DIR"
mkdir "$U" "$U/mnt" && cp "$DIR"/pki/ca.crt "$DIR"/pki/client.* "$U/" && chown -R 65534:65534 "$U"
mkdir -m 777 "$MNT/users"
mknod -m 666 "$DIR/fuse" c 10 229
unshare -m --propagation private sleep 900 &
ns=$!
trap 'status=$?; kill $ns 2>/dev/null; (exit $status); cluster_end' EXIT
in_ns() { nsenter -m -t $ns "$@"; }
wait_until 5 [ "$(readlink /proc/$ns/ns/mnt)" != "$(readlink /proc/$$/ns/mnt)" ]
if [ -u "$(command -v fusermount3)" ] && user test -x "$dfs_fuse" &&
    in_ns mount --bind "$DIR/fuse" /dev/fuse && in_ns bash -c 'user dd if=/dev/fuse count=0 2>/dev/null'; then
    check "a user mounts for himself, and is who he is" in_ns bash -c own_mount
    check "SIGTERM ends it, and nothing stays mounted" in_ns bash -c own_term
else
    ok "a user's own mount # SKIP no setuid fusermount3, or the build or device is out of his reach"
fi
check_logs
done_testing
