#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The first process of a node in User Mode Linux (uml-lib.sh). Its root is this machine's, by hostfs and read-only; what it writes is in memory, and is lost with its power. Then as in
# tests/kube/lab/up.sh: containerd, images, kubelet. From the kernel's command line: NODE, IP, GATEWAY, ID, STATE (the cluster's folder), TOOLS.
set -u
export PATH=$TOOLS:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=/run/tmp LC_ALL=C
N=$STATE/$NODE
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
mkdir -p /run/{lock,tmp,disk,host}
# util-linux 2.39 and later name the option, older ones pass on what there is.
mount -t hostfs -o "$STATE/log" none /run/host 2> /dev/null || mount -t hostfs -o "hostfs=$STATE/log" none /run/host
exec >> "/run/host/$NODE-boot.log" 2>&1
set -x
mountpoint -q /dev || mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o ptmxmode=0666 pts /dev/pts
mount -t tmpfs shm /dev/shm
ln -sfn /proc/self/fd /dev/fd
mount -t cgroup2 cgroup /sys/fs/cgroup
hostname "$NODE"
# Not on a disk: ubd of 7.2 lost the end of a write on a loaded machine, and all that waited for ext4 stood still.
mount -t tmpfs disk /run/disk
mkdir -p /run/disk/{kubelet,litepool,nvme,containerd,log}
mount --make-rshared /
mount -t tmpfs lib /var/lib
mkdir -p /var/lib/{kubelet,litepool,cni}
mount --bind /run/disk/kubelet /var/lib/kubelet
mount --make-rshared /var/lib/kubelet
mount --bind /run/disk/litepool /var/lib/litepool
cp "$N"/nvme/* /run/disk/nvme/
mount --bind /run/disk/nvme /etc/nvme
mount --bind /run/disk/containerd "$N/containerd"
mount --bind /run/disk/log /var/log

ip link set lo up
ip link set vec0 up
ip addr add "$IP/32" dev vec0
ip route add "$GATEWAY" dev vec0
ip route add default via "$GATEWAY"

# The kubelet wants to know, and this architecture does not say.
sed 's/^bogomips.*/&\ncpu MHz\t\t: 1000.000/' /proc/cpuinfo > /run/cpuinfo
mount --bind /run/cpuinfo /proc/cpuinfo

mkdir -p "/sys/fs/cgroup/$ID/$NODE"
for d in /sys/fs/cgroup "/sys/fs/cgroup/$ID"; do
    for c in $(cat "$d/cgroup.controllers"); do echo "+$c" > "$d/cgroup.subtree_control"; done
done
containerd -c "$N/containerd.toml" >> "/run/host/$NODE-containerd.log" 2>&1 &
ctr() { command ctr -a /run/containerd/containerd.sock -n k8s.io "$@"; }
until ctr version > /dev/null 2>&1; do sleep 0.1; done
for image in busybox pause litepool; do ctr images import "$STATE/images/$image.tar"; done
kubelet --config "$N/kubelet.yaml" --kubeconfig "$STATE/pki/$NODE.conf" --hostname-override "$NODE" --node-ip "$IP" >> "/run/host/$NODE-kubelet.log" 2>&1 &
set +x
while :; do # it takes in what others leave behind
    sleep 3600 &
    wait $!
done
