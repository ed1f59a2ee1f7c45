#!/bin/bash
# The manual pages: mdoc without a mistake, and exactly what the programs take: commands, options,
# mount options, configuration keys, functions of the library, each way round.
src=${DFS_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
build=$(cd "${DFS_BUILDDIR:-$PWD}" && pwd)
cd "$src" || exit 99
pages=$(ls man/*.[1358])
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
compare() { # WHAT: lines on fd 3 (the program) and on fd 4 (the page) are the same sets
    diff <(sort -u <&3) <(sort -u <&4) | sed -n "s/^< /$1, not in the page: /p; s/^> /$1, only in the page: /p"
}

echo "1..$(($(wc -w <<<"$pages") + 7))"

# What mandoc says of the manuals that are installed here is no mistake of the page.
for page in $pages; do
    if command -v mandoc >/dev/null; then
        verdict "$page is clean mdoc" < <(mandoc -Tlint "$page" 2>&1 |
            grep -vE 'referenced manual not found|outdated mandoc.db')
    else
        test_number=$((test_number + 1))
        echo "ok $test_number - $page is clean mdoc # SKIP mandoc is not installed"
    fi
done

dead_references() {
    local name section
    grep -hoE '^\.Xr dfs[a-z.-]* [0-9]' $pages | sort -u | while read -r _ name section; do
        [ -f "man/$name.$section" ] || echo "$name($section) is referred to and not there"
    done
}
verdict "our pages refer to pages that are there" < <(dead_references)

# ---- commands and options ----

commands() { "$build/dfs" help | sed -n 's/^  \([a-z]*\)  .*/\1/p'; }
verdict "dfs.1 has exactly the commands that there are" < <(
    compare command 3< <(commands) 4< <(sed -n 's/^\.It Cm \([a-z]*\).*/\1/p' man/dfs.1))

# "l long", "j jobs=", "- json" of the options in a program's help.
help_options() { # PROGRAM ARGUMENT...
    "$@" --help | sed -nE '/^Options:/,/^$/s/^  (-(.),|   ) --([a-z-]+)(=?).*/\2 \3\4/p' |
        sed 's/^ /- /' | grep -vE '^(. (help|version|config=)|- namenodes=)$'
}
# The same of a page: of those items that follow ".It Cm COMMAND", or of the whole page.
page_options() { # PAGE [COMMAND]
    awk -v want="${2:-}" '
        /^\.Sh/ { command = "" }
        /^\.It Cm [a-z]/ { command = $3 == "cluster" ? $3 " " $4 : $3 }
        /^\.It Fl / && (want == "" || command == want) {
            letter = "-"; name = ""
            for (i = 3; i <= NF; i++) {
                if ($i ~ /^-[a-z]/) name = substr($i, 2)
                else if (i == 3) letter = $i
            }
            if (name != "") print letter " " name ($0 ~ /Ns = Ns/ ? "=" : "")
        }' "$1" | grep -vE '^. (help|version)$'
}
command_options() {
    local c
    for c in $(commands | grep -vE '^(help|version|cluster)$') "cluster up" "cluster status" "cluster start" "cluster down"; do
        # shellcheck disable=SC2086
        compare "dfs $c" 3< <(help_options "$build/dfs" $c) 4< <(page_options man/dfs.1 "$c")
    done
}
verdict "dfs.1 has exactly the options of each command" < <(command_options)

daemon_options() {
    local d
    for d in namenode datanode fuse; do
        compare "dfs-$d" 3< <(help_options "$build/dfs-$d") \
            4< <(page_options "man/dfs-$d.8" | grep -v ' config=$')
        grep -q '^\.It Fl c , -config Ns = Ns Ar file' "man/dfs-$d.8" || echo "dfs-$d: --config"
    done
}
verdict "the daemons' pages have exactly their options" < <(daemon_options)

mount_words() {
    tr -d '\n' <fuse/mount_conf.c | grep -oE '(kernel_words|ignored_words|known)\[\] = \{[^}]*\}' |
        grep -oE '"[^"]+"' | tr -d '"'
    printf '%s\n' 'x-*' remount # not words of a table: a prefix, and one that is refused
}
page_mount_words() {
    sed -n '/^\.Ss Mount options/,/^\.El/p' man/dfs-fuse.8 | sed -n 's/^\.It Cm //p' |
        sed 's/ Ns = Ns Ar [a-z:]*//g; s/ , \(Cm \)\{0,1\}/\n/g'
}
verdict "dfs-fuse.8 has exactly the mount options" < <(
    compare "mount option" 3< <(mount_words) 4< <(page_mount_words))

# ---- keys: "SECTION KEY" ----

keys_of() { # FILE SECTION-VARIABLE SECTION
    tr -d '\n' <"$1" |
        grep -oE '(conf_(str|str_required|file|u64|size|duration_ms|bool|choice)|file_of)\([a-z>-]*, *("?[a-z]+"?), *"[a-z_]+"' |
        sed -E 's/^file_of\([^"]*/(x, "tls", /; s/.*, *"?([a-z]+)"?, *"([a-z_]+)"$/\1 \2/' |
        sed "s/^$2 /$3 /"
}
keys() {
    keys_of namenode/node_conf.c s namenode
    keys_of datanode/dn_conf.c section datanode
    keys_of fuse/mount_conf.c - -
    keys_of libdfs/blocking.c - -
}
page_keys() {
    awk '/^\.Ss Section \[/ { section = $3; gsub(/[][,]/, "", section) }
         /^\.S[hs] / && !/^\.Ss Section/ { section = "" }
         /^\.It Cm / && section != "" {
             for (i = 3; i <= NF; i++) if ($i != ",") print section, $i
         }' man/dfs.conf.5
}
verdict "dfs.conf.5 has exactly the keys that are read" < <(compare key 3< <(keys) 4< <(page_keys))

# ---- functions: "dfs_x(type arg, ...)" ----

header_functions() {
    sed -E 's,/\*.*\*/,,g' libdfs/dfs.h | tr '\n' ' ' | grep -oE 'DFS_API [^;#{]*[)];' |
        sed -E 's/^DFS_API //; s/;$//; s/ +/ /g; s/ \*dfs_/ * dfs_/'
}
page_functions() {
    awk '/^\.Sh DESCRIPTION/ { exit }
         /^\.Ft / { sub(/^\.Ft /, ""); gsub(/"/, ""); type = $0 }
         /^\.Fn / { name = $2; sub(/^\.Fn [a-z0-9_]+ */, ""); gsub(/" "/, ", "); gsub(/"/, "")
                    print type " " name "(" $0 ")" }' man/dfs.3
}
verdict "dfs.3 has exactly the functions of dfs.h" < <(
    compare function 3< <(header_functions) 4< <(page_functions))
