#!/bin/bash
# However a simulator dies, it says at which seed: by a failed assertion, a signal, or the report of a
# sanitizer. Speaks TAP; runs in the build directory.
cd "${DFS_BUILDDIR:-$PWD}" || exit 99
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
dies() { # PROGRAM SIGNAL ARGUMENT...: dies at seed 7, and says so
    local program=$1 signal=$2 out status
    shift 2
    out=$(ulimit -c 0; "tests/sim/$program" --die-at "7:$signal" "$@" 2>&1)
    status=$?
    [ $status != 0 ] || echo "it did not end of signal $signal"
    grep -q 'seed=7$' <<<"$out" || { echo "no seed=7 in:"; tail -n 5 <<<"$out"; }
}

echo "1..8"
for s in ABRT SEGV BUS FPE ILL; do
    verdict "sim_raft that dies of SIG$s at seed 7 says so" < <(dies sim_raft "$(kill -l "$s")" --seeds 5-9)
done
verdict "sim_namenode says it too" < <(dies sim_namenode "$(kill -l SEGV)" --seeds 6-8)
verdict "and sim_chain" < <(dies sim_chain "$(kill -l SEGV)" --count 9)
if nm -D tests/sim/sim_raft 2>/dev/null | grep -q __asan_; then
    verdict "a sanitizer's report is followed by the seed" < <(dies sim_raft 0 --seeds 5-9)
else
    echo "ok 8 - a sanitizer's report is followed by the seed # SKIP built without AddressSanitizer"
fi
