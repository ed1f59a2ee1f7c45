#!/usr/bin/env bash
# Nobody is stuck: with all namenodes, or all datanodes, silent, whatever waits on the mount ends
# when it gets a signal, and afterwards the mount works on and has lost nothing.
. "$(dirname "$0")/lib.sh"
: "${PATIENCE:=15}" # seconds that a signal may take: namenodes are given up after at most 8

# Again and again, as a person would: dd, told to end, closes its file, and waits there.
ends_by() { # SIGNAL PID
    kill "-$1" "$2" 2>/dev/null
    sleep 0.8
    gone "$2"
}
# stuck SIGNAL COMMAND...: it waits, and ends by the signal
stuck() {
    local signal=$1 pid
    shift
    # What bash starts in the background would ignore SIGINT.
    env --default-signal=INT,QUIT "$@" >/dev/null 2>&1 &
    pid=$!
    sleep 0.7
    if gone $pid; then
        echo "it did not wait: $*"
        return 1
    fi
    if ! wait_until "$PATIENCE" ends_by "$signal" $pid; then
        echo "$PATIENCE s after $signal it is still there: $*"
        cat "/proc/$pid/stack" "/proc/$pid/wchan" 2>/dev/null
        kill -9 $pid
        return 1
    fi
    wait $pid
    [ $? -gt 128 ] || { echo "it ended without the signal"; return 1; }
}
# Each in turn, with both signals.
stuck_both() {
    stuck INT "$@" && stuck KILL "$@"
}
# At once, so that their patience is spent together: one command a line on stdin.
all_stuck() {
    local line pids=() failed=0 pid
    while read -r line; do
        # shellcheck disable=SC2086 # the line is words
        stuck_both $line &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || failed=1
    done
    return $failed
}
pause() {
    local n
    for n in "$@"; do "$dfs" cluster pause --dir "$DIR" "$n" >/dev/null || return 1; done
}
resume() {
    local n
    for n in "$@"; do "$dfs" cluster resume --dir "$DIR" "$n" >/dev/null || return 1; done
}
works() {
    head -c 3000000 "$DIR/data" >"$MNT/after.$1" && cmp -n 3000000 "$DIR/data" "$MNT/after.$1" &&
        mkdir "$MNT/after.$1.d" && mv "$MNT/after.$1" "$MNT/after.$1.d/x" && ls -l "$MNT" >/dev/null &&
        "$dfs" sync "$MNT" && rm -r "$MNT/after.$1.d"
}

cluster_up
head -c 8000000 /dev/urandom >"$DIR/data"
cp "$DIR/data" "$MNT/data"
for n in 1 2 3 4 5 6 7 8; do echo small >"$MNT/small$n"; done
mkdir "$MNT/dir"

# ---- namenodes ----
pause nn1 nn2 nn3
meta() {
    all_stuck <<EOT
ls $MNT/dir
stat $MNT/small1
cat $MNT/small2
mkdir $MNT/new
rmdir $MNT/dir
mv $MNT/small3 $MNT/renamed
rm $MNT/small4
ln $MNT/small5 $MNT/hard
ln -s x $MNT/sym
chmod 600 $MNT/small6
touch $MNT/small6
truncate -s 2 $MNT/small7
setfattr -n user.x -v y $MNT/small8
getfattr -n user.x $MNT/small8
df $MNT
cp $DIR/data $MNT/copy
dd if=$DIR/data of=$MNT/dd bs=1M
EOT
}
check "all namenodes silent: SIGINT and SIGKILL end every call" meta
resume nn1 nn2 nn3
check "the namenodes are back: the mount works on" works 1
check "what was there is there" cmp "$DIR/data" "$MNT/data"

# ---- datanodes ----
cp "$DIR/data" "$MNT/cut1"
cp "$DIR/data" "$MNT/uncached"
"$dfs" sync "$MNT"
echo 3 >/proc/sys/vm/drop_caches
data() {
    all_stuck <<EOT
dd if=$MNT/data of=/dev/null bs=1M iflag=direct
cat $MNT/uncached
dd if=/dev/zero of=$MNT/written bs=1M count=600
dd if=/dev/zero of=$MNT/synced bs=64k count=2 conv=fsync
dd if=/dev/zero of=$MNT/direct bs=1M count=600 oflag=direct
truncate -s 5000001 $MNT/cut1
cp $DIR/data $MNT/copied
EOT
}
pause dn1 dn2 dn3
check "all datanodes silent: SIGINT and SIGKILL end every call" data
resume dn1 dn2 dn3
check "the datanodes are back: the mount works on" works 2
cut_right() {
    [ "$(stat -c %s "$MNT/cut1")" = 5000001 ] && cmp -n 5000001 "$DIR/data" "$MNT/cut1" &&
        truncate -s 6000000 "$MNT/cut1" &&
        cmp -i 5000001:0 -n 999999 "$MNT/cut1" /dev/zero
}
check "the interrupted truncate was done, its tail is zeros" cut_right
check "nothing else was changed" cmp "$DIR/data" "$MNT/data"

# ---- a bound that the user sets ----
T=$DIR/timed
mkdir "$T"
nodes=$(awk -F'= *' '/^namenodes/ {print $2; exit}' "$DFS_CONFIG")
check "a mount with io_timeout" "$DFS_BUILDDIR/dfs-fuse" -o "config=$DFS_CONFIG,io_timeout=2s,log=$DIR/log/timed.log,pid_file=$DIR/run/timed.pid" "$nodes" "$T"
timed_out() { # COMMAND...: says so, in time
    local start=$SECONDS
    ! "$@" 2>"$DIR/err" && grep -q 'timed out' "$DIR/err" && [ $((SECONDS - start)) -lt $PATIENCE ]
}
no_namenode() {
    pause nn1 nn2 nn3
    timed_out ls "$T/dir" && timed_out mkdir "$T/late"
    local r=$?
    resume nn1 nn2 nn3
    return $r
}
check "io_timeout: without namenodes a call ends with ETIMEDOUT" no_namenode
back() { wait_until 20 ls "$T" && [ -d "$T/late" ] || mkdir "$T/late"; }
check "and they come back" back
umount "$T"
stopped=timed
log_ignore='unwritten data'
check_logs
done_testing
