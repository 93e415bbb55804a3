#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# lab down: stops what up.sh and others started under STATE by lib.sh and puts the host back.
# Usage: down.sh [-r] STATE      -r also removes STATE (else logs and etcd data stay)
set -euo pipefail
rm_state=; if [ "${1:-}" = -r ]; then rm_state=1; shift; fi
. "$(dirname "$0")/lib.sh"
[ -d "${1:-}/run" ] || { echo "nothing there"; exit 0; }
state "$1"
t0=$(date +%s.%N)
# everything but nodes and control plane first (sidecars, drivers), then kubelets ...
for f in "$S"/run/*.pid; do
  n=$(basename "$f" .pid)
  case $n in etcd|apiserver|controller-manager|scheduler|node[0-9]|node[0-9]-*) ;; *) stop "$n" ;; esac
done
for f in "$S"/run/node*-kubelet.pid; do [ -e "$f" ] && stop "$(basename "$f" .pid)"; done
# ... then each node's first process: the kernel ends all others in its pid namespace,
# and with the last one the mount namespace goes, with every mount in it
for f in "$S"/run/node[0-9].pid; do [ -e "$f" ] && stop "$(basename "$f" .pid)" KILL; done
rm -f "$S"/run/node*.pid "$S"/node*/run/node-ready
for n in scheduler controller-manager apiserver etcd; do stop "$n" ${rm_state:+KILL}; done
# mounts below STATE that a driver made outside the nodes
awk -v s="$S/" 'index($5, s) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r m; do
  umount "$(printf %b "$m")"; done
if [ -e "$S/id" ]; then
  cg_dirs "$(cat "$S/id")" | while read -r d; do
    for _ in $(seq 100); do find "$d" -depth -type d -exec rmdir {} + 2>/dev/null; [ -d "$d" ] || break; sleep 0.1; done
    if [ -d "$d" ]; then echo "left: $d" >&2; fi
  done
fi
if [ -e "$S/addrs" ]; then while read -r a; do ip addr del "$a/32" dev lo 2>/dev/null || true; done < "$S/addrs"; fi
if [ -e "$S/sysctls" ]; then while read -r k v; do echo "$v" > "/proc/sys/$k"; done < "$S/sysctls"; fi
if [ -e "$S/dirs" ]; then while read -r d; do rmdir "$d" 2>/dev/null || true; done < "$S/dirs"; fi
rm -f "$S/addrs" "$S/sysctls" "$S/dirs"
if [ -n "$rm_state" ]; then rm -rf --one-file-system "$S"; fi
printf 'lab down: %.1f s\n' "$(echo "$(date +%s.%N) - $t0" | bc)"
