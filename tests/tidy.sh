#!/bin/bash
# What rots unseen: arrows between folders, foreign libraries outside their door, banned calls, long
# or forgotten files, formatting. Speaks TAP; run it anywhere, it looks at the source tree.
src=${DFS_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
cd "$src" || exit 99

folders="common rpc raft namenode datanode libdfs fuse shell"
line_count_max=800

sources() { # FOLDER...: its .c and .h files that people wrote
    find "$@" -name '*.[ch]' ! -name '*.pb-c.*' 2>/dev/null | sort
}
code_lines() { # PATTERN FILE...: "file:line:text" of matches outside comments
    local pattern=$1
    shift
    [ $# -eq 0 ] && return
    grep -nHE "$pattern" "$@" | grep -vE '^[^:]+:[0-9]+:[[:space:]]*(\*|/\*|//)'
}

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

echo "1..12"

# ---- arrows point down: FOLDER may include these ----
may_include() {
    case $1 in
    common) echo "common" ;;
    rpc) echo "rpc common" ;;
    raft) echo "raft common" ;;
    namenode) echo "namenode raft rpc common" ;;
    datanode) echo "datanode rpc common" ;;
    libdfs) echo "libdfs rpc common" ;;
    fuse) echo "fuse libdfs rpc common" ;;
    shell) echo "shell libdfs rpc common" ;;
    esac
}
arrows_up() {
    local folder allowed
    for folder in $folders; do
        allowed=$(may_include "$folder" | tr ' ' '|')
        code_lines "^#include \"($(tr ' ' '|' <<<"$folders"))/" $(sources "$folder") |
            grep -vE "#include \"($allowed)/"
    done
}
verdict "arrows between folders point down" < <(arrows_up)

# ---- each foreign library has one door: PATTERN, then the files that are it ----
door() {
    code_lines "^#include <($1)" $(sources $folders) | grep -vE "^($2):"
}
doors_passed_by() {
    door 'uv\.h' 'common/loop\.c'
    door 'isa-l' 'common/crc32c\.c'
    door 'xxhash\.h' 'common/hash\.c'
    door 'ini\.h' 'common/conf\.c'
    door 'microhttpd\.h' 'common/http\.c'
    door 'rocksdb/' 'namenode/kv(_rocks)?\.c'
    door 'openssl/' '(rpc/(tls|token|pki)[a-z_]*|shell/pki[a-z_]*)\.[ch]'
    door 'fuse(3|\.h|_)' 'fuse/[a-z_]*\.[ch]'
}
verdict "foreign libraries are included by their door only" < <(doors_passed_by)

# ---- calls ----
callers=$(sources rpc raft namenode datanode libdfs fuse shell)
banned() { # CALL...
    code_lines "(^|[^[:alnum:]_.>\"])($(tr ' ' '|' <<<"$*"))\(" $callers
}
verdict "time comes in as an argument (common/clock.h)" \
    < <(banned time gettimeofday clock_gettime ctime)
verdict "chance comes in as an argument (common/rng.h)" \
    < <(banned rand srand random rand_r drand48 getrandom)
verdict "nobody sleeps" < <(banned sleep usleep nanosleep)
verdict "no calls without a bound" < <(banned strcpy strcat sprintf vsprintf gets strtok)
verdict "no goto" < <(code_lines '(^|[^[:alnum:]_])goto [a-z_]+;' $(sources $folders))
verdict "nothing is left for later" \
    < <(grep -nHE '(^|[^[:alnum:]])(TODO|FIXME|XXX)([^[:alnum:]]|$)' $(sources $folders tests))

# ---- files ----
too_long() {
    local file count
    for file in $(sources $folders tests); do
        count=$(wc -l <"$file")
        [ "$count" -gt $line_count_max ] && echo "$file has $count lines"
    done
}
verdict "no file is longer than $line_count_max lines" < <(too_long)

forgotten() {
    local file
    for file in $(sources $folders tests bench | grep '\.c$'); do
        grep -qF "$file" */local.mk tests/*/local.mk && continue
        # A program without _SOURCES is built from the .c file of its name.
        grep -qE "(^|[[:space:]])${file%.c}([[:space:]]|$)" */local.mk tests/*/local.mk && continue
        echo "$file is in no local.mk"
    done
}
verdict "every source file is built" < <(forgotten)

undocumented() {
    local folder
    for folder in $folders bench docs m4 man scripts tests tests/e2e tests/fuzz tests/lin tests/sim tests/unit; do
        [ -f "$folder/README.md" ] || echo "$folder has no README.md"
    done
}
verdict "every folder has a README" < <(undocumented)

unformatted() {
    sources $folders tests | xargs clang-format --dry-run -Werror 2>&1 |
        grep -E '(error|warning):' | cut -d: -f1 | sort | uniq -c
}
# Other versions format differently: only the one that .clang-format is written for is asked.
if ! command -v clang-format >/dev/null; then
    echo "ok $((test_number + 1)) - sources are formatted # SKIP clang-format is not installed"
elif ! clang-format --version | grep -q 'version 14\.'; then
    echo "ok $((test_number + 1)) - sources are formatted # SKIP clang-format is not version 14"
else
    verdict "sources are formatted (clang-format -i)" < <(unformatted)
fi
