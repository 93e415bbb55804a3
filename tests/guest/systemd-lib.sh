# SPDX-License-Identifier: Apache-2.0
# systemd as the first process of a pid namespace of the guest, with none of the system's own services.
#
#   systemd_runs [TARGET]    starts it, until it has reached the target [basic.target];  sd COMMAND...    in its namespaces
system=/usr/lib/systemd/system
rm -f $system/*.target.wants/*
echo 0123456789abcdef0123456789abcdef > /etc/machine-id
cat > /tmp/systemd.sh << 'END'
mkdir -p /sys/fs/cgroup/machine
echo $$ > /sys/fs/cgroup/machine/cgroup.procs
exec unshare --pid --fork --mount --cgroup --propagation private bash -c '
    mount -t proc proc /proc
    umount -l /sys/fs/cgroup
    mount -t cgroup2 cgroup /sys/fs/cgroup
    mount -t tmpfs run /run
    exec env -i container=guest PATH=/usr/sbin:/usr/bin /usr/lib/systemd/systemd --unit='"$1"' --log-target=console'
END
init() { pgrep -x systemd | head -n 1; }
sd() { nsenter -t "$(init)" -p -m -C -- "$@"; }
there() { sd systemctl is-system-running 2>&1 | grep -qE 'running|degraded'; }
systemd_runs() {
    setsid bash /tmp/systemd.sh "${1:-basic.target}" >> /tmp/systemd.log 2>&1 &
    check "systemd runs" wait_for 120 there || tail -n 20 /tmp/systemd.log
}
by_serial() { local d; for d in /sys/block/vd*; do [ "$(cat "$d/serial")" != "$1" ] || echo "/dev/${d##*/}"; done; }
