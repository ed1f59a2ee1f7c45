#!/bin/bash
# Is every file that git knows in the tarball? What is forgotten there builds here and nowhere else.
src=${DFS_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
build=${DFS_BUILDDIR:-$PWD}
echo "1..1"
if ! tracked=$(git -C "$src" ls-files 2>/dev/null) || [ -z "$tracked" ]; then
    echo "ok 1 - every tracked file is in the tarball # SKIP not a clone of the repository"
    exit 0
fi
# Directories in the list stand for all that is in them.
distributed=$(make -s -C "$build" print-dist | tr ' ' '\n' | sed -E "s,^$src/,,; s,^(\.\.?/)+,," | sort -u)
left_out=$(
    grep -vxF '.gitignore' <<<"$tracked" | grep -vxF "$distributed" | while read -r file; do
        dir=$file
        while [ "${dir%/*}" != "$dir" ]; do
            dir=${dir%/*}
            grep -qxF "$dir" <<<"$distributed" && continue 2
        done
        echo "$file"
    done
)
if [ -z "$left_out" ]; then
    echo "ok 1 - every tracked file is in the tarball"
else
    echo "not ok 1 - every tracked file is in the tarball"
    sed 's/^/#   /' <<<"$left_out"
fi
