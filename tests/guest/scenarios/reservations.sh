# SPDX-License-Identifier: Apache-2.0
# Reservations between two hosts (two host identities of this guest), with nvme-cli. Without native multipath, so that each host has
# its own device.
# kernel: nvme_core.multipath=N
setup disk vol 67108864 512
setup subsystem $NQN vol
h1="--hostnqn nqn.2014-08.org.nvmexpress:uuid:11111111-1111-1111-1111-111111111111 --hostid 11111111-1111-1111-1111-111111111111"
h2="--hostnqn nqn.2014-08.org.nvmexpress:uuid:22222222-2222-2222-2222-222222222222 --hostid 22222222-2222-2222-2222-222222222222"
check "host 1 connects" connect $h1
# By another address: Debian 12's nvme-cli does not look at the host in its search for duplicates.
setup listen $NQN $B
ADDR=$B
check "host 2 connects" connect $h2
has_ctrl() { [ -e /sys/class/nvme/nvme1 ] && live 1; }
check "two controllers" wait_for 20 has_ctrl
check "block devices" wait_for 20 block_dev
n1=/dev/nvme0n1 n2=/dev/nvme1n1
check "a device for each host" wait_for 20 [ -b $n2 ]
check "host 1 registers" nvme resv-register $n1 --nrkey=0x11 --rrega=0 -n 1
check "host 2 registers" nvme resv-register $n2 --nrkey=0x22 --rrega=0 -n 1
check "host 1 acquires write exclusive" nvme resv-acquire $n1 --crkey=0x11 --rtype=1 --racqa=0 -n 1
head -c 4096 /dev/urandom > /tmp/data
check "the holder writes" nvme write $n1 -s 0 -c 7 -z 4096 -d /tmp/data
refused "the other cannot write" nvme write $n2 -s 0 -c 7 -z 4096 -d /tmp/data
check "the other can read" nvme read $n2 -s 0 -c 7 -z 4096 -d /tmp/back
check "the report names the type" contains "$(nvme resv-report $n1 -n 1 -e 2>/dev/null || nvme resv-report $n1 -n 1 --eds)" "rtype"
check "host 2 preempts" nvme resv-acquire $n2 --crkey=0x22 --prkey=0x11 --rtype=1 --racqa=1 -n 1
refused "host 1 cannot write any more" nvme write $n1 -s 0 -c 7 -z 4096 -d /tmp/data
check "host 2 writes" nvme write $n2 -s 0 -c 7 -z 4096 -d /tmp/data
check "host 2 releases" nvme resv-release $n2 --crkey=0x22 --rtype=1 --rrela=0 -n 1
check "host 1 writes again" nvme write $n1 -s 0 -c 7 -z 4096 -d /tmp/data

# On a volume a reservation that was asked to persist outlives the engine: the volume's record has it.
setup pool 1073741824
setup lvol kept 67108864
setup add $NQN p/kept 2
dev_of() { local d; for d in /sys/block/nvme"$1"n*; do [ "$(cat "$d/nsid")" != "$2" ] || echo "/dev/${d##*/}"; done; }
both_have_it() { [ -b "$(dev_of 0 2)" ] && [ -b "$(dev_of 1 2)" ]; }
check "both hosts have the volume" wait_for 20 both_have_it
v1=$(dev_of 0 2) v2=$(dev_of 1 2)
check "host 1 registers for good" nvme resv-register $v1 --nrkey=0x11 --rrega=0 --cptpl=3 -n 2
check "host 2 registers" nvme resv-register $v2 --nrkey=0x22 --rrega=0 -n 2
check "host 1 acquires write exclusive" nvme resv-acquire $v1 --crkey=0x11 --rtype=1 --racqa=0 -n 2
holder_writes() { nvme write $v1 -s 0 -c 0 -z 4096 -d /tmp/data; }
conflict() { nvme write $v2 -s 0 -c 0 -z 4096 -d /tmp/data 2>&1 | grep -qi 'reservation.conflict'; }
check "the other is told of the conflict" conflict
check "the engine dies and comes back" host restart
check "the holder writes" wait_for 60 holder_writes
check "the other is told of the conflict, as before" wait_for 60 conflict
check "the holder releases" nvme resv-release $v1 --crkey=0x11 --rtype=1 --rrela=0 -n 2
check "the other writes" nvme write $v2 -s 0 -c 0 -z 4096 -d /tmp/data
EXPECT_DMESG='nvme\|reservation\|I/O error'
