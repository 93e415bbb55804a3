#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mkuml.sh - a guest for uml-run.sh: the root image of mkguest.sh -s bookworm under Debian 12's User Mode Linux (package user-mode-linux: device-mapper, ext4, xfs, loop devices, but no
# nvme-tcp). It needs no emulation: what takes minutes in QEMU takes seconds. Nothing is installed on the host.
#
# Result:  CACHEDIR/uml/{linux,modules,root.img}, and its path on stdout
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${LITEPOOL_GUEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/litepool/guest}
guest=$("$here/mkguest.sh" -s bookworm) a=$cache/apt-bookworm out=$cache/uml
if [ ! -x "$out/linux" ]; then
	work=$(mktemp -d "$cache/.build.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	(cd "$work" && apt-get -qq -o Dir::Etc::sourcelist="$a/etc/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null -o Dir::State="$a/state" -o Dir::State::status="$a/state/status" -o Dir::State::lists="$a/lists" -o Dir::Cache="$a" \
		-o APT::Architecture=amd64 -o APT::Architectures=amd64 -o APT::Sandbox::User= -o Acquire::Retries=3 download user-mode-linux >&2)
	dpkg-deb -x "$work"/user-mode-linux_*.deb "$work/x"
	mkdir "$work/uml"
	mv "$work/x/usr/bin/linux.uml" "$work/uml/linux"
	mv "$work/x/usr/lib/uml/modules" "$work/uml/modules"
	rm -rf "$out"
	mv "$work/uml" "$out"
fi
if ! [ "$out/root.img" -nt "$guest/root.img" ]; then # with room to write: no overlay here
	cp --sparse=always "$guest/root.img" "$out/root.new"
	truncate -s 2G "$out/root.new"
	/sbin/resize2fs "$out/root.new" > /dev/null 2>&1
	mv "$out/root.new" "$out/root.img"
fi
echo "$out"
