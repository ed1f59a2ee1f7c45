#!/usr/bin/env bash
# Ordinary programs on the mount: byte-identical results and no error.
# FILES=20000 SQL_ROWS=2000 FIO_SIZE=512m runs it at full size.
. "$(dirname "$0")/lib.sh"
: "${FILES:=2000}" "${SQL_ROWS:=40}" "${FIO_SIZE:=32m}"

cluster_up
chmod 755 "$DIR"
make_tree "$DIR/tree" "$FILES"

no_difference() { [ -z "$(rsync -nacH --delete --out-format=%n "$1/" "$2/")" ]; }
check "cp -a" cp -a "$DIR/tree" "$MNT/tree"
check "diff -r" diff -r --no-dereference "$DIR/tree" "$MNT/tree"
check "rsync -n -c" no_difference "$DIR/tree" "$MNT/tree"
there_and_back() {
    tar cf "$DIR/there.tar" -C "$MNT" tree && mkdir "$MNT/x" && tar xf "$DIR/there.tar" -C "$MNT/x" &&
        no_difference "$DIR/tree" "$MNT/x/tree"
}
check "tar c and tar x" there_and_back
check "rm -r" rm -r "$MNT/x"

repository() {
    export HOME=$DIR GIT_CONFIG_NOSYSTEM=1
    cd "$MNT" && git init -q repo && cd repo && cp -r "$DFS_SRCDIR/common" "$DFS_SRCDIR/rpc" . &&
        git add -A && git -c user.name=a -c user.email=a@b commit -qm one && git fsck --strict &&
        [ -z "$(git status --porcelain)" ] && cd .. && git clone -q --no-hardlinks repo clone &&
        cd clone && git fsck --strict && [ -z "$(git status --porcelain)" ] && git gc -q && git fsck
}
check "git init, commit, fsck, clone, status, gc" bash -c "$(declare -f repository); MNT='$MNT' DIR='$DIR'; repository"

# A C project that configures itself: made here, for no package is sure to be at hand.
project() {
    mkdir "$MNT/project" && cd "$MNT/project" || return
    {
        printf 'AC_INIT([p],[1])\nAM_INIT_AUTOMAKE([foreign])\nAC_PROG_CC\nAC_CHECK_HEADERS([stdio.h fcntl.h])\n'
        printf 'AC_CHECK_FUNCS([pread mmap])\nAC_CONFIG_HEADERS([config.h])\nAC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n'
    } >configure.ac
    printf 'bin_PROGRAMS = p\np_SOURCES = main.c' >Makefile.am
    local i
    for i in $(seq 30); do
        printf '#include <stdio.h>\nint f%d(void) { return printf("%d ") > 0; }\n' "$i" "$i" >"f$i.c"
        printf ' f%d.c' "$i" >>Makefile.am
    done
    printf '\n' >>Makefile.am
    {
        for i in $(seq 30); do echo "int f$i(void);"; done
        echo 'int main(void) {'
        for i in $(seq 30); do echo "f$i();"; done
        echo 'return 0; }'
    } >main.c
    autoreconf -i && ./configure && make -j2 && [ "$(./p)" = "$(seq -s' ' 30) " ] &&
        make 2>&1 | grep -q 'Nothing to be done\|up to date\|all-am' && make distclean
}
check "autoreconf, configure, make" bash -c "$(declare -f project); MNT='$MNT'; project"

sql() {
    local db=$MNT/test.db i pids=()
    sqlite3 "$db" 'create table t(w, n, x)' || return
    for i in $(seq 8); do
        for n in $(seq "$SQL_ROWS"); do
            echo "insert into t values($i, $n, randomblob(400));"
        done | sqlite3 -cmd '.timeout 120000' "$db" &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i" || return; done
    [ "$(sqlite3 "$db" 'pragma integrity_check')" = ok ] &&
        [ "$(sqlite3 "$db" 'select count(*) from t')" = $((8 * SQL_ROWS)) ]
}
check "SQLite: eight processes write, every row is there, integrity_check" sql

verify() { # RW DIRECT
    fio --name=v --filename="$MNT/fio" --rw="$1" --direct="$2" --bs=16k --size="$FIO_SIZE" --verify=crc32c \
        --verify_fatal=1 --ioengine=psync --thread && rm "$MNT/fio"
}
for rw in write randwrite randrw; do
    check "fio $rw, verified, buffered" verify $rw 0
    check "fio $rw, verified, direct" verify $rw 1
done
check "fio through mmap, verified" fio --name=m --filename="$MNT/fiom" --rw=randwrite --bs=4k --size=8m \
    --verify=crc32c --verify_fatal=1 --ioengine=mmap --thread

sparse() {
    local f=$MNT/sparse
    echo first >"$f" && truncate -s 6G "$f" && printf last | dd of="$f" bs=1 seek=$((6 * 1024 ** 3 - 4)) conv=notrunc status=none &&
        printf middle | dd of="$f" bs=1 seek=$((5 * 1024 ** 3 + 77)) conv=notrunc status=none &&
        [ "$(stat -c %s "$f")" = $((6 * 1024 ** 3)) ] && [ "$(head -c 5 "$f")" = first ] &&
        [ "$(tail -c 4 "$f")" = last ] &&
        [ "$(dd if="$f" bs=1 skip=$((5 * 1024 ** 3 + 77)) count=6 status=none)" = middle ] &&
        [ -z "$(dd if="$f" bs=1M skip=4097 count=8 status=none | tr -d '\0')" ] &&
        [ "$(du -k "$f" | cut -f1)" -lt 1000000 ] && rm "$f"
}
check "a sparse file of 6 GiB" sparse
append() { # each line whole, none lost
    local i n
    for i in 1 2 3 4; do
        (for n in $(seq 100); do echo "writer $i line $n"; done >>"$MNT/appended") &
    done
    wait
    [ "$(wc -l <"$MNT/appended")" = 400 ] && [ "$(sort -u "$MNT/appended" | wc -l)" = 400 ]
}
check "four processes append, no line is lost" append
open_unlinked() {
    exec 7<>"$MNT/gone" && head -c 5000000 "$DIR/there.tar" >&7 && rm "$MNT/gone" &&
        head -c 5000000 "$DIR/there.tar" | cmp - /proc/self/fd/7
    local r=$?
    exec 7>&-
    return $r
}
check "a file that is open and unlinked keeps its bytes" open_unlinked
long=$(printf 'n%.0s' $(seq 255))
long_names() {
    echo x >"$MNT/$long" && [ "$(cat "$MNT/$long")" = x ] && mv "$MNT/$long" "$MNT/m${long#n}" && rm "$MNT/m${long#n}"
}
check "a name of 255 bytes" long_names
refuse "a name of 256 bytes" 'too long' touch "$MNT/x$long"

as() { setpriv --reuid 65534 --regid 65534 "$@"; }
mkdir -m 700 "$MNT/secret"
mkdir -m 2770 "$MNT/group" && chgrp 4242 "$MNT/group"
echo x >"$MNT/group/f" && chmod 640 "$MNT/group/f"
refuse "nobody does not look into a directory of root" 'denied' as --clear-groups ls "$MNT/secret"
refuse "nor into one of a group it is not in" 'denied' as --clear-groups cat "$MNT/group/f"
check "a supplementary group lets it in" as --groups 4242 cat "$MNT/group/f"
check "and lets it create there" as --groups 4242 touch "$MNT/group/new"
check "with that directory's group" test "$(stat -c %g "$MNT/group/new")" = 4242
refuse "it may not chown" 'not permitted' as --groups 4242 chown 0 "$MNT/group/new"

# A write into a cluster without datanodes waits; a signal must end the process all the same.
blocked() {
    local pid r=0
    "$dfs" cluster pause --dir "$DIR" dn1 dn2 dn3 || return
    dd if=/dev/zero of="$MNT/blocked" bs=1M count=1 conv=fsync status=none &
    pid=$!
    sleep 1
    kill -0 $pid || r=1
    kill -9 $pid
    wait_until 5 gone $pid || r=2
    "$dfs" cluster resume --dir "$DIR" dn1 dn2 dn3
    return $r
}
gone() { [ ! -e "/proc/$1" ] || grep -q '^State:.*Z' "/proc/$1/status"; }
check "kill -9 ends a process that waits for paused datanodes" blocked
check "all are serving again" wait_until 60 all_serving
check "and writes go on" dd if=/dev/zero of="$MNT/blocked" bs=1M count=4 conv=fsync status=none
check "the replicas are equal" wait_until 30 "$dfs" fsck --replicas
check_logs
done_testing
