#!/bin/bash
# What `make install` leaves: is it complete, and can a program and a host be made with it?
build=${DFS_BUILDDIR:-$PWD}
src=${DFS_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
root=$(mktemp -d /tmp/dfs-install-XXXXXX)
trap 'rm -rf "$root"' EXIT
test_number=0

verdict() { # NAME, and what is wrong on stdin
    local found
    found=$(cat)
    test_number=$((test_number + 1))
    if [ -z "$found" ]; then
        echo "ok $test_number - $1"
    else
        echo "not ok $test_number - $1"
        sed 's/^/#   /' <<<"$found"
    fi
}
setting() { make -s -C "$build" print-dirs | sed -n "s/^$1=//p"; }

echo "1..8"
verdict "make install works" < <(
    make -s -C "$build" install DESTDIR="$root" >"$root/install.log" 2>&1 || tail -n 20 "$root/install.log")
bindir=$(setting bindir) sbindir=$(setting sbindir) libdir=$(setting libdir) mandir=$(setting mandir)
helperdir=$(setting mounthelperdir) unitdir=$(setting systemdunitdir) sysconfdir=$(setting sysconfdir)

wanted="$bindir/dfs $sbindir/dfs-namenode $sbindir/dfs-datanode $sbindir/dfs-fuse
$helperdir/mount.dfs $helperdir/mount.fuse.dfs $(setting includedir)/dfs.h $libdir/libdfs.so $libdir/libdfs.so.0
$libdir/pkgconfig/libdfs.pc $unitdir/dfs-namenode.service $unitdir/dfs-datanode.service
$mandir/man1/dfs.1 $mandir/man3/dfs.3 $mandir/man5/dfs.conf.5 $mandir/man8/dfs-namenode.8
$mandir/man8/dfs-datanode.8 $mandir/man8/dfs-fuse.8 $mandir/man8/mount.dfs.8"
verdict "all that is used is there" < <(
    for file in $wanted; do [ -e "$root$file" ] || [ -L "$root$file" ] || echo "$file"; done)
verdict "nothing of the tests or the build is" < <(
    find "$root" -name '*.la' ! -name libdfs.la -o -name '*.a' -o -name 'libcmocka*' -o -name '*_bench' -o -name 'test_*')
verdict "mount.dfs is the mount program" < <(
    [ "$(readlink "$root$helperdir/mount.dfs")" = "$sbindir/dfs-fuse" ] || ls -l "$root$helperdir")
verdict "the programs run" < <(
    for p in "$bindir/dfs" "$sbindir/dfs-namenode" "$sbindir/dfs-datanode" "$sbindir/dfs-fuse"; do
        "$root$p" --version >"$root/version" 2>&1 && grep -qE '^dfs[a-z-]*( \(dfs\))? [0-9.]+' "$root/version" ||
            { echo "$p:"; cat "$root/version"; }
    done)
verdict "the units start what is installed" < <(
    for d in namenode datanode; do
        grep -qx "ExecStart=$sbindir/dfs-$d --foreground --config $sysconfdir/dfs/dfs.conf" \
            "$root$unitdir/dfs-$d.service" || cat "$root$unitdir/dfs-$d.service"
    done)

# Sanitizers put symbols of their own into the library.
exported() {
    nm -D --defined-only "$root$libdir/libdfs.so" | awk '$2 != "A" {sub(/@.*/, "", $3); print $3}' | sort
}
declared() {
    tr '\n' ' ' <"$root$(setting includedir)/dfs.h" | grep -oE 'DFS_API [^;{}]*;' |
        grep -oE 'dfs_[a-z0-9_]+\(' | tr -d '(' | sort
}
verdict "the library exports what dfs.h declares, and nothing else" < <(diff <(declared) <(exported))

# The flags of the build go along, or a library under a sanitizer could not be linked with.
compile() {
    local flags
    flags=$(PKG_CONFIG_PATH=$root$libdir/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root \
        pkg-config --cflags --libs libdfs) || return
    # shellcheck disable=SC2086,SC2046
    $(setting CC) $(setting SAN_CFLAGS) "$src/libdfs/example.c" -o "$root/example" $flags 2>&1 &&
        ! LD_LIBRARY_PATH=$root$libdir DFS_CONFIG=/no/such.conf "$root/example" >"$root/out" 2>&1 &&
        grep -q '/no/such.conf' "$root/out" || { echo "flags: $flags"; cat "$root/out" 2>&1; }
}
verdict "the example program is built by pkg-config's word, and runs" < <(compile)
