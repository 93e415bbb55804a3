# SPDX-License-Identifier: Apache-2.0
# 64 volumes made, let in, attached and given up at once by litepool-csi. Run by tools/bench attach-64; named, not by itself: under emulation it takes most of a minute.
# with: csi.sh
# plane: yes
# suites: none
driver
FS=block
for i in $(seq 64); do echo "CreateVolume $(make_json m$i 16)"; done | many > /tmp/made
check "64 made at once" same "$(cut -d' ' -f1 /tmp/made | sort | uniq -c | tr -s ' ')" " 64 OK"
i=0
while read -r line; do i=$((i + 1)); id[m$i]=$(sed 's/.*"volume_id":"\([^"]*\)".*/\1/' <<< "$line"); done < /tmp/made
for i in $(seq 64); do echo "ControllerPublishVolume $(admit_json m$i)"; done | many > /tmp/admitted
check "64 let in at once" same "$(cut -d' ' -f1 /tmp/admitted | sort | uniq -c | tr -s ' ')" " 64 OK"
i=0
while read -r line; do i=$((i + 1)); context[m$i]=$(sed 's/.*"publish_context"://; s/}$//' <<< "$line" | to_map); done < /tmp/admitted
for i in $(seq 64); do echo "NodeStageVolume $(stage_json m$i)"; done > /tmp/stages
many < /tmp/stages > /tmp/staged
check "64 attached at once" same "$(cut -d' ' -f1 /tmp/staged | sort | uniq -c | tr -s ' ') $(n_devices)" " 64 OK 64"
grep -v ^OK /tmp/staged | head -5
cut -d' ' -f2 /tmp/staged | sort -n | awk '{ t[NR] = $1 } END { printf "# bench attach-64: volumes=%d total_ms=%d p50_ms=%d p99_ms=%d\n", NR, t[NR], t[int((NR + 1) / 2)], t[int(NR * 0.99 + 0.5)] }'
right() { local i; for i in $(seq 64); do grep -q "${id[m$i]##*:}" /sys/block/nvme*n1/device/subsysnqn || return 1; done; }
check "each its own" right
for i in $(seq 64); do echo "NodeUnstageVolume $(unstage_json m$i)"; done | many > /tmp/unstaged
check "64 detached at once" same "$(cut -d' ' -f1 /tmp/unstaged | sort | uniq -c | tr -s ' ') $(n_devices) $(n_ctrls)" " 64 OK 0 0"
# The yardstick: nvme-cli, one after the other.
start=$(cut -d' ' -f1 /proc/uptime)
for i in $(seq 64); do nvme connect -t tcp -a $B -s 4420 -n "nqn.2026-11.io.litepool:volume:${id[m$i]##*:}" > /dev/null 2>&1 || break; done
devices() { same "$(n_devices)" 64; }
check "64 by nvme-cli" wait_for 60 devices
awk -v a="$start" -v b="$(cut -d' ' -f1 /proc/uptime)" 'BEGIN { printf "# bench attach-64-nvme-cli: total_ms=%d\n", (b - a) * 1000 }'
nvme disconnect-all > /dev/null 2>&1
for i in $(seq 64); do echo "ControllerUnpublishVolume $(dismiss_json m$i)"; done | many > /tmp/dismissed
for i in $(seq 64); do echo "DeleteVolume {\"volume_id\":\"${id[m$i]}\"}"; done | many > /tmp/dropped
check "64 gone at once" same "$(cat /tmp/dismissed /tmp/dropped | cut -d' ' -f1 | sort | uniq -c | tr -s ' ') $(host count storagevolumes)" " 128 OK 0"
trouble
