#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mkuml.sh - a guest for uml-run.sh: the root image of mkguest.sh -s trixie under a User Mode Linux kernel with nvme-tcp, device-mapper, ext4, xfs, cgroups, overlayfs and veth built in
# (uml.config). The kernel is built once, from Debian's linux-source: 10 minutes of a processor, 200 MB fetched, 3 GB of disk meanwhile. It needs no emulation: what takes minutes in QEMU
# takes seconds. Nothing is installed on the host.
#
#   mkuml.sh [-n]      -n: does not build a kernel, and says how to get one
#
# Result:  CACHEDIR/uml-STAMP/{linux,initrd,root.img}, and its path on stdout; STAMP is of uml.config and the version, so that trees of several ages have each their own
set -euo pipefail
VERSION=7.2                                 # of linux-source; the one place that names it
SUITES=${GUEST_UML_SUITES:-trixie-backports forky sid} # the first of Debian's that has it
PATH=$PATH:/usr/sbin:/sbin
here=$(cd "$(dirname "$0")" && pwd)
cache=${LITEPOOL_GUEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/litepool/guest}
say() { echo "mkuml: $*" >&2; }
stamp=$(cat "$here/uml.config" <(echo "$VERSION") | sha256sum | cut -c1-16)
out=$cache/uml-$stamp
built() { [ -x "$out/linux" ]; }

# The kernel's source, in $1.
fetch() {
	local mirror keyring=${GUEST_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg} a=$cache/apt-uml suite
	mirror=${GUEST_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | awk '!n && sub(/\/debian\/*$/, "/debian") { print; n = 1 }')}
	[ -n "$mirror" ] || { say "no Debian archive in apt's sources; set GUEST_MIRROR"; return 1; }
	rm -rf "$a"
	mkdir -p "$a"/{lists/partial,archives/partial,state,etc}
	: > "$a/state/status"
	apt_() {
		apt-get -o Dir::Etc::sourcelist="$a/etc/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null -o Dir::Etc::preferences=/dev/null \
			-o Dir::State="$a/state" -o Dir::State::status="$a/state/status" -o Dir::State::lists="$a/lists" -o Dir::Cache="$a" -o APT::Sandbox::User= \
			-o Acquire::Languages=none -o Acquire::Retries=3 -o Debug::NoLocking=true -qq "$@"
	}
	for suite in $SUITES; do
		echo "deb [signed-by=$keyring] $mirror $suite main" > "$a/etc/sources.list"
		say "linux-source-$VERSION of $suite"
		apt_ update >&2 && (cd "$1" && apt_ download "linux-source-$VERSION" >&2) && return
	done
	say "none of $SUITES has linux-source-$VERSION; GUEST_UML_SUITES names others"
	return 1
}

configure() { # configure SOURCE BUILD
	local k
	make -s -C "$1" ARCH=um O="$2" defconfig > /dev/null
	(cd "$2" && "$1/scripts/kconfig/merge_config.sh" -m -O . .config "$here/uml.config" > /dev/null)
	make -s -C "$1" ARCH=um O="$2" olddefconfig > /dev/null
	for k in $(sed -n 's/^CONFIG_\([A-Z0-9_]*\)=y$/\1/p' "$here/uml.config"); do
		grep -q "^CONFIG_$k=y" "$2/.config" || { say "the kernel has no CONFIG_$k"; return 1; }
	done
}

kernel() {
	local lacks= t
	for t in gcc:gcc make:make flex:flex bison:bison bc:bc xz:xz-utils perl:perl python3:python3; do
		command -v "${t%%:*}" > /dev/null || lacks="$lacks ${t##*:}"
	done
	[ -z "$lacks" ] || { say "install first:$lacks"; return 1; }
	mkdir -p "$cache"
	exec 8> "$cache/.lock-uml"
	flock -w 3600 8
	! built || return 0
	w=$(mktemp -d "$cache/.build.XXXXXX")
	trap 'rm -rf "$w"' EXIT # w outlives this function
	fetch "$w"
	dpkg-deb --fsys-tarfile "$w"/linux-source-*.deb | tar -C "$w" -x "./usr/src/linux-source-$VERSION.tar.xz"
	tar -C "$w" -xJf "$w/usr/src/linux-source-$VERSION.tar.xz"
	configure "$w/linux-source-$VERSION" "$w/b"
	say "building it: 10 minutes of a processor"
	nice make -s -C "$w/linux-source-$VERSION" ARCH=um O="$w/b" -j"$(nproc)" linux > "$w/log" 2>&1 || { tail -n 30 "$w/log" >&2; say "the kernel could not be built"; return 1; }
	mkdir "$w/uml"
	strip -o "$w/uml/linux" "$w/b/linux"
	rm -rf "$out"
	mv "$w/uml" "$out"
}

if ! built; then
	[ "${1:-}" != -n ] || { say "no kernel in $out: 'make uml-kernel' builds it, once, in 10 minutes of a processor"; exit 1; }
	kernel
fi
guest=$("$here/mkguest.sh" -s trixie)
for f in initrd root.img; do ln -sfn "$guest/$f" "$out/$f"; done
echo "$out"
