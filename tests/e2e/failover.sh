#!/usr/bin/env bash
# The namenode leader and datanodes are killed and come back while tar and fio work: no program sees
# an error, the content is right, the cluster heals by itself and its replicas are equal.
#
#   FILES=20000 FIO_SIZE=512m ROUNDS='leader+dn1 dn3+leader' PAUSE=5 DATA_TLS=off tests/e2e/failover.sh
#
# A round names who is killed, one after the other, PAUSE seconds apart; then they are started again.
. "$(dirname "$0")/lib.sh"
: "${FILES:=600}" "${FIO_SIZE:=48m}" "${FIO_LOOPS:=3}" "${PAUSE:=1.5}" "${ROUNDS:=leader dn2 leader+dn1}"
: "${DATANODES:=3}" "${DATA_TLS:=on}"

node() { "$dfs" cluster "$1" --dir "$DIR" "${@:2}"; }
fio_verify() {
    (cd "$MNT" && fio --name=v --filename="$MNT/fio.$1" --rw=randrw --bs=64k --size="$FIO_SIZE" \
        --verify=crc32c --do_verify=1 --loops="$FIO_LOOPS" --ioengine=psync --fsync=64 --thread \
        --verify_fatal=1 --output="$DIR/fio.$1.out")
}
untar() { rm -rf "${MNT:?}/$1" && mkdir -p "$MNT/$1" && tar xpf "$DIR/tree.tar" -C "$MNT/$1"; }
same_tree() {
    diff -r --no-dereference "$DIR/tree" "$MNT/$1/tree" &&
        [ -z "$(rsync -nacHX --delete --out-format=%n "$DIR/tree/" "$MNT/$1/tree/" | tee /dev/stderr)" ]
}
# Again and again until the faults are over.
while_faults() {
    while :; do
        "$@" || return 1
        times=$((times + 1))
        [ -e "$DIR/faults" ] || break
    done
    echo "$* ran $times times"
}
faults() {
    local n killed=()
    for n in ${1//+/ }; do
        [ "$n" != leader ] || n=$(leader | grep . || echo nn1)
        node kill "$n"
        killed+=("$n")
        sleep "$PAUSE"
    done
    sleep "$PAUSE"
    for n in "${killed[@]}"; do
        node start "$n"
        sleep "$PAUSE"
    done
}
work() {
    local times=0 tar_pid fio_pid
    touch "$DIR/faults"
    while_faults untar "$1" >"$DIR/untar.$1" 2>&1 &
    tar_pid=$!
    while_faults fio_verify "$1" >"$DIR/fio.$1" 2>&1 &
    fio_pid=$!
    sleep 0.7
    faults "$1"
    rm "$DIR/faults"
    wait $tar_pid
    tar_status=$?
    wait $fio_pid
    fio_status=$?
}

cluster_up --datanodes "$DATANODES" --data-tls "$DATA_TLS"
make_tree "$DIR/tree" "$FILES"
tar cf "$DIR/tree.tar" -C "$DIR" tree
for what in $ROUNDS; do
    tar_status=1 fio_status=1 start=$SECONDS
    work "$what"
    echo "# $what: $((SECONDS - start)) s: $(tail -qn 1 "$DIR/untar.$what" "$DIR/fio.$what" | tr '\n' ' ')"
    check "$what killed: tar saw no error" bash -c "cat '$DIR/untar.$what'; exit $tar_status"
    check "$what killed: fio saw no error" bash -c "cat '$DIR/fio.$what' '$DIR/fio.$what.out'; exit $fio_status"
    check "$what killed: the tree is right" same_tree "$what"
    check "$what killed: dfs report says all is well, by itself" wait_until 60 "$dfs" report ||
        "$dfs" report | sed 's/^/# /'
    check "$what killed: the replicas of every chunk are equal" wait_until 30 "$dfs" fsck --replicas
    rm -rf "$MNT/fio.$what" "${MNT:?}/$what"
done
check "all nodes are serving" wait_until 10 all_serving
check_logs
done_testing
