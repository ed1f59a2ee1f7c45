#!/usr/bin/env bash
# Ordinary programs on the mount: cp, tar, rsync, git, a build, SQLite with eight writers, fio with
# verification, mmap, sparse and open-unlinked files, an unprivileged user. Sizes for a quick run;
# by hand: FILES=20000 FIO_MB=1024 tests/e2e/workloads.sh
. "$(dirname "$0")/lib.sh"
FILES=${FILES:-1500}
FIO_MB=${FIO_MB:-48}

cluster_up
work=$DIR/work
mkdir "$work"

# ---- copies ----
check "a tree of $FILES files" make_tree "$work/tree" "$FILES"
check "cp -a" cp -a "$work/tree" "$MNT/tree"
check "diff -r finds nothing" diff -r --no-dereference "$work/tree" "$MNT/tree"
same_metadata() { [ -z "$(rsync -nacHX --delete --out-format=%n "$work/tree/" "$MNT/tree/")" ]; }
check "rsync -n -c finds nothing" same_metadata
check "tar c" tar -C "$MNT" -cf "$work/t.tar" tree
check "tar x" bash -c "mkdir '$MNT/x' && tar -C '$MNT/x' -xf '$work/t.tar'"
check "what tar made is the same" diff -r --no-dereference "$work/tree" "$MNT/x/tree"
check "rm -rf" rm -rf "$MNT/x" "$MNT/tree"

# ---- git ----
git_all() {
    export HOME=$work GIT_CONFIG_NOSYSTEM=1
    git config --global user.email t@example.org && git config --global user.name t &&
        git config --global --add safe.directory '*' &&
        git init -q "$MNT/repo" && cp -r "$DFS_SRCDIR/common" "$DFS_SRCDIR/rpc" "$MNT/repo/" &&
        cd "$MNT/repo" && git add -A && git commit -qm first &&
        for i in 1 2 3 4 5; do echo "$i" >>common/README.md && git commit -qam "$i" || return 1; done &&
        git clone -q "$MNT/repo" "$MNT/clone" && cd "$MNT/clone" && git fsck --strict &&
        git gc -q && git fsck && [ -z "$(git status --porcelain)" ] &&
        [ "$(git rev-list --count HEAD)" = 6 ]
}
check "git: init, commit, clone, gc, fsck, status" git_all

# ---- a build: configure-like probing, compiling, linking, running ----
build_all() {
    local n=$MNT/prog
    mkdir "$n" && cd "$n" || return 1
    for i in $(seq 1 20); do
        printf '#include "all.h"\nint f%d(int x) { return x * %d; }\n' "$i" "$i" >"f$i.c"
        echo "int f$i(int);"
    done >all.h
    {
        echo '#include <stdio.h>'
        echo '#include "all.h"'
        echo 'int main(void) { int s = 0;'
        for i in $(seq 1 20); do echo "s += f$i(1);"; done
        echo 'printf("%d\n", s); return 0; }'
    } >main.c
    printf 'OBJS = main.o %s\nprog: $(OBJS)\n\t$(CC) -o $@ $(OBJS)\n%%.o: %%.c all.h\n\t$(CC) -c $<\n' \
        "$(seq -s' ' -f 'f%g.o' 1 20)" >Makefile
    make -j2 >/dev/null && [ "$(./prog)" = 210 ] && make -q && touch f3.c && ! make -q && make >/dev/null
}
check "make: builds, runs, knows what is up to date" build_all

# ---- SQLite ----
sqlite_all() {
    local db=$MNT/test.db p status=0 pids=()
    sqlite3 "$db" 'create table t(w int, n int, x text, primary key(w, n));' || return 1
    for p in 1 2 3 4 5 6 7 8; do
        (
            for n in $(seq 1 12); do
                sqlite3 -cmd '.timeout 60000' "$db" \
                    "insert into t values($p, $n, hex(randomblob(500)));" || exit 1
            done
        ) &
        pids+=($!)
    done
    for p in "${pids[@]}"; do wait "$p" || status=1; done
    [ $status = 0 ] && [ "$(sqlite3 "$db" 'pragma integrity_check; select count(*) from t;')" = "$(printf 'ok\n96')" ]
}
check "SQLite: eight writing processes, then integrity_check" sqlite_all

# ---- fio ----
fio_one() { # NAME ARGS...
    local name=$1
    shift
    (cd "$work" && fio --name="$name" --directory="$MNT" --size="${FIO_MB}M" --verify=crc32c \
        --verify_fatal=1 --do_verify=1 --end_fsync=1 --minimal "$@" >/dev/null) && rm -f "$MNT/$name".*
}
check "fio: sequential, buffered" fio_one seqb --rw=write --bs=256k
check "fio: random, buffered" fio_one randb --rw=randwrite --bs=4k --io_size="$((FIO_MB / 4))M"
check "fio: sequential, O_DIRECT" fio_one seqd --rw=write --bs=1m --direct=1
check "fio: random, O_DIRECT, in flight" fio_one randd --rw=randwrite --bs=16k --direct=1 \
    --ioengine=libaio --iodepth=8 --io_size="$((FIO_MB / 2))M"

# ---- what else a local disk does ----
sparse() {
    local f=$MNT/sparse want
    truncate -s 6G "$f" && [ "$(stat -c %s "$f")" = 6442450944 ] && [ "$(du -k "$f" | cut -f1)" = 0 ] &&
        printf 'the end' | dd of="$f" bs=1 seek=6442450000 conv=notrunc 2>/dev/null &&
        printf middle | dd of="$f" bs=1 seek=4294967290 conv=notrunc 2>/dev/null || return 1
    [ "$(dd if="$f" bs=1 skip=4294967290 count=6 2>/dev/null)" = middle ] &&
        [ "$(dd if="$f" bs=1 skip=6442450000 count=7 2>/dev/null)" = 'the end' ] &&
        [ "$(dd if="$f" bs=1M skip=2000 count=8 2>/dev/null | tr -d '\0' | wc -c)" = 0 ] &&
        truncate -s 100 "$f" && truncate -s 5G "$f" && rm "$f"
}
check "a sparse file of 6 GiB" sparse
unlinked() {
    exec 9<>"$MNT/gone" && echo kept >&9 && rm "$MNT/gone" && [ ! -e "$MNT/gone" ] || return 1
    sleep 1
    dd if=/dev/urandom bs=64k count=3 >&9 2>/dev/null && [ "$(head -n 1 /proc/self/fd/9)" = kept ]
    local r=$?
    exec 9>&-
    return $r
}
check "an unlinked file lives as long as it is open" unlinked
appenders() {
    local f=$MNT/log p
    for p in 1 2 3 4; do
        (for i in $(seq 1 100); do echo "line $p $i" >>"$f" || exit 1; done) &
    done
    wait
    [ "$(wc -l <"$f")" = 400 ] && [ "$(sort -u "$f" | wc -l)" = 400 ]
}
check "four processes append to one file" appenders
long_name=$(printf 'n%.0s' $(seq 255))
check "a name of 255 bytes" bash -c "echo x >'$MNT/$long_name' && [ \"\$(cat '$MNT/$long_name')\" = x ]"
refuse "a name of 256 bytes is refused" 'File name too long' touch "$MNT/${long_name}n"
check "hard links" bash -c "echo 1 >'$MNT/h1' && ln '$MNT/h1' '$MNT/h2' && echo 2 >>'$MNT/h2' && [ \$(stat -c %h '$MNT/h1') = 2 ] && cmp '$MNT/h1' '$MNT/h2'"
check "fallocate" bash -c "fallocate -l 10M '$MNT/fa' && [ \$(stat -c %s '$MNT/fa') = 10485760 ]"
check "times to the nanosecond" bash -c "touch -d '2001-02-03 04:05:06.123456789' '$MNT/h1' && [ \"\$(stat -c %y '$MNT/h1' | cut -c21-29)\" = 123456789 ]"
check "extended attributes" bash -c "setfattr -n user.a -v hello '$MNT/h1' && [ \"\$(getfattr --only-values -n user.a '$MNT/h1')\" = hello ]"

# ---- an unprivileged user ----
as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
chmod 711 "$DIR"
mkdir -m 1777 "$MNT/tmp" && mkdir -m 750 "$MNT/private" && chgrp 12345 "$MNT/private" && echo s >"$MNT/private/f"
check "nobody works where it may" as_nobody bash -c "cd '$MNT/tmp' && echo mine >f && chmod 600 f && mkdir d && mv f d/g && cat d/g && rm -r d"
refuse "nobody is kept out where it may not" 'Permission denied' as_nobody cat "$MNT/private/f"
check "a supplementary group opens the door" setpriv --reuid=65534 --regid=65534 --groups=12345 cat "$MNT/private/f"
echo root >"$MNT/tmp/roots"
refuse "the sticky bit holds" 'Operation not permitted|Permission denied' as_nobody rm -f "$MNT/tmp/roots"
refuse "nobody may not give files away" 'Operation not permitted' as_nobody bash -c "touch '$MNT/tmp/n' && chown 0 '$MNT/tmp/n'"
suid() {
    as_nobody bash -c "cp /bin/true '$MNT/tmp/s' && chmod 4755 '$MNT/tmp/s' && echo >>'$MNT/tmp/s'" &&
        [ "$(stat -c %a "$MNT/tmp/s")" = 755 ]
}
check "a write takes the setuid bit away" suid

# ---- nothing waits for ever ----
blocked() {
    "$dfs" cluster pause --dir "$DIR" dn1 dn2 dn3 || return 1
    dd if=/dev/zero of="$MNT/blocked" bs=1M count=4 conv=fsync >/dev/null 2>&1 &
    local pid=$! r=1
    sleep 1
    kill -9 $pid
    for _ in $(seq 50); do
        kill -0 $pid 2>/dev/null || { r=0; break; }
        sleep 0.1
    done
    wait $pid 2>/dev/null
    "$dfs" cluster resume --dir "$DIR" dn1 dn2 dn3
    return $r
}
check "a process that waits for datanodes can be killed" blocked
check "everything serves again" wait_until 30 all_serving
check "the replicas are the same" wait_until 30 "$dfs" fsck --replicas
check_logs
done_testing
