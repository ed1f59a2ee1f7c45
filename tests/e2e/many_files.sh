#!/usr/bin/env bash
# What bench/meta_fill makes is a cluster like any other: all of it is there, it reads, it goes on,
# and the namenodes agree. A store with that many files is opened, not read.
. "$(dirname "$0")/lib.sh"

FILES=20000
cluster_up --datanodes 1 --data-tls off
metric() { # NODE NAME
    curl -s "http://$(awk '$1 == "http" {print $3}' "$DIR/conf/$1.conf")/metrics" | awk -v n="$2" '$1 == n {print $2}'
}
each_has() { # NAME VALUE
    for n in nn1 nn2 nn3; do [ "$(metric $n "$1")" = "$2" ] || return 1; done
}
load() { # TEST CLIENTS COUNT: gives how many operations were done
    printf '\n\n' | "$DFS_BUILDDIR/bench/meta_clients" "$DIR" "$@" | awk -v t="$1" '$1 == t {print $3}'
}
caches_are_bounded() {
    for n in nn1 nn2 nn3; do
        for c in store_cache store_memtable record_cache log_cache; do
            [ "$(metric $n dfs_${c}_bytes)" -le "$(metric $n dfs_${c}_max_bytes)" ] || return 1
        done
    done
}

check "a running cluster is not filled" bash -c "! '$DFS_BUILDDIR/bench/meta_fill' '$DIR' 10 2>/dev/null"
check "the cluster stops" "$dfs" cluster down --dir "$DIR"
check "it is filled" "$DFS_BUILDDIR/bench/meta_fill" "$DIR" $FILES
check "it starts" "$dfs" cluster up --dir "$DIR"
# The root, /fill, 2 directories of 100 directories each.
check "every namenode has all inodes" wait_until 10 each_has dfs_meta_inodes $((FILES + 204))
check "find sees the files" bash -c "[ \$(find '$MNT/fill/0001' -type f | wc -l) = $((FILES / 2)) ]"
check "one with text has its text" grep -q '^file 2 of' "$MNT/fill/0000/00/file-002.dat"
check "one with a chunk that was never written is zeros" cmp -n 4097 "$MNT/fill/0000/00/file-000.dat" /dev/zero
check "a listing with attributes sees everything once" [ "$(load walk 2 0)" = $((FILES + 200)) ]
check "getattrs" [ "$(load getattr 2 500)" = 1000 ]
check "lookups" [ "$(load lookup 2 250)" = 500 ]
check "creates go on with the next inodes" [ "$(load create 4 100)" = 400 ]
check "and every namenode has them" wait_until 10 each_has dfs_meta_inodes $((FILES + 204 + 404))
check "the caches hold what they may" caches_are_bounded
check_logs
done_testing
