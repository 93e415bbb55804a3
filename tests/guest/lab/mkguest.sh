#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mkguest.sh - build a bootable guest (kernel + tiny initramfs + root image)
# out of Debian packages only.  Nothing is installed on the host.
#
#   mkguest.sh [-c CACHEDIR] [-s SUITE] [-f FLAVOUR] [-x "EXTRA PKGS"] [-F]
#
#   SUITE    trixie (default; Linux 6.12, has ublk) | bookworm (Linux 6.1, no ublk)
#            | trixie-backports (Linux 7.x kernel on the trixie user land)
#   FLAVOUR  cloud-amd64 (default, small, boots fastest) | amd64 (also has 9p)
#   -F       rebuild even if the cache holds a matching guest
#
# Result:  CACHEDIR/SUITE-FLAVOUR/{vmlinuz,initrd,root.img,release,manifest}
# Host tools used, all unprivileged: apt-get, dpkg-deb, gzip and, checked below,
# cpio, depmod (kmod), xz (xz-utils), zstd, mke2fs (e2fsprogs); guest-run.sh
# also wants qemu-system-x86_64. busybox-static comes out of the archive, too.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
lacks=
for t in cpio:cpio depmod:kmod xz:xz-utils zstd:zstd mke2fs:e2fsprogs flock:util-linux; do
	command -v "${t%%:*}" > /dev/null || lacks="$lacks ${t##*:}"
done
[ -z "$lacks" ] || { echo "mkguest: install first:$lacks" >&2; exit 1; }

here=$(cd "$(dirname "$0")" && pwd)
cache=${LITEPOOL_GUEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/litepool/guest}
suite=trixie flavour=cloud-amd64 extra= force=
# The archive that the host's own apt uses, unless told otherwise.
mirror=${GUEST_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | awk '!n && sub(/\/debian\/*$/, "/debian") { print; n = 1 }')}
[ -n "$mirror" ] || { echo "mkguest: no Debian archive in apt's sources; set GUEST_MIRROR" >&2; exit 1; }
keyring=${GUEST_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}
while getopts c:s:f:x:F o; do
	case $o in
	c) cache=$OPTARG ;; s) suite=$OPTARG ;; f) flavour=$OPTARG ;;
	x) extra=$OPTARG ;; F) force=1 ;; *) exit 2 ;;
	esac
done
base=${suite%-backports}

# User land of the guest.
pkgs="busybox-static bash coreutils util-linux mount kmod procps iproute2 grep sed
 gawk findutils tar gzip nvme-cli lvm2 thin-provisioning-tools dmsetup e2fsprogs
 xfsprogs fio psmisc libaio1t64 liburing2 libfuse3-4 strace $extra"
[ $base = bookworm ] && { pkgs=${pkgs/libaio1t64/libaio1}; pkgs=${pkgs/libfuse3-4/libfuse3-3}; }

# Modules that go into the image (with their dependencies); names a kernel does
# not have as a module (built in, or too old) are skipped.
mods="virtio_pci virtio_blk virtio_net virtio_scsi virtio_console virtio_rng overlay
 ext4 xfs btrfs fuse virtiofs 9p 9pnet_virtio loop nbd zram null_blk scsi_debug brd
 nvme nvme-core nvme-fabrics nvme-tcp nvme-loop nvmet nvmet-tcp nvme-auth nvme-keyring tls
 ublk_drv dm-mod dm-thin-pool dm-snapshot dm-crypt dm-raid dm-mirror dm-multipath
 dm-delay dm-dust dm-flakey dm-log-writes dm-writecache dm-cache dm-cache-smq
 dm-integrity dm-verity dm-zero dm-zoned dm-clone dm-round-robin raid0 raid1 raid456
 sch_netem sch_tbf dummy veth tun bridge vhost_net nf_tables nft_ct nft_chain_nat
 nft_reject_inet nft_counter nft_limit nft_compat ip_tables iptable_filter
 ip6_tables xt_conntrack xt_tcpudp ipt_REJECT crc32c_intel crc32c_generic libcrc32c
 crc32c-cryptoapi raid6_pq vmw_vsock_virtio_transport mq-deadline kyber-iosched bfq"

out=$cache/$suite-$flavour
# Anything that changes the result goes into the stamp.
stamp=$(printf '%s\n' "$mirror" "$suite" "$flavour" $pkgs $mods | cat - "$0" | sha256sum | cut -c1-16)
if [ -z "$force" ] && [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then
	echo "$out"; exit 0
fi

mkdir -p "$cache"
exec 9>"$cache/.lock"; flock -w 900 9
if [ -z "$force" ] && [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then
	echo "$out"; exit 0
fi
work=$(mktemp -d "$cache/.build.XXXXXX")
trap 'rm -rf "$work"' EXIT
log() { echo "mkguest: $*" >&2; }

# --- a private apt that knows nothing of the host's packages -----------------
a=$cache/apt-$suite
mkdir -p "$a"/{lists/partial,archives/partial,state,etc}
: > "$a/state/status"
{
	echo "deb [signed-by=$keyring] $mirror $base main"
	[ $suite = $base ] || echo "deb [signed-by=$keyring] $mirror $suite main"
	[ $base = bookworm ] &&
	  echo "deb [signed-by=$keyring] ${mirror%/debian}/debian-security bookworm-security main" || :
} > "$a/etc/sources.list"
apt_() {
	local cmd=$1; shift
	"$cmd" -o Dir::Etc::sourcelist="$a/etc/sources.list" -o Dir::Etc::sourceparts=/dev/null \
	  -o Dir::Etc::preferencesparts=/dev/null -o Dir::Etc::preferences=/dev/null \
	  -o Dir::State="$a/state" -o Dir::State::status="$a/state/status" \
	  -o Dir::State::lists="$a/lists" -o Dir::Cache="$a" -o Dir::Cache::archives="$a/archives" \
	  -o APT::Architecture=amd64 -o APT::Architectures=amd64 -o APT::Sandbox::User= \
	  -o APT::Install-Recommends=false -o Debug::NoLocking=true -o Dpkg::Use-Pty=0 \
	  -o Acquire::Languages=none -o Acquire::Retries=3 -o quiet::NoUpdate=true "$@"
}
# Fresh lists at most once a day (GUEST_OFFLINE=1: never, use what is cached).
if [ -z "${GUEST_OFFLINE:-}" ] && [ -z "$(find "$a/lists.ok" -mtime -1 2>/dev/null)" ]; then
	log "package lists ($suite)"
	apt_ apt-get -qq update
	touch "$a/lists.ok"
fi

# The kernel meta package -> the current kernel image.  Newer archives split it
# (image -> binary + modules + base); take whatever of that family it names.
meta=linux-image-$flavour
[ $suite = $base ] || meta=$meta/$suite
apt_ apt-get -qq -y --download-only -t "$suite" --print-uris install "${meta%%/*}" |
	sed -n "s/^'\([^']*\)' \([^ ]*\) .*/\2/p" |
	grep -E '^linux-(image|binary|modules|base)-[0-9]' > "$work/kdebs"
log "kernel: $(tr '\n' ' ' < "$work/kdebs")"
kp=$(sed 's/_.*//' "$work/kdebs")
mkdir "$work/kdl" "$work/k" "$work/root"
(cd "$work/kdl" && apt_ apt-get -qq -t "$suite" download $kp)
for d in "$work"/kdl/*.deb; do dpkg-deb -x "$d" "$work/k"; done

log "user land: $(echo $pkgs)"
apt_ apt-get -qq -y --download-only -t "$base" install $pkgs >&2

# --- root tree ---------------------------------------------------------------
r=$work/root
mkdir -p "$r"/usr/{bin,sbin,lib,lib64}
for d in bin sbin lib lib64; do ln -s usr/$d "$r/$d"; done
# Only what the solver wants now, not stale leftovers of the cache.
apt_ apt-get -s -qq -t "$base" install $pkgs | sed -n 's/^Inst \([^ ]*\) .*/\1/p' > "$work/plist"
: > "$work/manifest"
while read -r p; do
	f=$(ls -t "$a/archives/${p}"_*.deb | sed -n 1p)
	basename "$f" >> "$work/manifest"
	# tar through dpkg-deb so that top-level /lib of old packages merges
	dpkg-deb --fsys-tarfile "$f" | tar -C "$r" -x --keep-directory-symlink --no-same-owner \
	  --exclude='./usr/share/doc*' --exclude='./usr/share/man*' --exclude='./usr/share/locale*' \
	  --exclude='./usr/share/i18n*' --exclude='./usr/lib/*/gconv*' --exclude='./usr/lib/*/perl*' \
	  --exclude='./usr/share/perl*' --exclude='./usr/share/zoneinfo*' --exclude='./usr/share/info*' \
	  --exclude='./usr/share/bash-completion*' --exclude='./usr/share/lintian*' 2>/dev/null || :
done < "$work/plist"
ls "$work/kdl" >> "$work/manifest"

# --- modules -----------------------------------------------------------------
first() { local f; for f in "$@"; do [ -e "$f" ] && { echo "$f"; return; }; done; return 1; }
km=$(first "$work"/k/usr/lib/modules/* "$work"/k/lib/modules/*)
rel=${km##*/}
kern=$(first "$work/k/boot/vmlinuz-$rel" "$km/vmlinuz")
dst=$r/usr/lib/modules/$rel
mkdir -p "$dst" "$work/dm/lib"
ln -s "$(dirname "$km")" "$work/dm/lib/modules" # depmod wants BASE/lib/modules
depmod -b "$work/dm" "$rel"
want=$(for m in $mods; do echo "$m"; done | tr - _ | sort -u)
awk -v want="$want" '
	BEGIN { n = split(want, w, "\n"); for (i = 1; i <= n; i++) q[w[i]] = 1 }
	{ p = $1; sub(/:$/, "", p); b = p; sub(/.*\//, "", b); sub(/\.ko.*/, "", b); gsub(/-/, "_", b)
	  if (b in q) { print p; for (i = 2; i <= NF; i++) print $i } }' "$km/modules.dep" |
	sort -u > "$work/modlist"
while read -r f; do
	mkdir -p "$dst/$(dirname "$f")"
	case $f in # decompressing at boot would be slow under TCG
	*.xz)  xz -dc  "$km/$f" > "$dst/${f%.xz}" ;;
	*.zst) zstd -qdc "$km/$f" > "$dst/${f%.zst}" ;;
	*)     cp "$km/$f" "$dst/$f" ;;
	esac
done < "$work/modlist"
for f in modules.builtin modules.builtin.modinfo modules.order; do
	[ -e "$km/$f" ] && cp "$km/$f" "$dst/"
done
mkdir -p "$work/dm2/lib"; ln -s "$r/usr/lib/modules" "$work/dm2/lib/modules"
depmod -b "$work/dm2" "$rel"

# --- files of our own ---------------------------------------------------------
mkdir -p "$r"/{proc,sys,dev,run,tmp,root,mnt,etc/lvm,etc/nvme,var/tmp,var/lock,vm} "$r/sys"
chmod 1777 "$r/tmp"
echo 'root:x:0:0:root:/root:/bin/bash' > "$r/etc/passwd"
printf 'root:x:0:\ndisk:x:6:\n' > "$r/etc/group"
echo guest > "$r/etc/hostname"
printf '127.0.0.1 localhost guest\n10.0.2.2 host\n' > "$r/etc/hosts"
ln -sf /proc/mounts "$r/etc/mtab"
ln -sf bash "$r/usr/bin/sh"; ln -sf gawk "$r/usr/bin/awk"; # no maintainer scripts ran
echo 'nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555' > "$r/etc/nvme/hostnqn"
echo '11111111-2222-3333-4444-555555555555' > "$r/etc/nvme/hostid"
# no udevd in the guest
cat > "$r/etc/lvm/lvmlocal.conf" <<-'C'
	activation { udev_sync = 0  udev_rules = 0  monitoring = 0 }
	devices { obtain_device_list_from_udev = 0  external_device_info_source = "none"  use_devicesfile = 0 }
	global { use_lvmpolld = 0 }
	C
cp "$r/usr/bin/busybox" "$work/busybox"
for t in awk vi less hexdump nc wget ping udhcpc telnet xxd unzip; do
	[ -e "$r/usr/bin/$t" ] || ln -s busybox "$r/usr/bin/$t"
done

cat > "$r/vm/init" <<-'I'
	#!/bin/bash
	# runs as pid 1 of the guest, after the initramfs handed over
	export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LC_ALL=C
	mount -t proc proc /proc; mount -t sysfs sys /sys
	mountpoint -q /dev || mount -t devtmpfs dev /dev
	mkdir -p /dev/pts /dev/shm; mount -t devpts pts /dev/pts; mount -t tmpfs shm /dev/shm
	mount -t tmpfs run /run; mkdir -p /run/lock /run/lvm; mount -t tmpfs tmp /tmp
	mount -t cgroup2 cg /sys/fs/cgroup 2>/dev/null
	mount -t configfs cfg /sys/kernel/config 2>/dev/null
	mount -t debugfs dbg /sys/kernel/debug 2>/dev/null
	ln -sf /proc/self/fd /dev/fd; ln -sf /proc/self/fd/0 /dev/stdin
	ln -sf /proc/self/fd/1 /dev/stdout; ln -sf /proc/self/fd/2 /dev/stderr
	echo guest > /proc/sys/kernel/hostname
	ip link set lo up
	for i in /sys/class/net/eth0 /sys/class/net/vec0; do
		[ -e "$i" ] || continue
		ip link set "${i##*/}" up
		ip addr add "${GUEST_IP:-10.0.2.15/24}" dev "${i##*/}"
		ip route add default via 10.0.2.2
	done
	echo 3 > /proc/sys/kernel/printk 2>/dev/null
	chan=/dev/vport0p1; ind=/dev/vdb outd=/dev/vdc
	h=$(sed -n 's/.*vmlab\.host=\([^ ]*\).*/\1/p' /proc/cmdline)
	if [ -n "$h" ]; then # User Mode Linux: a directory of the host
		mkdir -p /vm/host; mount -t hostfs -o "hostfs=$h" none /vm/host || mount -t hostfs -o "$h" none /vm/host
		chan=/vm/host/out ind=/vm/host/in.tar outd=/vm/host/out.raw
	fi
	for p in /sys/class/virtio-ports/*; do
		[ "$(cat $p/name 2>/dev/null)" = vmlab.out ] && chan=/dev/${p##*/}
	done
	[ -e "$chan" ] || chan=/dev/console
	mkdir -p /job/out; cd /job
	tar -xf $ind -C /job 2>/dev/null
	read -r up _ < /proc/uptime
	{
		echo "VMLAB-UP $up"
		if [ -f /job/run.sh ]; then
			# own session: a script that leaves children behind cannot keep us
			setsid -w bash /job/run.sh; rc=$?
		else
			echo "vmlab: no script"; rc=125
		fi
		tar -cf $outd -C /job/out . 2>/dev/null
		read -r up _ < /proc/uptime
		echo; echo "VMLAB-DONE $rc $up"
	} < /dev/null > "$chan" 2>&1
	sync
	[ -n "$h" ] || echo o > /proc/sysrq-trigger
	busybox poweroff -f
	I
chmod 755 "$r/vm/init"

# --- initramfs: just enough to mount the root image ----------------------------
i=$work/init
mkdir -p "$i"/{bin,dev,proc,sys,ro,rw,new,mod}
cp "$work/busybox" "$i/bin/busybox"; ln -s busybox "$i/bin/sh"
n=10
for m in virtio_pci virtio_blk virtio_net overlay crc32c_generic crc32c-cryptoapi libcrc32c ext4 virtio_console; do # in load order, with dependencies
	line=$(grep -m1 -E "(^|/)${m}\.ko" "$dst/modules.dep") || continue # built in, or named otherwise
	for f in $(echo "${line#*:}" | tr ' ' '\n' | tac) "${line%%:*}"; do
		b=$(basename "$f")
		ls "$i/mod/"??-"$b" >/dev/null 2>&1 || { cp "$dst/$f" "$i/mod/$n-$b"; n=$((n+1)); }
	done
done
cat > "$i/init" <<-'I'
	#!/bin/sh
	b=/bin/busybox
	$b mount -t devtmpfs dev /dev; $b mount -t proc proc /proc
	[ -d /sys/uml ] || $b grep -q vmlab.host /proc/cmdline || for m in /mod/*.ko; do $b insmod $m || echo "insmod $m failed"; done
	n=0; d=/dev/vda
	while [ ! -b $d ] && [ $n -lt 100 ]; do
		[ -b /dev/ubda ] && d=/dev/ubda || $b usleep 50000; n=$((n+1))
	done
	$b mount -t ext4 -o ro,noload $d /ro || { echo "vmlab: no root"; $b poweroff -f; }
	$b mount -t tmpfs -o size=75% rw /rw
	$b mkdir /rw/u /rw/w
	$b mount -t overlay -o lowerdir=/ro,upperdir=/rw/u,workdir=/rw/w ov /new
	$b mount --move /dev /new/dev; $b umount /proc
	exec $b switch_root /new /vm/init
	I
chmod 755 "$i/init"
(cd "$i" && find . | cpio --quiet -o -H newc -R 0:0) > "$work/initrd" # not compressed: faster

size=$(du -sm "$r" | cut -f1)
mke2fs -q -t ext4 -O ^has_journal,^metadata_csum,^resize_inode -E root_owner=0:0 -m 0 \
	-N "$(($(find "$r" | wc -l) + 2000))" -d "$r" "$work/root.img" "$((size + size / 10 + 16))M" >/dev/null

rm -rf "$out.new"; mkdir -p "$out.new"
cp "$kern" "$out.new/vmlinuz"
mv "$work/initrd" "$work/root.img" "$work/manifest" "$out.new/"
echo "$rel" > "$out.new/release"
echo "$stamp" > "$out.new/stamp"
rm -rf "$out"; mv "$out.new" "$out"
log "done: $rel, root $(du -sh "$out/root.img" | cut -f1), initrd $(du -sh "$out/initrd" | cut -f1)"
echo "$out"
