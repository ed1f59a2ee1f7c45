#!/bin/bash
# Every command of `dfs`, against a cluster of its own: output, exit codes, what is said of mistakes.
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cluster_up --datanodes 3 --data-tls off
cd "$DIR" || exit 1
mkdir work && cd work || exit 1
umask 022

same() { # NAME WANT COMMAND...: stdout is exactly WANT
    local name=$1 want=$2 got
    shift 2
    got=$("$@" 2>&1)
    if [ "$got" = "$want" ]; then
        ok "$name"
    else
        not_ok "$name"
        diff <(printf '%s\n' "$want") <(printf '%s\n' "$got") | sed 's/^/# /'
    fi
}
exits() { # NAME CODE COMMAND...
    local name=$1 want=$2 out code
    shift 2
    out=$("$@" 2>&1)
    code=$?
    if [ $code = "$want" ]; then
        ok "$name"
    else
        not_ok "$name (exit $code, not $want)"
        printf '%s\n' "$out" | tail -n 5 | sed 's/^/# /'
    fi
}
json() { # EXPRESSION COMMAND...: a Python expression over j, the parsed output, is true
    local expression=$1
    shift
    "$@" | python3 -c "import json, sys
j = json.load(sys.stdin)
sys.exit(0 if ($expression) else 'got: %.300s' % j)"
}
at() { "$dfs" find "$1" -maxdepth 0; }

# ---- trees in and out ----
make_tree tree 300
dd if=/dev/urandom of=tree/large bs=1M count=9 status=none
truncate -s 70M tree/sparse && printf end >>tree/sparse
ln -s large tree/link && ln -s nowhere tree/dangling
mkdir tree/shut && touch tree/shut/in && chmod 0511 tree/shut
chmod 4751 tree/large && touch -d '2001-02-03 04:05:06.789' tree/large tree/shut
mkfifo tree/pipe

attributes() { (cd "$1" && find . -printf '%P %y %m %s %T@ %l\n' | awk '$2 == "d" {$4 = 0} 1' | sort); }
check "put copies a tree" "$dfs" put tree /tree
check "get copies it back" "$dfs" get /tree back
check "the content is the same" diff -r --no-dereference -x pipe tree back
check "modes, times, links and sizes are the same" diff <(attributes tree) <(attributes back)
check "the mount sees the same" diff <(attributes tree) <(attributes "$MNT/tree")
check "the sparse file is sparse" test "$(stat -c %b back/sparse)" -lt 20000
check "no temporary names are left" test -z "$("$dfs" find / -name '.dfs-new-*')"
refuse "what is there is not overwritten" "is there already; -f overwrites it" "$dfs" put tree/large /tree/
echo changed >large
check "put -f overwrites" "$dfs" put -f large /tree/
same "and readers see the new content" changed "$dfs" cat /tree/large
refuse "errors are counted and the rest is copied" "2 failed" "$dfs" put no-such nor-this large /tree/shut
same "the rest was copied" changed "$dfs" cat /tree/shut/large
check "put - takes standard input" bash -c "echo piped | '$dfs' put - /piped"
same "get - gives standard output" piped "$dfs" get /piped -
refuse "put - does not overwrite" "is there already" bash -c "echo x | '$dfs' put - /piped"
check "cp -rp copies a tree" "$dfs" cp -rp /tree /copy
check "and all that is in it" diff <(attributes "$MNT/tree") <(attributes "$MNT/copy")
refuse "cp needs -r for directories" "is a directory; -r copies it" "$dfs" cp /tree /copy2
refuse "a directory is not copied into itself" "into itself" "$dfs" cp -r /copy /copy/shut/x

# ---- names ----
check "mkdir -p makes parents" "$dfs" mkdir -p /d/e/f
check "mkdir -p takes what is there" "$dfs" mkdir -p /d/e/f
exits "mkdir refuses what is there" 1 "$dfs" mkdir /d
check "mkdir -m sets the mode" "$dfs" mkdir -m 1770 /d/m
check "the mode is set" json 'j[0]["mode"] == "1770"' "$dfs" stat --json /d/m
check "touch makes a file" "$dfs" touch /d/t
check "touch -c makes none" "$dfs" touch -c /d/none
same "the listing" $'e\nm\nt' "$dfs" ls /d
check "mv renames" "$dfs" mv /d/t /d/u
check "mv moves into a directory" "$dfs" mv /d/u /d/e
same "it is there" /d/e/u at /d/e/u
"$dfs" touch /d/v
refuse "mv -n does not replace" "File exists" "$dfs" mv -n /d/v /d/e/u
check "ln makes a hard link" "$dfs" ln /d/v /d/w
check "two links" json 'j[0]["nlink"] == 2' "$dfs" stat --json /d/w
check "ln -s makes a symbolic link" "$dfs" ln -s e/u /d/s
check "its target is shown" json 'j[0]["target"] == "e/u"' "$dfs" stat --json /d/s
refuse "ln does not replace" "File exists" "$dfs" ln -s x /d/s
check "ln -sf does" "$dfs" ln -sf x /d/s

# ---- attributes ----
check "chmod octal" "$dfs" chmod 640 /d/v
check "chmod symbolic" "$dfs" chmod u+x,g=u,o= /d/v
check "the mode is changed" json 'j[0]["mode"] == "0770"' "$dfs" stat --json /d/v
check "chmod -R" "$dfs" chmod -R go-rwx /d/e
check "down to the leaves" json 'j[0]["mode"] == "0600"' "$dfs" stat --json /d/e/u
exits "a wrong mode is a wrong command line" 2 "$dfs" chmod u+q /d/v
check "chown with numbers" "$dfs" chown 1234:4321 /d/v
check "chown with names" "$dfs" chown root /d/v
check "the owner is changed" json 'j[0]["uid"] == 0 and j[0]["gid"] == 4321' "$dfs" stat --json /d/v
exits "an unknown user is a wrong command line" 2 "$dfs" chown no-such-user-1 /d/v

# ---- looking ----
same "ls -d shows the directory itself" /d "$dfs" ls -d /d
check "ls -l has mode, links and size" bash -c "'$dfs' ls -l /d | grep -qE '^-rwxrwx--- 2 root +4321 +0 .* v\$'"
check "ls -a has hidden names" bash -c "'$dfs' touch /d/.h && '$dfs' ls -a /d | grep -qx .h && ! '$dfs' ls /d | grep -qx .h"
check "ls -R titles subdirectories" bash -c "'$dfs' ls -R /d | grep -qx /d/e:"
check "ls --json is complete" json 'len(j) == 5 and all("mtime_ns" in e for e in j)' "$dfs" ls --json /d
same "tree draws" $'/d/e\n|-- f\n`-- u\n\n1 directory, 1 file' "$dfs" tree /d/e
check "stat speaks" bash -c "'$dfs' stat /d/v | grep -q 'Mode: 0770 -rwxrwx---'"
printf 12345 | "$dfs" put - /d/five
same "du -s sums" $'5\t/d' "$dfs" du -s /d
# Each inode once; the namenode says the same without a walk.
walked() {
    find "$1" -mindepth 1 ! -type d -printf '%i %y %s\n' | sort -u |
        awk '{files++; if ($2 == "f") bytes += $3} END {printf "%d %d", files, bytes}'
}
counted() {
    "$dfs" du -s --json "$1" | python3 -c 'import json, sys
j = json.load(sys.stdin)[0]
print(j["files"], j["bytes"], end="")'
}
for d in /tree /copy /d /; do
    same "du -s $d is what a walk finds" "$(walked "$MNT$d")" counted $d
done
check "df shows the capacity" json 'j["bytes_total"] > j["bytes_free"] > 0' "$dfs" df --json

# ---- what they may hold ----
# What fails with EDQUOT leaves no harm behind: not in the file, not in the mount.
df_of() { df -B1 "$1" --output=size,avail,itotal,iavail | tail -n 1 | xargs; }
mkdir -p "$MNT/q/sub" && head -c 12M /dev/urandom >big && head -c 6M big >fits
check "a quota is set" json 'j[0]["quota_bytes"] == 10 << 20 and j[0]["quota_files"] == 5' "$dfs" quota --json -f 5 -b 10M /q
same "df of the directory shows it" "10485760 10485760 5 4" df_of "$MNT/q/sub"
check "what fits goes in" cp fits "$MNT/q/sub/"
refuse "cp beyond it fails" "Disk quota exceeded" cp big "$MNT/q/big"
refuse "so does fsync" "Disk quota exceeded" dd if=big of="$MNT/q/big" bs=1M conv=fsync,notrunc
refuse "truncate" "Disk quota exceeded" truncate -s 5M "$MNT/q/big"
refuse "fallocate" "Disk quota exceeded" fallocate -l 5M "$MNT/q/big"
truncate -s 4M "$MNT/q/sub/rest" && echo tiny >tiny
refuse "a small file" "Disk quota exceeded" cp tiny "$MNT/q/big"
refuse "and put" "Disk quota exceeded" "$dfs" put fits /q/put
refuse "mkdir when there are enough files" "Disk quota exceeded" bash -c "touch '$MNT/q/4' && mkdir '$MNT/q/5'"
refuse "mv of a tree into it" "Disk quota exceeded" bash -c "mkdir '$MNT/t' && touch '$MNT/t/x' && mv -T '$MNT/t' '$MNT/q/t'"
same "df is full" "10485760 0 5 0" df_of "$MNT/q"
same "the file has what was let in" 0 stat -c %s "$MNT/q/big"
check "what was there is whole" cmp fits "$MNT/q/sub/fits"
check "moving within it works" mv "$MNT/q/sub/rest" "$MNT/q/rest"
check "rm makes room" rm "$MNT/q/rest" "$MNT/q/4"
check "which can be filled" bash -c "head -c 4M big >'$MNT/q/big' && cmp -n 4M big '$MNT/q/big'"
check "quota --clear takes it away" "$dfs" quota --clear /q
check "and all goes in" bash -c "cp big '$MNT/q/big' && cmp big '$MNT/q/big'"
same "du says how much" "2 18874368" counted /q
exits "a number has to be one" 2 "$dfs" quota -f many /q
exits "a file has no quota" 1 "$dfs" quota -f 1 /q/big
rm -r "$MNT/q" "$MNT/t" big fits tiny
same "find -name -type" $'/d/five' "$dfs" find /d -name 'f*' -type f
same "find -size" $'/d/five' "$dfs" find /d -type f -size +4c
same "find -maxdepth" $'/d' "$dfs" find /d -maxdepth 0
same "find -newer" $'/d/five' "$dfs" find /d -type f -name 'f*' -newer /d/v
check "find -print0" test "$("$dfs" find /d -type f -print0 | tr -dc '\0' | wc -c)" = 5

# ---- removing ----
refuse "rm needs -r for directories" "is a directory; -r removes it" "$dfs" rm /d
exits "rm -f takes what is not there" 0 "$dfs" rm -f /no-such
exits "rm does not" 1 "$dfs" rm /no-such
exits "the root stays" 2 "$dfs" rm -rf /
exits "also by another name" 2 "$dfs" rm -rf /d/../.
check "rm -r removes trees" "$dfs" rm -r /d /copy
same "nothing is left of them" $'piped\ntree' "$dfs" ls /
# More than a slice takes at once, deeper than it goes, and what it may not remove.
mkdir -p "wide/$(printf 'd/%.0s' {1..70})" && (cd wide && touch f{1..300} && ln -s f1 link)
check "a wide and deep tree" bash -c "'$dfs' put -q wide /wide && '$dfs' rm -r /wide && ! '$dfs' rm -r /wide"
exits "rm -rf takes what is not there" 0 "$dfs" rm -rf /wide
"$dfs" mkdir -p /half/roots && "$dfs" touch /half/a /half/roots/keep /half/z && "$dfs" chown 65534 /half
chmod 711 "$DIR"
sed "s,^key = .*,key = $DIR/nobody.key," "$DFS_CONFIG" >"$DIR/nobody.conf"
install -m 644 "$DIR/pki/client.key" "$DIR/nobody.key"
as_nobody() { DFS_CONFIG=$DIR/nobody.conf setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
refuse "what may not go is told" "/half/roots/keep: Permission denied" as_nobody "$dfs" rm -r /half
same "and all else goes" $'/half:\nroots\n\n/half/roots:\nkeep' "$dfs" ls -R /half
"$dfs" mkdir /closed && "$dfs" chmod 711 /closed
refuse "what may not be read is not listed" "/closed: Permission denied" as_nobody "$dfs" ls /closed
"$dfs" mkdir /slash && "$dfs" touch /slash/f && "$dfs" ln -s slash /to-slash
check "a link goes, not what it points to" bash -c "'$dfs' rm -r /to-slash && [ \"\$('$dfs' ls /slash)\" = f ]"
check "and all the rest" "$dfs" rm -r /half /closed /slash/

# ---- the cluster ----
check "report says that all is well" bash -c "'$dfs' report | tail -n 1 | grep -qx 'All data is fully replicated.'"
check "report --json" json 'j["summary"]["well"] and len(j["namenodes"]) == 3' "$dfs" report --json
check "why shows three serving copies" json '[c["state"] for c in j[0]["chunks"][0]["copies"]] == ["serving"] * 3' "$dfs" why --json /tree/sparse
check "fsck finds all replicas the same" "$dfs" fsck --replicas
on_terminal() { script -qec "$*" /dev/null </dev/null; }
check "on a terminal fsck shows how far it is" bash -c "$(declare -f on_terminal); on_terminal '$dfs' fsck --replicas | grep -q 'B, [0-9]* placement groups'"
check "also with --files" bash -c "$(declare -f on_terminal); on_terminal '$dfs' fsck --files | grep -q '[0-9] names'"
check "fsck --json" json 'j["well"] and j["chunks"] > 0 and not j["differences"]' "$dfs" fsck --replicas --json
check "sync of a mount" "$dfs" sync "$MNT"
refuse "sync of something else" "is not in a dfs mount" "$dfs" sync /tmp
check "counters of a mount" json 'j["meta_rpcs"] > 0' "$dfs" counters --json "$MNT"

check "the example program runs" bash -c "'$DFS_BUILDDIR/libdfs/example' /greeting | grep -qx '/greeting holds: Hello, cluster!'"

"$dfs" cluster kill --dir "$DIR" dn2
check "a dead datanode is in the report" wait_until 20 bash -c "'$dfs' report | grep -q '^! .*fewer copies than wanted'"
exits "and the report fails" 1 "$dfs" report
refuse "fsck says that it could not compare everything" "not fully serving" "$dfs" fsck --replicas
check "files can be read and written meanwhile" bash -c "echo on | '$dfs' put - /meanwhile && '$dfs' cat /meanwhile"
"$dfs" cluster start --dir "$DIR" dn2
check "it comes back by itself" wait_until 60 "$dfs" report
check "and its replicas are the same" "$dfs" fsck --replicas

# ---- command lines ----
check "help" bash -c "'$dfs' help | grep -q '^  report'"
check "help of a command" bash -c "'$dfs' help ls | grep -q -- --recursive"
check "every command has help" bash -c "for c in \$('$dfs' help | sed -n 's/^  \\([a-z]*\\)  .*/\\1/p' | grep -vE '^(help|version)\$'); do '$dfs' \$c --help >/dev/null || exit 1; done"
check "version" bash -c "'$dfs' version | grep -qE '^dfs [0-9.]+\$'"
refuse "an unknown command has a hint" "did you mean 'report'" "$dfs" reprot
refuse "an unknown option has a hint" "did you mean '--recursive'" "$dfs" ls --recusrive
refuse "relative paths have a hint" "did you mean '/x'" "$dfs" ls x
exits "a wrong option exits with 2" 2 "$dfs" ls --no-such
exits "a missing file exits with 1" 1 "$dfs" ls /no-such
same "and is named" "dfs ls: /no-such: No such file or directory" "$dfs" ls /no-such
exits "a cluster that is not there exits with 3" 3 "$dfs" ls --namenodes 127.0.0.1:1 /
exits "an address that is none is a wrong command line" 2 "$dfs" ls --namenodes "$(sed -n 's/^namenodes = //p' "$DFS_CONFIG"),garbage:" /
refuse "an option before the command" "a command comes first: dfs COMMAND --json" "$dfs" --json report
exits "so is sync of nothing" 2 "$dfs" sync
exits "a missing configuration exits with 3" 3 "$dfs" ls --config /no/such.conf /
refuse "and says so in a sentence" "dfs ls: the cluster was not reached: .*/no/such.conf" "$dfs" ls --config /no/such.conf /

check_logs
done_testing
