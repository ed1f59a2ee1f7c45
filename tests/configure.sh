#!/bin/bash
# What configure says when something is missing: the Debian package, for each thing it asks for, all
# at once. Packages are hidden by a pkg-config and a cache that deny them.
src=$(cd "${DFS_SRCDIR:-$(dirname "$0")/..}" && pwd)
tmp=$(mktemp -d /tmp/dfs-configure-XXXXXX)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 99
unset CC CFLAGS
test_number=0
cat >pkg-config <<'END'
#!/bin/bash
for word in "$@"; do
    [[ $word =~ ^($HIDDEN)( |$) ]] && exit 1
done
exec pkg-config "$@"
END
chmod +x pkg-config

# says NAME PATTERN...: configure fails, and says all of it. In front of it: NAME=VALUE, options.
says() {
    local name=$1 pattern wrong=
    shift
    test_number=$((test_number + 1))
    if env PKG_CONFIG="$tmp/pkg-config" "${settings[@]}" "$src/configure" "${options[@]}" >out 2>&1; then
        wrong="it succeeded"
    fi
    for pattern in "$@"; do
        grep -qE -- "$pattern" out || wrong="$wrong; nothing of '$pattern'"
    done
    if [ -z "$wrong" ]; then
        echo "ok $test_number - $name"
    else
        echo "not ok $test_number - $name$wrong"
        tail -n 25 out | sed 's/^/#   /'
    fi
}

echo "1..5"
if [ ! -x "$src/configure" ]; then
    echo "Bail out! there is no configure: autoreconf -i"
    exit 1
fi

# Every library of the list that ./quickstart installs; libc6-dev comes with the compiler.
wanted=$(sed -n 's/^build \(.*-dev\|protobuf-c-compiler\)$/\1/p' "$src/scripts/packages" | grep -v '^libc6-dev$')
settings=(HIDDEN='[a-z].*' ac_cv_header_uthash_h=no ac_cv_header_rocksdb_c_h=no ac_cv_path_PROTOC_C=)
options=()
# shellcheck disable=SC2046
says "each missing package is named, with one command for all" \
    $(for p in $wanted; do echo "Debian.package.$p\$"; done) \
    $(for p in $wanted; do echo "apt-get.install.*.$p(.|\$)"; done)

settings=(HIDDEN='libuv')
says "one that is missing is named alone" 'libuv >= 1.40: Debian package libuv1-dev' 'apt-get install libuv1-dev$'
settings=(HIDDEN=none PKG_CONFIG=/no/pkg-config)
says "without pkg-config" 'install the Debian package pkg-config'
settings=(HIDDEN=none)
options=(--with-sanitizer=adress)
says "a sanitizer that is none" "not 'adress'"
options=(--with-fuzzing --with-sanitizer=thread)
says "fuzzing under another sanitizer" "leave --with-sanitizer out"
