#!/usr/bin/env bash
# libdfs as a library: many threads on one connection and its files, connections that come and go.
# Under --with-sanitizer=thread also: does any of it, or a daemon, race? THREADS and ROUNDS make it
# longer by hand.
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cluster_up --data-tls off
threads=$DFS_BUILDDIR/tests/e2e/threads
check "a position is shared: each record once" "$threads" position /position "${THREADS:-8}" "${ROUNDS:-40}"
check "appended records stay whole, each once" "$threads" append /append "${THREADS:-8}" "${ROUNDS:-40}"
check "regions of one open file" "$threads" regions /regions "${THREADS:-8}" "${ROUNDS:-40}"
check "of all who race for a name one wins" "$threads" races /races "${THREADS:-8}" "${ROUNDS:-40}"
check "a tree for each thread" "$threads" trees /trees "${THREADS:-8}" "${ROUNDS:-40}"
check "what stays is listed once" "$threads" listing /listing "${THREADS:-8}" "${ROUNDS:-40}"
check "sessions come and go" "$threads" sessions /sessions "${THREADS:-8}" "${ROUNDS:-40}"
check "the example program runs" bash -c "'$DFS_BUILDDIR/libdfs/example' /greeting | grep -qx '/greeting holds: Hello, cluster!'"
check "nothing is left open: the mount sees all of it" bash -c "[ \"\$(stat -c %s '$MNT/regions/regions')\" = $((${THREADS:-8} * 300000)) ]"
check_logs
done_testing
