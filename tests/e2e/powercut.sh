#!/usr/bin/env bash
# The power fails everywhere at once, in the middle of the work: all namenodes and datanodes run under
# tests/shim, which notes what they write and sync. They are killed together; then each directory is
# made what a disk would hold, without what was not synced, or with any part of it, torn; the machines
# have new boot ids, and everything starts on that. What fsync had acknowledged must be there, and each
# name; no sector is torn that was synced; all replicas are the same.
#
#   SEED=7 ROUNDS=20 LOAD_SECONDS=8 DATANODES=4 DATA_TLS=off WRITERS=4 tests/e2e/powercut.sh
#   LOSE=some tests/e2e/powercut.sh        who loses power: all, some (the others are only killed), mixed
#   CLIENTS=live tests/e2e/powercut.sh     the mounts die with the rest, or live (or mixed)
#
# Where clients live, their writers go on: what was written, not synced, and lost, the next fsync must
# have told.
: "${SEED:=$RANDOM}" "${ROUNDS:=2}" "${LOAD_SECONDS:=4}" "${DATANODES:=3}" "${DATA_TLS:=on}" "${WRITERS:=2}"
: "${LOSE:=mixed}" "${CLIENTS:=mixed}"
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=hosts.sh
. "$(dirname "$0")/hosts.sh"
shim=$DFS_BUILDDIR/tests/shim/.libs/libpowerlog.so
powercut=$DFS_BUILDDIR/tests/shim/powercut
chaos_io=$DFS_BUILDDIR/tests/e2e/chaos_io
if ldd "$DFS_BUILDDIR/dfs-namenode" "$DFS_BUILDDIR"/.libs/dfs-namenode 2>/dev/null | grep -qE 'libasan|libtsan'; then
    echo "1..0 # SKIP a sanitizer must be the first library: nothing can be preloaded"
    exit 0
fi
echo "# powercut: SEED=$SEED ROUNDS=$ROUNDS LOAD_SECONDS=$LOAD_SECONDS DATANODES=$DATANODES DATA_TLS=$DATA_TLS WRITERS=$WRITERS LOSE=$LOSE CLIENTS=$CLIENTS"
RANDOM=$SEED
NET=no HOSTS_DIR=$(mktemp -d "${TMPDIR:-/tmp}/dfs-e2e-XXXXXX")
mkdir "$HOSTS_DIR"/{base,calls,boot,acked}

# The disk of a node: one file system for the recorder.
disk_of() { [[ $1 = nn* ]] && echo "$DIR/$1" || echo "$DIR/$1/t1"; }
new_boot() { cat /proc/sys/kernel/random/uuid >"$DIR/boot/$1"; }
node_env() {
    [[ $1 = mount* ]] || echo "LD_PRELOAD=$shim POWERLOG_DIR=$(disk_of "$1") POWERLOG_FILE=$DIR/calls/$1 POWERLOG_BOOT_ID=$DIR/boot/$1"
}

# ---- work that keeps what was acknowledged ----
work_sqlite() { # JOURNAL-MODE: each commit is synced before its number is written down
    exec python3 - "$MNT/load/$1.db" "$DIR/acked/$1" "$1" <<'P'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
db.execute("PRAGMA journal_mode=" + sys.argv[3])
db.execute("PRAGMA synchronous=" + ("EXTRA" if sys.argv[3] == "DELETE" else "FULL"))
db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, x TEXT)")
with open(sys.argv[2], "w") as acked:
    n = 0
    while True:
        n += 1
        db.execute("INSERT INTO t VALUES (?, ?)", (n, "%d" % n * (n * 37 % 900)))
        acked.write("%d\n" % n)
        acked.flush()
P
}
sqlite_right() {
    python3 - "$MNT/load/$1.db" "$DIR/acked/$1" <<'P'
import sqlite3, sys
acked = [int(x) for x in open(sys.argv[2]).read().split()]
if not acked:
    print("nothing was committed before the power failed")
    sys.exit(0)
db = sqlite3.connect(sys.argv[1])
check = db.execute("PRAGMA integrity_check").fetchall()
rows = db.execute("SELECT n, x FROM t ORDER BY n").fetchall()
good = check == [("ok",)] and [r[0] for r in rows] == list(range(1, len(rows) + 1)) and len(rows) >= acked[-1]
good = good and all(x == "%d" % n * (n * 37 % 900) for n, x in rows)
print(check, len(rows), "rows;", acked[-1], "acknowledged")
sys.exit(0 if good else 1)
P
}
work_git() {
    local git="git -C $MNT2/load/repo -c user.name=x -c user.email=x@example.net -c gc.auto=0 -c core.fsync=all -c core.fsyncMethod=fsync" n=0
    git init -q "$MNT2/load/repo"
    while :; do
        n=$((n + 1))
        echo "$n $RANDOM" >"$MNT2/load/repo/file$((n % 7))"
        $git add -A && $git commit -qm "$n" && $git rev-parse HEAD >>"$DIR/acked/git" || return
    done
}
git_right() {
    local last
    last=$(tail -n 1 "$DIR/acked/git" 2>/dev/null)
    [ -n "$last" ] || return 0
    git -C "$MNT2/load/repo" fsck --full --no-progress && git -C "$MNT2/load/repo" merge-base --is-ancestor "$last" HEAD
}
start_work() { # SECONDS of chaos_io
    rm -rf "$DIR"/shadow "$DIR"/acked/*
    mkdir -p "$DIR/shadow" "$MNT/load"
    if [ "$clients" = live ]; then
        CHAOS_COLD=1 "$chaos_io" run "$DIR/shadow" "$1" $((SEED + round)) "$WRITERS" "$MNT/load" "$MNT2/load" >"$DIR/io.out" 2>&1 &
        workers=($!)
        return
    fi
    "$chaos_io" run "$DIR/shadow" 600 $((SEED + round)) "$WRITERS" "$MNT/load" "$MNT2/load" >"$DIR/io.out" 2>&1 &
    workers=($!)
    work_sqlite DELETE >"$DIR/sqlite.out" 2>&1 &
    workers+=($!)
    work_sqlite WAL >"$DIR/sqlite.out" 2>&1 &
    workers+=($!)
    work_git >"$DIR/git.out" 2>&1 &
    workers+=($!)
}
works_so_far() { ! grep FAILED "$DIR/io.out"; }
# On a slow machine the first commits take their time; then there is something to be lost.
all_committed() {
    local name
    [ "$clients" = live ] || for name in DELETE WAL git; do [ -s "$DIR/acked/$name" ] || return; done
}

# ---- the power failure ----
pids_of() { # NODE...
    local n
    for n in "$@"; do cat "$DIR/run/$n.pid"; done
}
fail_power() {
    local victims=("${all_nodes[@]}") pids
    [ "$clients" = live ] || victims+=(mount1 mount2)
    # shellcheck disable=SC2207 # one word each
    pids=($(pids_of "${victims[@]}" | shuf --random-source=<(yes "$SEED$round")))
    kill -9 "${pids[@]}"
    wait_until 20 gone "${pids[@]}"
}
# What the disk of NODE holds now. A machine that kept its power has it all in its page cache, and what
# was not synced is still that: its calls are kept.
cut_one() { # NODE SEED
    local disk
    disk=$(disk_of "$1")
    rm -rf "$DIR/cut-$1"
    "$powercut" "$DIR/base/$1" "$DIR/calls/$1" "$disk" "$DIR/cut-$1" "$2" || return
    rm -rf "$disk" "$DIR/base/$1" "$DIR/calls/$1"
    mv "$DIR/cut-$1" "$disk" && cp -a "$disk" "$DIR/base/$1" && new_boot "$1"
}
cut_power() {
    local i seed pids=() status=0
    : >"$DIR/cuts"
    for i in "${!losers[@]}"; do
        seed=$([ "$torn" = gone ] && echo 0 || echo $((SEED * 10000 + round * 100 + i + 1)))
        cut_one "${losers[i]}" "$seed" >>"$DIR/cuts" 2>&1 &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i" || status=1; done
    [ $status = 0 ] || cat "$DIR/cuts"
    return $status
}
choose() { # who loses power, what is left, and who lives
    local n which=$LOSE
    clients=$CLIENTS
    [ "$which" != mixed ] || which=$([ $((round % 3)) = 0 ] && echo some || echo all)
    [ "$clients" != mixed ] || clients=$([ $((round % 2)) = 0 ] && echo live || echo die)
    torn=$([ $((RANDOM % 3)) = 0 ] && echo gone || echo torn)
    losers=()
    for n in "${all_nodes[@]}"; do
        if [ "$which" = all ] || [ $((RANDOM % 2)) = 0 ]; then losers+=("$n"); fi
    done
}
back() {
    node start "${all_nodes[@]}" || return
    [ "$clients" = live ] || node start mount1 mount2
}
work_ends() { wait_until 180 gone "${workers[0]}" && ! grep -v operations "$DIR/io.out"; }

hosts_before() { # what hosts_up would find missing
    local n
    for n in nn1 nn2 nn3 $(seq -f 'dn%g' "$DATANODES"); do
        mkdir -p "$HOSTS_DIR/base/$n"
        DIR=$HOSTS_DIR new_boot "$n"
    done
}
hosts_before
hosts_up "$DATANODES" "$DATA_TLS"
for round in $(seq "$ROUNDS"); do
    choose
    who=$([ ${#losers[@]} = ${#all_nodes[@]} ] && echo all || echo "${losers[*]:-nobody}")
    load=$((LOAD_SECONDS * 1000 / 2 + RANDOM % (LOAD_SECONDS * 1000)))
    start_work $((load / 1000 + 15))
    check "$round: work begins" wait_until 60 all_committed
    sleep "$((load / 1000)).$(printf %03d $((load % 1000)))"
    check "$round: work goes on for $load ms" works_so_far
    check "$round: everything is killed at once" fail_power
    check "$round: $who lost power ($torn), clients $clients" cut_power
    awk '{calls += $2; bytes += $4} END {printf "# %d calls noted, %.0f MB\n", calls, bytes / 1e6}' "$DIR/cuts"
    check "$round: everything starts on what is left" back
    if [ "$clients" = die ]; then
        for w in "${workers[@]}"; do wait "$w"; done 2>/dev/null
    else
        check "$round: the writers went on, and heard of what was lost" work_ends
        grep -h operations "$DIR/io.out" | sed 's/^/# /'
    fi
    check "$round: all nodes serve again" wait_until 120 all_serving || "$dfs" report | sed 's/^/# /'
    if [ "$clients" = die ]; then
        check "$round: what was synced is there" "$chaos_io" verify "$DIR/shadow" crash "$MNT/load" "$MNT2/load"
        check "$round: SQLite has what it committed" sqlite_right DELETE
        check "$round: and so with a write-ahead log" sqlite_right WAL
        check "$round: git has what it committed" git_right
        echo "# commits acknowledged: SQLite $(tail -qn 1 "$DIR"/acked/{DELETE,WAL} | tr '\n' ' ')git $(grep -c . "$DIR/acked/git")"
    else
        check "$round: every file is right" "$chaos_io" verify "$DIR/shadow" exact "$MNT/load" "$MNT2/load"
    fi
    check "$round: all replicas are the same" wait_until 60 "$dfs" fsck --replicas || "$dfs" fsck --replicas | tail -n 20 | sed 's/^/# /'
    check "$round: the files can be removed" bash -c "rm -rf '$MNT/load'"
done
# Asked for: chunks of which nothing was synced, and that are gone; chaos_io allows no other.
log_ignore='no member has good bytes .* bad=0'
check_logs
if [ "$tests_failed" -gt 0 ] && [ -n "${KEEP_LOGS:-}" ]; then
    cp -r "$DIR/log" "$DIR/io.out" "$KEEP_LOGS/"
fi
done_testing
