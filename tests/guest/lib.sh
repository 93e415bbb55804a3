# SPDX-License-Identifier: Apache-2.0
# Runs in the guest before each scenario: what scenarios are written with. $1 is the Debian suite.
set -u
SUITE=$1
A=10.99.0.1 B=10.99.0.2
NQN=nqn.2026-11.io.litepool:test
checks=0 failures=0
modprobe() { [ "$SUITE" = uml ] || command modprobe "$@"; } # there all is built in
modprobe nvme-tcp
cmp() { busybox cmp "$@"; }

ok() { checks=$((checks + 1)); echo "ok - $*"; }
not_ok() { failures=$((failures + 1)); echo "not ok - $*"; }

# check TEXT COMMAND...: one checked fact; the command's output is shown when it fails.
check() {
    local text=$1 out
    shift
    if out=$("$@" 2>&1); then ok "$text"; else not_ok "$text"; echo "# $*"; sed 's/^/#   /' <<< "$out" | tail -n 25; fi
}
refused() { # refused TEXT COMMAND...: the command must fail
    local text=$1 out
    shift
    if out=$("$@" 2>&1); then not_ok "$text"; echo "# $* went well: $out"; else ok "$text"; fi
}
same() { [ "$1" = "$2" ] || { echo "'$1' is not '$2'"; return 1; }; }
contains() { case $1 in *"$2"*) ;; *) echo "no '$2' in: $1"; return 1 ;; esac; }

# host COMMAND WORDS...: asks the control service outside (tests/guest/run, class Commands).
host() {
    local code
    exec 9<> "/dev/tcp/$A/7777" || return 1
    { printf '%q ' "$@"; echo; } >&9
    IFS= read -r code <&9
    cat <&9
    exec 9>&-
    return "$code"
}

# setup COMMAND WORDS...: the same, for preparation: says nothing unless it fails.
setup() {
    local out
    out=$(host "$@") || not_ok "preparation: $*: $out"
}

# fio of Debian 13 now and then dies of itself (a job of SIGPIPE, then "double free" in its parent; the kernel's log and the disk know of nothing): that says nothing of the disk, and what
# it was to do is done again, three times at most. What it says of the disk (wrong data, an error) ends it otherwise, and is not tried again.
fio() {
    local tries rc
    for tries in 1 2 3; do
        rc=0
        command fio "$@" || rc=$?
        case $rc in
        134 | 139 | 141) echo "fio died of signal $((rc - 128)), try $tries" ;;
        *) break ;;
        esac
    done
    return $rc
}

# A loop of short verifying fio runs until the file /tmp/enough exists; /tmp/fio.out has the last run's words. FIO_NAME: another name than fio, for several at once.
fio_loop() { # fio_loop OPTIONS...
    local i=0
    while ! [ -e /tmp/enough ]; do
        fio --name=t --filename="${FIO_DEV:-/dev/nvme0n1}" --direct=1 --rw=randwrite --offset=$((i % 16 * 4))m --size=4m --ioengine=libaio \
            --verify=crc32c --do_verify=1 --verify_fatal=1 --minimal "$@" > "/tmp/${FIO_NAME:-fio}.out" 2>&1 || return 1
        i=$((i + 1))
    done
}
start_fio() {
    rm -f /tmp/enough "/tmp/${FIO_NAME:-fio}.rc"
    { fio_loop "$@"; echo $? > "/tmp/${FIO_NAME:-fio}.rc"; } &
    fio_pid=$! fio_pids+=($!)
}
fio_pids=()
stop_fio() { touch /tmp/enough; wait "${fio_pids[@]}"; }
fio_went_well() { [ "$(cat "/tmp/${FIO_NAME:-fio}.rc")" = 0 ] || { cat "/tmp/${FIO_NAME:-fio}.out"; dmesg | tail -n 15; return 1; }; }
# Sectors moved by the device and its paths: 6.1 counts none for a multipath device itself.
progress() { cat /sys/block/nvme*n1/stat 2> /dev/null | awk '{n += $3 + $7} END {print n + 0}'; }
# Since before was set; or fio has ended, which the checks after it will tell.
moved() { [ "$(progress)" -gt "$before" ] || [ -e /tmp/fio.rc ]; }

# wait_for SECONDS COMMAND...: until it succeeds; looks ten times a second. The seconds are those of a quiet machine: an emulated guest on a loaded one gets four times as many.
wait_for() {
    local end=$((SECONDS + 4 * $1))
    shift
    until "$@" > /dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { echo "waited in vain: $*"; return 1; }
        sleep 0.1
    done
}
connect() { nvme connect -t tcp -a "${ADDR:-$A}" -s 4420 -n "$NQN" -l 600 -c 1 "$@"; }
# The kernel numbers block devices in the order in which it finds them: by_block_size tells them apart.
block_dev() { [ -b "/dev/nvme0n${1:-1}" ]; }
by_nsid() { local d; for d in /sys/block/nvme0n*; do [ "$(cat $d/nsid)" != "$1" ] || echo "/dev/${d##*/}"; done; }
has_nsid() { [ -b "$(by_nsid "$1")" ]; }
by_block_size() { local q; for q in /sys/block/nvme0n*/queue; do [ "$(cat $q/logical_block_size)" != "$1" ] || { q=${q%/queue}; echo "/dev/${q##*/}"; }; done; }
device_gone() { ! [ -e "/dev/nvme0n1" ]; }
live() { grep -q live "/sys/class/nvme/nvme${1:-0}/state"; }
sectors() { cat "/sys/block/$1/size"; }

finish() {
    nvme disconnect-all > /dev/null 2>&1
    if dmesg | grep -E 'BUG:|WARNING:|Oops|hung_task|identifiers changed|I/O error|Buffer I/O' | grep -v "${EXPECT_DMESG:-^$}" | grep .; then
        not_ok "the kernel log is clean"
    else
        ok "the kernel log is clean"
    fi
    echo "# $checks passed, $failures failed"
    [ $failures = 0 ]
    exit
}
