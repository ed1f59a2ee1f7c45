#!/bin/bash
# The manual pages: mdoc without a mistake, and nothing that the programs take is left out.
src=${DFS_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
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

echo "1..$(($(wc -w <<<"$pages") + 4))"

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

commands_left_out() {
    local name
    grep -oE '^    \{"[a-z]+", cmd_' shell/main.c | grep -oE '[a-z]+' | grep -v '^cmd$' | while read -r name; do
        grep -qE "^\.It Cm $name( |\$)" man/dfs.1 || echo "dfs $name"
    done
}
verdict "dfs.1 has every command" < <(commands_left_out)

keys_left_out() {
    local key
    cat namenode/node_conf.c datanode/dn_conf.c fuse/mount_conf.c | tr -d '\n' |
        grep -oE 'conf_(str|str_required|u64|size|duration_ms|bool|choice)\([a-z>-]*, *("[a-z]+"|s|section), *"[a-z_]+"' |
        grep -oE '"[a-z_]+"$' | tr -d '"' | sort -u | while read -r key; do
        grep -qE "^\.It Cm ([a-z_]+ , )*$key( |\$)" man/dfs.conf.5 || echo "$key"
    done
}
verdict "dfs.conf.5 has every key" < <(keys_left_out)

options_left_out() { # SOURCE PAGE
    grep -oE '^ +\{"[a-z-]+", (0|'"'.'"'),' "$1" | grep -oE '"[a-z-]+"' | tr -d '"' | while read -r name; do
        grep -qE -- "(Fl |, )-$name( |\$)" "$2" || echo "$2: --$name"
    done
}
verdict "the daemons' pages have every option" < <(
    options_left_out namenode/main.c man/dfs-namenode.8
    options_left_out datanode/main.c man/dfs-datanode.8
    options_left_out fuse/mount_conf.c man/dfs-fuse.8
)
