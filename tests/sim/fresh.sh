#!/bin/bash
# Namenodes under seeds that nobody has run yet: they follow from the commit, so that each commit adds to
# what was tried, and anyone can run its share again. Speaks TAP, one case however many seeds the time
# was enough for; runs in the build directory.
#
#   DFS_SIM_SECONDS   for how long: ./check gives more than the default's glance
cd "${DFS_BUILDDIR:-$PWD}" || exit 99
src=${DFS_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}

# Not the number of commits before it, which a shallow clone does not know. A tarball has no commit.
commit=$(git -C "$src" rev-parse --verify --quiet --short=7 HEAD 2>/dev/null)
first=$((16#$(cut -c 1-7 <<<"${commit:-0000001}") * 1000))
seconds=${DFS_SIM_SECONDS:-5}

echo "1..1"
echo "# fresh seeds: tests/sim/sim_namenode --seeds $first-$((first + 999999)) --seconds $seconds"
if out=$(tests/sim/sim_namenode --seeds "$first-$((first + 999999))" --seconds "$seconds" 2>&1); then
    sed -n 's/^# \([0-9]* schedules\)/# fresh seeds: \1/p' <<<"$out"
    echo "ok 1 - namenodes hold their invariants under the seeds from $first on"
else
    echo "not ok 1 - namenodes hold their invariants under the seeds from $first on"
    grep -E '^not ok|seed=|rror' <<<"$out" | head -n 20 | sed 's/^/#   /'
fi
