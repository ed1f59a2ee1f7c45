#!/usr/bin/env bash
# A datanode that answers, but late: it is stopped for most of the time, never so long that it counts
# as dead. It is taken out, writes are as fast as before, and it comes back when it is well again.
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
: "${SLOW_AFTER:=6s}" "${SLOW_REST:=5s}" "${STOP_S:=1.3}" "${RUN_S:=0.2}"

cluster_up --datanodes 4
cd "$DIR" || exit 1
for n in 1 2 3; do
    sed -i "s/^\[namenode\]$/&\nslow_after = $SLOW_AFTER\nslow_rest = $SLOW_REST\nrebalance_moves = 0/" "conf/nn$n.conf"
    "$dfs" cluster stop --dir "$DIR" "nn$n" >>up.out && "$dfs" cluster start --dir "$DIR" "nn$n" >>up.out || exit 1
done

# What `dfs datanode list` says of dn2: a Python expression over t is true.
target() {
    "$dfs" datanode list --json | python3 -c "import json, sys
t = {x['node']: x for x in json.load(sys.stdin)}['dn2']
sys.exit(0 if $1 else 'got: %s' % t)"
}
# Milliseconds of COUNT rounds of a new file of 1 MiB with fsync: what nine of ten take.
write_ms() {
    python3 - "$MNT" "$1" <<'PY'
import os, sys, time
times = []
for i in range(int(sys.argv[2])):
    t = time.monotonic()
    fd = os.open("%s/round-%d" % (sys.argv[1], i % 50), os.O_CREAT | os.O_WRONLY, 0o644)
    os.write(fd, os.urandom(1 << 20))
    os.fsync(fd)
    os.close(fd)
    times.append((time.monotonic() - t) * 1000)
print(round(sorted(times)[len(times) * 9 // 10]))
PY
}
# Work that goes on all the time; the first error ends it, and is kept.
(
    while [ ! -e stop ]; do
        write_ms 20 >/dev/null || break
    done
) 2>writer.err &
writer=$!

well=$(write_ms 60)
check "nobody is slow" target "t['state'] == 'active' and t['slow'] is None"
pid=$(cat run/dn2.pid)
(
    while [ ! -e well ]; do
        kill -STOP "$pid"
        sleep "$STOP_S"
        kill -CONT "$pid"
        sleep "$RUN_S"
    done
) &
brake=$!
sleep 1
slow=$(write_ms 20)
check "it is found" wait_until 60 target "t['state'] == 'slow'"
check "with figures" target "t['slow']['p99_us'] > 1000000 and t['slow']['p99_us'] > 10 * t['slow']['peers_us']"
check "which are told" bash -c "'$dfs' report | grep -q 'dn2.*kept out for its slowness: .* where others take' && '$dfs' datanode list | grep -q 'dn2.*slow, .* where others take'"
check "and in the log" bash -c "cat log/nn*.log | grep -q 'a target is too slow and leaves.*node=dn2 p99_ms='"
check "no other one is" bash -c "! '$dfs' datanode list | grep -v dn2 | grep -q ' slow,'"
out() { [ "$("$dfs" report --json | python3 -c "import json, sys
r = json.load(sys.stdin)
i = [t['target'] for t in r['targets'] if t['node'] == 'dn2'][0]
print(sum(m['target'] == i and m['state'] != 'offline' for p in r['pgs'] for m in p['members']))")" = 0 ]; }
check "it is in no chain any more" wait_until 30 out
after=$(write_ms 60)
echo "# a write of 1 MiB with fsync: $well ms before, $slow ms with it, $after ms without it"
check "writes are fast again" test "$after" -lt $((slow / 2))
check "it stays out while it is slow" bash -c "sleep 8; '$dfs' datanode list | grep -q 'dn2.* slow,'"
touch well
wait $brake
check "it comes back when it is well" wait_until 60 target "t['state'] == 'active'"
check "and all have their copies" wait_until 120 "$dfs" report
touch stop
wait $writer
check "no write failed" test ! -s writer.err
check "all replicas are the same" "$dfs" fsck --replicas
log_ignore='accus'
done_testing
