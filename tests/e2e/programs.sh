#!/usr/bin/env bash
# Ordinary programs on the mount: the results are those of a local disk, byte for byte, and no
# program sees an error. Short here; at full size, in the build directory:
#
#   FILES=20000 SQL_ROWS=500 FIO_MB=1024 DATA_TLS=off tests/e2e/programs.sh
. "$(dirname "$0")/lib.sh"
: "${FILES:=600}" "${SQL_ROWS:=25}" "${FIO_MB:=32}"
: "${DATANODES:=3}" "${DATA_TLS:=on}"
# What is configured and built: a Debian source package. SOURCE=FILE takes a local copy of it.
# It comes from where apt has its packages from.
SOURCE_POOL=pool/main/m/mawk/mawk_1.3.4.20200120.orig.tar.gz
SOURCE_SHA256=${SOURCE_SHA256:-7fd4cd1e1fae9290fe089171181bbc6291dfd9bca939ca804f0ddb851c8b8237}

cluster_up --datanodes "$DATANODES" --data-tls "$DATA_TLS"
work=$DIR/work
mkdir "$work"
chmod 711 "$DIR"

# ---- copies ----
no_difference() { [ -z "$(rsync -nacHX --delete --out-format=%n "$1/" "$2/" | tee /dev/stderr)" ]; }
from_tar() { mkdir "$MNT/x" && tar -C "$MNT/x" -xpf "$work/there.tar"; }
emptied() { rm -r "$MNT/x" "$MNT/tree" && [ -z "$(ls -A "$MNT")" ]; }
check "a tree of $FILES files" make_tree "$work/tree" "$FILES"
check "cp -a" cp -a "$work/tree" "$MNT/tree"
check "diff -r finds nothing" diff -r --no-dereference "$work/tree" "$MNT/tree"
check "rsync -n -c finds nothing" no_difference "$work/tree" "$MNT/tree"
check "tar c" tar -C "$MNT" -cf "$work/there.tar" tree
check "tar d: the archive is what the mount holds" tar -C "$MNT" -df "$work/there.tar"
check "tar x" from_tar
check "diff -r finds nothing in what tar made" diff -r --no-dereference "$work/tree" "$MNT/x/tree"
check "rsync -n -c neither" no_difference "$work/tree" "$MNT/x/tree"
check "rm -r leaves nothing" emptied

# ---- git ----
git_all() {
    local i
    export HOME=$work GIT_CONFIG_NOSYSTEM=1
    git config --global user.email t@example.org && git config --global user.name t || return 1
    git init -q "$MNT/repo" && cp -r "$DFS_SRCDIR/common" "$DFS_SRCDIR/rpc" "$MNT/repo/" &&
        cd "$MNT/repo" && git add -A && git commit -qm 0 || return 1
    for i in 1 2 3 4 5; do
        echo "$i" >>common/README.md && git commit -qam "$i" || return 1
    done
    git fsck --strict && [ -z "$(git status --porcelain)" ] || return 1
    echo more >>rpc/README.md && [ "$(git status --porcelain)" = ' M rpc/README.md' ] || return 1
    for i in --local --no-local; do
        git clone -q $i "$MNT/repo" "$MNT/clone$i" && cd "$MNT/clone$i" && git fsck --strict &&
            [ -z "$(git status --porcelain)" ] && [ "$(git rev-list --count HEAD)" = 6 ] || return 1
    done
    git gc -q && git fsck --strict && [ -z "$(git status --porcelain)" ]
}
check "git: init, commit, clone in two ways, gc, fsck, status" git_all

# ---- builds ----
# Debian's source by apt's own downloader, which knows the proxies and checks the hash.
fetch_source() {
    [ -n "${SOURCE:-}" ] && cp "$SOURCE" "$work/source.tar" && return
    local repository
    for repository in $(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sort -u); do
        timeout 60 /usr/lib/apt/apt-helper download-file "$repository$SOURCE_POOL" "$work/source.tar" \
            "SHA256:$SOURCE_SHA256" && return
    done
    return 1
}
build_source() {
    mkdir "$MNT/source" && tar -C "$MNT/source" --strip-components=1 -xf "$work/source.tar" &&
        cd "$MNT/source" && FORCE_UNSAFE_CONFIGURE=1 ./configure && make -j2 &&
        ! make | grep -E '(^| )(CC|CCLD|gcc|cc) ' && make check # not built twice
}
# The Debian mirror is out of reach: then a part of this project, so that there is a real build.
build_dfs() {
    mkdir -p "$MNT/source/b" && cd "$DFS_SRCDIR" &&
        tar -cf - --exclude-vcs --exclude='*.o' -- configure.ac Makefile.am m4 */local.mk common rpc raft \
            namenode datanode libdfs fuse shell tests man bench docs scripts | tar -C "$MNT/source" -xf - &&
        cd "$MNT/source" && autoreconf -i && cd b && ../configure && make -j2 libraft.la && make -q libraft.la
}
if fetch_source >"$work/fetch.out" 2>&1; then
    check "configure, make, make check of a Debian source package: ${SOURCE_POOL##*/}" build_source
else
    sed 's/^/# /' "$work/fetch.out"
    echo "# ${SOURCE_POOL##*/} cannot be had: building a part of dfs in its place"
    check "autoreconf, configure, make of a part of dfs" build_dfs
fi
# A project made here, with its own autotools files: make must know what is older than what.
project() {
    local i
    mkdir "$MNT/project" && cd "$MNT/project" || return 1
    {
        printf 'AC_INIT([p],[1])\nAM_INIT_AUTOMAKE([foreign])\nAC_PROG_CC\nAC_CHECK_HEADERS([fcntl.h])\n'
        printf 'AC_CONFIG_HEADERS([config.h])\nAC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n'
    } >configure.ac
    echo "bin_PROGRAMS = p
p_SOURCES = main.c all.h $(seq -s' ' -f 'f%g.c' 20)" >Makefile.am
    for i in $(seq 20); do
        printf '#include "all.h"\nint f%d(int x) { return x * %d; }\n' "$i" "$i" >"f$i.c"
        echo "int f$i(int);"
    done >all.h
    {
        printf '#include <stdio.h>\n#include "all.h"\nint main(void) { int s = 0;\n'
        for i in $(seq 20); do echo "s += f$i(1);"; done
        printf 'printf("%%d\\n", s); return 0; }\n'
    } >main.c
    autoreconf -i && ./configure -q && make -s -j2 && [ "$(./p)" = 210 ] && make -q p && touch f3.c && ! make -q p &&
        make | grep 'f3\.c' && make -q p && make -s distclean && [ ! -e p ]
}
check "autoreconf, configure, make; make knows what is up to date" project

# ---- SQLite ----
sqlite_writers() { # JOURNAL-MODE
    local db=$MNT/$1.db p status=0 pids=()
    sqlite3 "$db" "pragma journal_mode=$1; create table t(w int, n int, x blob, primary key(w, n));" &&
        [ "$(sqlite3 "$db" 'pragma journal_mode; pragma synchronous;')" = "$(printf '%s\n2' "$1")" ] || return 1
    for p in 1 2 3 4 5 6 7 8; do
        for n in $(seq "$SQL_ROWS"); do
            echo "insert into t values($p, $n, randomblob(500));"
        done | sqlite3 -bail -cmd '.timeout 240000' "$db" &
        pids+=($!)
    done
    for p in "${pids[@]}"; do wait "$p" || status=1; done
    [ $status = 0 ] && [ "$(sqlite3 "$db" 'pragma integrity_check; select count(*) from t;')" = \
        "$(printf 'ok\n%d' $((8 * SQL_ROWS)))" ]
}
check "SQLite as it comes: eight writing processes, integrity_check" sqlite_writers delete
check "SQLite with a write-ahead log: the same" sqlite_writers wal

# ---- fio ----
# Written and verified by one process; then its pages are dropped and another one verifies.
fio_one() { # NAME ARGS...
    local common=(--name="$1" --filename="$MNT/$1" --size="${FIO_MB}M" --verify=crc32c --verify_fatal=1
        --thread "${@:2}")
    cd "$work" && fio "${common[@]}" --do_verify=1 --end_fsync=1 &&
        dd if="$MNT/$1" iflag=nocache count=0 status=none && fio "${common[@]}" --verify_only &&
        rm "$MNT/$1"
}
check "fio: sequential, buffered" fio_one seqb --rw=write --bs=256k
check "fio: sequential, O_DIRECT" fio_one seqd --rw=write --bs=1m --direct=1
check "fio: random, buffered" fio_one randb --rw=randwrite --bs=4k --io_size="$((FIO_MB / 4))M"
check "fio: random, O_DIRECT" fio_one randd --rw=randwrite --bs=16k --direct=1 --io_size="$((FIO_MB / 2))M"
check "fio: random, O_DIRECT, eight in flight" fio_one aio --rw=randwrite --bs=16k --direct=1 \
    --ioengine=libaio --iodepth=8 --io_size="$((FIO_MB / 2))M"
check "fio: reads and writes mixed, fdatasync now and then" fio_one mixed --rw=randrw --bs=8k \
    --fdatasync=64 --io_size="$((FIO_MB / 2))M"
check "fio: mmap" fio_one mmap --rw=randwrite --bs=4k --ioengine=mmap --io_size="$((FIO_MB / 4))M"

# ---- what else a local disk does ----
put_at() { printf %s "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
at() { dd if="$1" iflag=skip_bytes,count_bytes skip="$2" count="$3" status=none | tr '\0' 0; }
sparse() {
    local f=$MNT/sparse size=$((6 * 1024 ** 3))
    truncate -s $size "$f" && [ "$(stat -c %s "$f")" = $size ] && [ "$(du -k "$f" | cut -f1)" = 0 ] || return 1
    put_at "$f" 0 first && put_at "$f" 4294967290 middle/ && put_at "$f" $((size - 4)) last && [ "$(stat -c %s "$f")" = $size ] &&
        [ "$(at "$f" 0 5)" = first ] && [ "$(at "$f" 4294967288 11)" = 00middle/00 ] &&
        [ "$(at "$f" $((size - 6)) 100)" = 00last ] && [ "$(du -k "$f" | cut -f1)" -lt 1000000 ] || return 1
    # Every byte of it, against the same file on the local disk.
    truncate -s $size "$work/sparse" && put_at "$work/sparse" 0 first &&
        put_at "$work/sparse" 4294967290 middle/ && put_at "$work/sparse" $((size - 4)) last &&
        cmp "$f" "$work/sparse" && rm "$work/sparse" || return 1
    truncate -s 100 "$f" && truncate -s 5G "$f" && [ "$(at "$f" 4294967288 11)" = 00000000000 ] && rm "$f"
}
check "a sparse file of 6 GiB" sparse
unlinked() {
    local r
    exec 9<>"$MNT/gone" && head -c 5000000 "$work/there.tar" >&9 && rm "$MNT/gone" && [ ! -e "$MNT/gone" ] || return 1
    sleep 1
    head -c 5000000 "$work/there.tar" | cmp - /proc/self/fd/9 && echo end >&9 && [ "$(tail -c 4 /proc/self/fd/9)" = end ]
    r=$?
    exec 9>&-
    return $r
}
check "an unlinked file lives as long as it is open" unlinked
appenders() {
    local f=$MNT/log p i pids=() status=0
    for p in 1 2; do
        (for i in $(seq 100); do echo "opens each time $p $i" >>"$f" || exit 1; done) &
        pids+=($!)
        (for i in $(seq 100); do echo "keeps it open $p $i" || exit 1; done >>"$f") &
        pids+=($!)
    done
    for p in "${pids[@]}"; do wait "$p" || status=1; done
    [ $status = 0 ] && [ "$(wc -l <"$f")" = 400 ] && [ "$(sort -u "$f" | wc -l)" = 400 ]
}
check "four processes append to one file, no line is lost" appenders
long=$(printf 'n%.0s' $(seq 255))
long_name() { echo x >"$MNT/$long" && [ "$(cat "$MNT/$long")" = x ] && mv "$MNT/$long" "$MNT/m${long#n}" && rm "$MNT/m${long#n}"; }
check "a name of 255 bytes" long_name
refuse "a name of 256 bytes is refused" 'File name too long' touch "$MNT/${long}n"
hard_links() {
    echo 1 >"$MNT/h1" && ln "$MNT/h1" "$MNT/h2" && echo 2 >>"$MNT/h2" && [ "$(stat -c %h "$MNT/h1")" = 2 ] &&
        cmp "$MNT/h1" "$MNT/h2" && rm "$MNT/h2" && [ "$(stat -c %h "$MNT/h1")" = 1 ]
}
check "hard links" hard_links
allocated() { fallocate -l 10M "$MNT/fa" && [ "$(stat -c %s "$MNT/fa")" = 10485760 ] && [ "$(tr -d '\0' <"$MNT/fa" | wc -c)" = 0 ]; }
check "fallocate" allocated
times() { touch -d '2001-02-03 04:05:06.123456789' "$MNT/h1" && [ "$(stat -c %y "$MNT/h1" | cut -c21-29)" = 123456789 ]; }
check "times to the nanosecond" times
xattrs() { setfattr -n user.a -v hello "$MNT/h1" && [ "$(getfattr --only-values -n user.a "$MNT/h1")" = hello ]; }
check "extended attributes" xattrs
check "a program with a timer: no call is cut short" "$DFS_BUILDDIR/tests/e2e/signals" "$MNT" 2

# ---- an unprivileged user ----
as_nobody() { setpriv --reuid=65534 --regid=65534 "$@"; }
mkdir -m 1777 "$MNT/tmp" && mkdir -m 700 "$MNT/secret" && mkdir -m 2770 "$MNT/group" && chgrp 4242 "$MNT/group"
echo s >"$MNT/group/f" && chmod 640 "$MNT/group/f" && echo root >"$MNT/tmp/roots"
check "nobody works where it may" as_nobody --clear-groups bash -c \
    "cd '$MNT/tmp' && echo mine >f && chmod 600 f && mkdir d && mv f d/g && cat d/g && rm -r d"
refuse "nobody does not look into a directory of root" 'denied' as_nobody --clear-groups ls "$MNT/secret"
refuse "nor into one of a group it is not in" 'denied' as_nobody --clear-groups cat "$MNT/group/f"
check "a supplementary group lets it in" as_nobody --groups=4242 cat "$MNT/group/f"
check "and lets it create there" as_nobody --groups=4242 touch "$MNT/group/new"
check "with that directory's group" test "$(stat -c %g "$MNT/group/new")" = 4242
refuse "the sticky bit holds" 'not permitted|denied' as_nobody --clear-groups rm -f "$MNT/tmp/roots"
refuse "nobody may not give files away" 'not permitted' as_nobody --groups=4242 chown 0 "$MNT/group/new"
suid() {
    as_nobody --clear-groups bash -c "cp /bin/true '$MNT/tmp/s' && chmod 4755 '$MNT/tmp/s' && echo >>'$MNT/tmp/s'" &&
        [ "$(stat -c %a "$MNT/tmp/s")" = 755 ]
}
check "a write takes the setuid bit away" suid

# ---- nothing waits for ever ----
gone() { [ ! -e "/proc/$1" ] || grep -q '^State:.*Z' "/proc/$1/status"; }
all_datanodes() { seq -f 'dn%g' "$DATANODES"; }
blocked() {
    local pid r=0
    # shellcheck disable=SC2046 # one word each
    "$dfs" cluster pause --dir "$DIR" $(all_datanodes) || return 1
    dd if=/dev/zero of="$MNT/blocked" bs=1M count=4 conv=fsync status=none &
    pid=$!
    sleep 1
    ! gone $pid || r=1
    kill -9 $pid
    wait_until 10 gone $pid || r=2
    # shellcheck disable=SC2046
    "$dfs" cluster resume --dir "$DIR" $(all_datanodes)
    return $r
}
check "kill -9 ends a process that waits for paused datanodes" blocked
check "everything serves again" wait_until 60 all_serving
check "and writes go on" dd if=/dev/zero of="$MNT/blocked" bs=1M count=4 conv=fsync status=none
check "the replicas are the same" wait_until 30 "$dfs" fsck --replicas
check_logs
done_testing
