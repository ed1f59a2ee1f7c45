# What the end-to-end tests share: a cluster of their own in a temporary directory, TAP output, and
# the promise to leave no process and no mount behind. Sourced, not run.
#
#   . "$DFS_SRCDIR/tests/e2e/lib.sh"
#   cluster_up --datanodes 3            $DIR, $MNT, $dfs, $DFS_CONFIG are set
#   check "a sentence" command args...  one test case
#   done_testing

set -u
export LC_ALL=C
: "${DFS_BUILDDIR:=$PWD}" "${DFS_SRCDIR:=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}"
dfs=$DFS_BUILDDIR/dfs
tests_run=0
tests_failed=0
DIR=
MNT=
log_ignore='^$' # lines of the daemons' logs that a test asked for
stopped=        # nodes and mounts that are down at the end of a test, as it wants it

free_base_port() {
    local base
    while :; do
        # Below the ports that the kernel gives to outgoing connections.
        base=$((10000 + RANDOM % 220 * 100))
        ss -Hltn 2>/dev/null | awk '{print $4}' | grep -qE ":$((base / 100))[0-9][0-9]\$" || break
    done
    echo "$base"
}

# A machine on which nobody may mount cannot run these tests, and that is no failure.
if [ "$(id -u)" != 0 ] || [ ! -c /dev/fuse ]; then
    echo "1..0 # SKIP end-to-end tests need root and /dev/fuse"
    exit 0
fi

cluster_up() {
    # Unless a test has prepared it.
    [ -n "$DIR" ] || DIR=$(mktemp -d "${TMPDIR:-/tmp}/dfs-e2e-XXXXXX")
    MNT=$DIR/mnt
    trap cluster_end EXIT
    trap 'exit 1' INT TERM HUP
    "$dfs" cluster up --dir "$DIR" --base-port "$(free_base_port)" --mount "$MNT" "$@" >"$DIR/up.out" 2>&1 || {
        sed 's/^/# /' "$DIR/up.out"
        for f in "$DIR"/log/*.log; do
            echo "# == $f"
            tail -n 5 "$f" | sed 's/^/# /'
        done
        echo "Bail out! the cluster did not start"
        exit 1
    }
    export DFS_CONFIG=$DIR/conf/dfs.conf
}

# Runs whatever way the test ends.
cluster_end() {
    local status=$?
    cd /
    [ -n "$DIR" ] || exit $status
    "$dfs" cluster down --dir "$DIR" >/dev/null 2>&1
    for pid in "$DIR"/run/*.pid; do
        [ -e "$pid" ] && kill -9 "$(cat "$pid")" 2>/dev/null
    done
    while grep -q " $DIR/" /proc/self/mounts; do
        umount -l "$(grep -m1 " $DIR/" /proc/self/mounts | cut -d' ' -f2)" || break
    done
    if [ "$tests_failed" -gt 0 ] || [ $status -ne 0 ]; then
        for f in "$DIR"/log/*.log; do
            echo "# == $f"
            tail -n 15 "$f" | sed 's/^/# /'
        done
    fi
    [ -n "${DFS_E2E_KEEP:-}" ] && echo "# kept: $DIR" || rm -rf "$DIR"
    exit $status
}

ok() {
    tests_run=$((tests_run + 1))
    echo "ok $tests_run - $*"
}
not_ok() {
    tests_run=$((tests_run + 1))
    tests_failed=$((tests_failed + 1))
    echo "not ok $tests_run - $*"
}

# check NAME COMMAND...: passes if the command succeeds; its output is shown when it fails
check() {
    local name=$1 out start=$SECONDS
    shift
    if out=$("$@" 2>&1); then
        ok "$name ($((SECONDS - start)) s)"
    else
        not_ok "$name"
        printf '%s\n' "$out" | tail -n 40 | sed 's/^/# /'
        return 1
    fi
}

# refuse NAME PATTERN COMMAND...: passes if the command fails and says something like PATTERN
refuse() {
    local name=$1 pattern=$2 out
    shift 2
    if out=$("$@" 2>&1); then
        not_ok "$name (it succeeded)"
    elif grep -qE "$pattern" <<<"$out"; then
        ok "$name"
    else
        not_ok "$name"
        printf '%s\n' "$out" | tail -n 20 | sed 's/^/# /'
    fi
}

# state NODE: leader, follower, serving, ...
state() {
    "$dfs" cluster status --dir "$DIR" | awk -v n="$1" '$1 == n {print $2}'
}
leader() {
    "$dfs" cluster status --dir "$DIR" | awk '$2 == "leader" {print $1; exit}'
}
# wait_until SECONDS COMMAND...
wait_until() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.2
    done
}
# gone PID...: none of them runs; one that only waits to be reaped does not, nor does ''
gone() {
    local pid
    for pid in "$@"; do
        [ -z "$pid" ] || [ ! -d "/proc/$pid" ] || grep -q '^State:.*Z' "/proc/$pid/status" 2>/dev/null || return 1
    done
}
# kill -9 of every process of the cluster, mounts too, in one go.
kill_all_nodes() {
    # shellcheck disable=SC2046 # one word each
    kill -9 $(cat "$DIR"/run/*.pid)
}
all_serving() { "$dfs" cluster status --dir "$DIR"; }

# A tree for copies: files of all sizes, modes, symlinks, hard links, odd names. make_tree DIR FILES
make_tree() {
    "$DFS_BUILDDIR/tests/e2e/mktree" "$1" "$2"
}

# Every process that was started runs, but for those a test names in $stopped.
all_run() {
    local f status=0
    for f in "$DIR"/run/*.pid; do
        if gone "$(cat "$f")" && [[ " $stopped " != *" $(basename "$f" .pid) "* ]]; then
            echo "$(basename "$f" .pid) has died: $(tail -n 1 "$DIR/log/$(basename "$f" .pid).log")"
            status=1
        fi
    done
    return $status
}
# What sanitizers and assertions say goes to the same logs, some of it only at the exit.
ends_in_order() {
    cd / && "$dfs" cluster down --dir "$DIR" &&
        ! grep -E -A 12 'Sanitizer|runtime error:|Assertion .* failed' "$DIR"/log/*.log
}
# The end of a test: an error in the programs' own logs that the test did not ask for is a failure.
check_logs() {
    local bad
    bad=$(grep -hE ' error ' "$DIR"/log/*.log | grep -vE "$log_ignore" | head -n 5)
    if [ -z "$bad" ]; then
        ok "no daemon logged an error"
    else
        not_ok "no daemon logged an error"
        printf '%s\n' "$bad" | sed 's/^/# /'
    fi
    check "no daemon has died by itself" all_run
    check "all of them end in order" ends_in_order
}

done_testing() {
    echo "1..$tests_run"
    [ "$tests_failed" = 0 ]
    exit
}
