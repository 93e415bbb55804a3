# SPDX-License-Identifier: Apache-2.0
# Shared by the scripts of the lab; sourced, with $S = absolute state directory.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/versions"
CACHE=${KUBELAB_CACHE:-$HOME/.cache/kubelab}
export PATH="$CACHE/bin:$PATH:/usr/sbin:/sbin"

die() { echo "${0##*/}: $*" >&2; exit 1; }
state() { # set S from the first argument
  [ -n "${1:-}" ] || die "need a state directory"
  mkdir -p "$1"; S=$(cd "$1" && pwd); mkdir -p "$S/run" "$S/log"
}
# A pid file holds "pid starttime", so a recycled pid is never taken for ours.
born() { local s; s=$(cat "/proc/$1/stat" 2>/dev/null) || return 1; s=${s##*) }; set -- $s; echo "${20}"; }
pid_of() { # pid of NAME when it runs, else nothing
  local p b; read -r p b 2>/dev/null < "$S/run/$1.pid" || return 1
  [ "$(born "$p")" = "$b" ] && echo "$p"
}
note() { echo "$2 $(born "$2")" > "$S/run/$1.pid"; }
start() { # start NAME COMMAND...: in the background, log in $S/log/NAME.log
  local n=$1; shift
  if pid_of "$n" >/dev/null; then return 0; fi
  setsid "$@" >>"$S/log/$n.log" 2>&1 </dev/null &
  note "$n" $!
}
start_in() { # start_in NODE NAME COMMAND...: inside a node's namespaces
  local node=$1 n=$2 i c; shift 2
  if pid_of "$n" >/dev/null; then return 0; fi
  i=$(pid_of "$node") || die "no node $node"
  setsid nsenter -t "$i" -m -p -u -- "$@" >>"$S/log/$n.log" 2>&1 </dev/null &
  while kill -0 $! 2>/dev/null; do # nsenter forks; the child is the program
    c=$(pgrep -P $!) && break; sleep 0.02
  done
  [ -n "${c:-}" ] || die "$n did not start, see $S/log/$n.log"
  note "$n" "$c"
}
stop() { # stop NAME [SIGNAL]: TERM, and KILL after 10 s
  local p; p=$(pid_of "$1") || { rm -f "$S/run/$1.pid"; return 0; }
  kill -"${2:-TERM}" "$p" 2>/dev/null || true
  for _ in $(seq 100); do pid_of "$1" >/dev/null || break; sleep 0.1; done
  if p=$(pid_of "$1"); then kill -KILL "$p" 2>/dev/null || true; fi
  rm -f "$S/run/$1.pid"
}
wait_for() { # wait_for SECONDS WHAT COMMAND...: poll until the command succeeds
  local t=$(( $(date +%s) + $1 )) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$(date +%s)" -lt "$t" ] || die "$what not ready in time, see $S/log"
    sleep 0.1
  done
}
wait_up() { # wait_up "NAME..." COMMAND...: polls likewise, for LIMIT; dies when one of these processes has ended, since nobody starts it again before we return
  local names=$1 n t=$(( $(date +%s) + LIMIT )); shift
  until "$@" >/dev/null 2>&1; do
    for n in $names; do pid_of "$n" >/dev/null || die "$n has ended, see $S/log/$n.log"; done
    [ "$(date +%s)" -lt "$t" ] || die "${names##* } not ready in time, see $S/log"
    sleep 0.1
  done
}
cg_dirs() { # the cgroup directories named $1, in every hierarchy (v1) or the one (v2)
  local d; for d in /sys/fs/cgroup/*/"$1" /sys/fs/cgroup/"$1"; do [ -d "$d" ] && echo "$d"; done; true
}
