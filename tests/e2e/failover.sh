#!/usr/bin/env bash
# The namenode leader and a datanode die while tar and fio work: no program sees an error, the
# content is right, the cluster heals by itself and its replicas are equal.
. "$(dirname "$0")/lib.sh"
: "${FILES:=1500}" "${FIO_SIZE:=48m}" "${FIO_LOOPS:=3}"

fio_verify() {
    (cd "$MNT" && fio --name=v --filename="$MNT/fio.$1" --rw=randrw --bs=64k --size="$FIO_SIZE" \
        --verify=crc32c --do_verify=1 --loops="$FIO_LOOPS" --ioengine=psync --fsync=64 --thread \
        --verify_fatal=1 --output="$DIR/fio.$1.out")
}
untar() { rm -rf "${MNT:?}/$1" && mkdir -p "$MNT/$1" && tar xf "$DIR/tree.tar" -C "$MNT/$1"; }
same_tree() { diff -r --no-dereference "$DIR/tree" "$MNT/$1/tree"; }
# Again and again until the faults are over.
while_faults() {
    while :; do
        "$@" || return 1
        [ -e "$DIR/faults" ] || return 0
    done
}
work() {
    touch "$DIR/faults"
    while_faults untar "$1" >"$DIR/untar.$1" 2>&1 &
    local tar_pid=$!
    while_faults fio_verify "$1" >"$DIR/fio.$1" 2>&1 &
    local fio_pid=$!
    sleep 0.7
    faults "$1"
    rm "$DIR/faults"
    wait $tar_pid
    tar_status=$?
    wait $fio_pid
    fio_status=$?
}
faults() {
    local nn n killed
    nn=$(leader)
    case $1 in
    leader) killed=$nn ;;
    datanode) killed=dn2 ;;
    both) killed="dn1 $nn" ;;
    esac
    for n in $killed; do
        node kill "$n"
        sleep 1.5
    done
    sleep 1.5
    for n in $killed; do
        node start "$n"
        sleep 1.5
    done
}
node() { "$dfs" cluster "$1" --dir "$DIR" "${@:2}"; }
tar_status=1 fio_status=1

cluster_up
make_tree "$DIR/tree" "$FILES"
tar cf "$DIR/tree.tar" -C "$DIR" tree
for what in leader datanode both; do
    work "$what"
    check "$what killed: tar saw no error" bash -c "cat '$DIR/untar.$what'; exit $tar_status"
    check "$what killed: fio saw no error" bash -c "cat '$DIR/fio.$what' '$DIR/fio.$what.out'; exit $fio_status"
    check "$what killed: the tree is right" same_tree "$what"
    check "$what killed: all are serving again by themselves" wait_until 60 all_serving
    rm -f "$MNT/fio.$what"
done
check "dfs report finds nothing wrong" wait_until 30 "$dfs" report
check "the replicas of every chunk are equal" wait_until 30 "$dfs" fsck --replicas
check_logs
done_testing
