#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# uml-run.sh - run a shell script inside a throw-away guest made by mkuml.sh: as guest-run.sh, without QEMU
#
#   uml-run.sh [options] SCRIPT [ARG...]
#     -g DIR       guest directory (default: what mkuml.sh -n gives)
#     -t SECS      limit for the whole run, boot included (default 300)
#     -m MIB       memory (default 768; from /dev/shm)      -c N   cpus (default 2)
#     -i PATH      copy this file or directory to /job/in of the guest (repeatable)
#     -d NAME=FILE a disk: /dev/ubdb, /dev/ubdc, ..., the kernel's command line has vmlab.disks=NAME,NAME,... (repeatable)
#     -n DEVICE    a network: this end of a veth pair, whose other end has 10.0.2.2/24; the guest is 10.0.2.15 (default: none)
#     -l FILE      keep the kernel's console log here
#
# $VMLAB_APPEND: further words of the kernel's command line.
# Exit status: the script's; 124 time limit; 125 the guest did not come up or died before it reported.
set -u
here=$(cd "$(dirname "$0")" && pwd)
guest= limit=300 mem=768 cpus=2 log= net= ins=() disks=() names=
while getopts g:t:m:c:i:d:n:l: o; do
	case $o in
	g) guest=$OPTARG ;; t) limit=$OPTARG ;; m) mem=$OPTARG ;; c) cpus=$OPTARG ;; l) log=$OPTARG ;; n) net=$OPTARG ;;
	i) ins+=("$(realpath "$OPTARG")") ;;
	d) letter=$(printf '%b' "\\x$(printf %x $((98 + ${#disks[@]})))")
		names+=${names:+,}${OPTARG%%=*}; disks+=("ubd$letter=$(realpath "${OPTARG#*=}")") ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# -ge 1 ] && [ -r "$1" ] || { sed -n '3,17s/^# \{0,1\}//p' "$0" >&2; exit 2; }
script=$1; shift
[ -n "$guest" ] || guest=$("$here/mkuml.sh" -n) || exit 125
t0=$(date +%s%N)
d=$(mktemp -d "${TMPDIR:-/tmp}/uml.XXXXXX") || exit 125
upid= tpid=
end() {
	trap '' INT TERM
	[ -z "$upid" ] || kill -KILL "$upid" 2> /dev/null
	[ -z "$tpid" ] || kill "$tpid" 2> /dev/null
	[ -z "$log" ] || cp "$d/console" "$log" 2> /dev/null
	rm -rf "$d"
}
trap end EXIT; trap 'exit 130' INT; trap 'exit 143' TERM HUP

mkdir -p "$d/t/in" "$d/t/out"
cp "$script" "$d/t/script"
{ printf 'cd /job/in; exec bash /job/script'; [ $# -eq 0 ] || printf ' %q' "$@"; echo; } > "$d/t/run.sh"
for p in ${ins[@]+"${ins[@]}"}; do cp -a "$p" "$d/t/in/" || exit 125; done
tar -C "$d/t" -cf "$d/in.tar" . || exit 125
: > "$d/out"; : > "$d/console"
# UML has a process here for each of the guest's, and they outlive it when it is killed: in a pid namespace they end with it, whoever of us is killed.
# What the guest's init (mkguest.sh) reads and writes is in vmlab.host, by hostfs. The network's transport is raw: tap panics 7.2.
setpriv --pdeathsig KILL -- timeout --foreground -s KILL "$limit" setpriv --pdeathsig KILL -- unshare --pid --fork --kill-child -- env -i PATH="$PATH" TMPDIR=/dev/shm HOME="$d" \
	"$guest/linux" "mem=${mem}M" "ncpus=$cpus" "umid=${d##*.}$$" "uml_dir=$d/" "initrd=$(realpath "$guest/initrd")" "ubdar=$(realpath "$guest/root.img")" ${disks[@]+"${disks[@]}"} \
	seccomp=on con=null con0=null,fd:1 ssl=null quiet panic=-1 raid=noautodetect ${net:+"vec0:transport=raw,ifname=$net,depth=64,gro=1"} ${VMLAB_APPEND:-} \
	"vmlab.host=$d" "vmlab.disks=$names" < /dev/null > "$d/console" 2>&1 &
upid=$!
tail -c +1 -s 0.1 -f --pid="$upid" "$d/out" 2> /dev/null | grep --line-buffered -av '^VMLAB-' &
tpid=$!
wait "$upid" 2> /dev/null; urc=$?
upid=
wait "$tpid" 2> /dev/null; tpid=

up=$(sed -n 's/^VMLAB-UP //p' "$d/out" | tail -n 1)
done_=$(sed -n 's/^VMLAB-DONE //p' "$d/out" | tail -n 1)
ms=$((($(date +%s%N) - t0) / 1000000))
if [ -n "$done_" ]; then rc=${done_%% *}; elif [ $((ms / 1000)) -ge "$limit" ]; then rc=124; else rc=125; fi
[ "$rc" != 125 ] || [ -n "$done_" ] || { echo "uml-run: the guest died ($urc)"; tail -n 30 "$d/console"; } >&2
echo "uml-run: rc=$rc up=${up:-never}s down=${done_##* }s wall=$((ms / 1000)).$(printf %03d $((ms % 1000)))s" >&2
exit "$rc"
