# SPDX-License-Identifier: Apache-2.0
# Nodes in User Mode Linux (tests/guest/lab/mkuml.sh), for scripts with cluster-lib.sh and scenario.sh: a kernel of their own with nvme-tcp, on which kubelet, containerd and LitePool's pods run.
#
#   guest_up NUMBER      boots node NUMBER, of which up.sh has made what KUBELAB_GUESTS asks for;   guest_down NUMBER   takes its power, and all that it had but its name as an NVMe host
#   in_guest NODE COMMAND...    in its pod of litepool-csi, which sees the node's devices, mounts of volumes, /sys and the kernel's log
guest_link() { echo "u$1-$(cut -c 9- "$S/id")" | cut -c -14; } # a name has 15 characters at most
guest_up() {
    local n=node$1 net ip link kernel uuid
    net=$(cat "$S/net") link=$(guest_link "$1") ip=$net.$((10 + $1))
    kernel=$("$source/tests/guest/lab/mkuml.sh" -n) || return
    if [ ! -e "$S/$n/nvme/hostnqn" ]; then
        uuid=$(cat /proc/sys/kernel/random/uuid)
        echo "$uuid" > "$S/$n/nvme/hostid" && echo "nqn.2014-08.org.nvmexpress:uuid:$uuid" > "$S/$n/nvme/hostnqn" || return
    fi
    ip link add "${link}h" type veth peer name "${link}g" || return
    # What the guest is given is whole packets with checksums.
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$source/tests/guest python3 -c 'import files, sys
for device in sys.argv[1:]: files.offloads_off(device)' "${link}h" "${link}g" || return
    ip link set "${link}g" up && ip link set "${link}h" up && ip route add "$ip/32" dev "${link}h" src "$net.1" && ip route add "10.244.$1.0/24" via "$ip" dev "${link}h" onlink || return
    start "$n" unshare --pid --fork --kill-child -- env -i PATH="$PATH" TMPDIR=/dev/shm HOME="$S/$n" "$kernel/linux" mem=3072M ncpus=2 seccomp=on "umid=$n" "uml_dir=$S/$n/run/" \
        root=/dev/root rootfstype=hostfs rootflags=/ ro init="$here/uml-init.sh" "vec0:transport=raw,ifname=${link}g,depth=64,gro=1" \
        con=null con0=null,fd:1 ssl=null panic=-1 raid=noautodetect "NODE=$n" "IP=$ip" "GATEWAY=$net.1" "ID=$(cat "$S/id")" "STATE=$S" "TOOLS=$CACHE/bin"
}
guest_down() {
    local pid
    pid=$(pid_of "node$1") && kill -KILL "$pid"
    while pid_of "node$1" > /dev/null; do sleep 0.05; done
    rm -f "$S/run/node$1.pid"
    ip link del "$(guest_link "$1")h" 2> /dev/null
}
csi_pod() { kubectl -n litepool-system get pods -l app.kubernetes.io/name=litepool-csi-node --field-selector "spec.nodeName=$1" -o 'jsonpath={.items[0].metadata.name}'; }
in_guest() { kubectl -n litepool-system exec "$(csi_pod "$1")" -- "${@:2}"; }

# on_nvme NODE POD: what the pod has mounted is a device of the node's own kernel, connected by TCP.
on_nvme() {
    local device
    device=$(sh_in "$2" 'grep " /data " /proc/mounts' | cut -d' ' -f1) && echo "$device" && case $device in /dev/nvme*) ;; *) return 1 ;; esac &&
        in_guest "$1" sh -c 'cat /sys/class/nvme/nvme*/transport' | grep -x tcp && in_guest "$1" uname -r
}
# Neither connections nor mounts of volumes.
detached() { exactly "" in_guest "$1" sh -c 'ls /sys/class/nvme; grep -o "/csi.litepool.io/.*globalmount" /proc/mounts; true'; }

# ---- what the node's kernel has seen of its volumes ----
said() { in_guest "$1" dmesg > "$S/said" && grep -c "$2" "$S/said" || [ $? = 1 ]; } # said NODE PATTERN: in so many lines
reconnects() { said "$1" 'Successfully reconnected'; }
no_trouble() { exactly 0 said "$1" 'BUG:\|WARNING:\|Oops\|hung_task\|identifiers changed\|I/O error\|EXT4-fs error\|EXT4-fs warning\|XFS .*[Ee]rror\|XFS .*[Cc]orruption\|XFS .*[Ss]hut' || { tail -n 20 "$S/said"; return 1; }; }

# under_writes POD COMMAND...: while the pod writes, with fsync, and reads back; its writes go on after the command has ended, and none of them fails.
rounds() { grep -c OK "$S/rounds"; }
more_rounds() { [ "$(rounds)" -ge "$1" ]; }
under_writes() {
    local writer rc=0
    sh_in "$1" 'rm -f /tmp/end; while [ ! -e /tmp/end ]; do dd if=/dev/urandom of=/data/u bs=64k count=4 conv=fsync 2> /dev/null && md5sum /data/u > /tmp/u.sum && md5sum -c /tmp/u.sum || exit 1; done' > "$S/rounds" 2>&1 &
    writer=$!
    eventually more_rounds 3 && "${@:2}" && eventually more_rounds $(($(rounds) + 3)) || rc=1
    sh_in "$1" 'touch /tmp/end'
    wait "$writer" && [ $rc = 0 ] || { tail -n 3 "$S/rounds"; return 1; }
    echo "$(rounds) rounds"
}
another_engine() { local pid; pid=$(engine_pid node1) && [ -n "$pid" ] && [ "$pid" != "$1" ]; }
# engine_killed NODE: kill -9 of the engine, below the volumes of that node; its kernel connects again.
engine_killed() {
    local pid before
    pid=$(engine_pid node1) && before=$(reconnects "$1") && kill_9 engine && eventually another_engine "$pid" || return
    eventually eval '[ "$(reconnects '"$1"')" -gt '"$before"' ]'
}
# engine_upgraded NODE: the engine is replaced, and that node's kernel has no reason to connect again.
engine_upgraded() {
    local pid before
    pid=$(engine_pid node1) && before=$(reconnects "$1") && upgrade_engine node1 && another_engine "$pid" && exactly "$before" reconnects "$1"
}
