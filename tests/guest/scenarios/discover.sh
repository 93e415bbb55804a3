# SPDX-License-Identifier: Apache-2.0
# nvme-cli finds, connects, and reads every page a host asks for.
setup disk vol 134217728 512
setup subsystem $NQN vol
setup rpc nvmf_create_subsystem '{"nqn":"nqn.2026-11.io.litepool:closed","allow_any_host":false}'
setup listen nqn.2026-11.io.litepool:closed $A
setup rpc nvmf_subsystem_add_listener '{"nqn":"nqn.2014-08.org.nvmexpress.discovery","listen_address":{"trtype":"TCP","adrfam":"IPv4","traddr":"10.99.0.1","trsvcid":"8009"}}'

log=$(nvme discover -t tcp -a $A -s 8009 2>&1)
check "discovery on port 8009 names the subsystem" contains "$log" "$NQN"
check "discovery tells the address" contains "$log" "traddr:  $A"
check "discovery hides what this host may not use" same "$(grep -c 'litepool:closed' <<< "$log")" 0
log=$(nvme discover -t tcp -a $A -s 4420 2>&1)
check "discovery on the I/O port works too" contains "$log" "$NQN"

check "connect-all connects what discovery lists" nvme connect-all -t tcp -a $A -s 8009
any_device() { ls /dev/nvme*n1; }
check "a block device appears" wait_for 20 any_device
check "disconnect takes one controller away" contains "$(nvme disconnect -n $NQN)" "disconnected 1"
no_device() { ! any_device; }
check "the device goes" wait_for 20 no_device

refused "a subsystem with an allow-list refuses this host" nvme connect -t tcp -a $A -s 4420 -n nqn.2026-11.io.litepool:closed
check "the kernel says why" contains "$(dmesg | tail -5)" "Connect"
refused "an unknown subsystem is refused" nvme connect -t tcp -a $A -s 4420 -n nqn.2026-11.io.litepool:nobody
setup rpc nvmf_subsystem_add_host "{\"nqn\":\"nqn.2026-11.io.litepool:closed\",\"host\":\"$(cat /etc/nvme/hostnqn)\"}"
check "once on the list it connects" nvme connect -t tcp -a $A -s 4420 -n nqn.2026-11.io.litepool:closed
check "and disconnects" nvme disconnect -n nqn.2026-11.io.litepool:closed

check "connect" connect
check "block device" wait_for 20 block_dev
c=/dev/nvme0 n=/dev/nvme0n1
check "id-ctrl" contains "$(nvme id-ctrl $c)" "$NQN"
check "id-ctrl model" contains "$(nvme id-ctrl $c)" "LitePool"
check "id-ns" contains "$(nvme id-ns $n)" "nsze    : 0x40000"
check "ns-descs has NGUID" contains "$(nvme ns-descs $n)" "nguid"
check "ns-descs has UUID" contains "$(nvme ns-descs $n)" "uuid"
check "list-ns" contains "$(nvme list-ns $c)" "0x1"
check "list-ns --all" contains "$(nvme list-ns $c --all)" "0x1"
check "list-ctrl" nvme list-ctrl $c
check "nvm-id-ctrl" nvme nvm-id-ctrl $c
check "cmdset-ind-id-ns" nvme cmdset-ind-id-ns $n -n 1
check "smart-log" contains "$(nvme smart-log $c)" "critical_warning"
check "error-log" nvme error-log $c
check "fw-log" nvme fw-log $c
check "changed-ns-list-log" nvme changed-ns-list-log $c
check "effects-log" contains "$(nvme effects-log $c --csi=0)" "Read"
check "ana-log" contains "$(nvme ana-log $c)" "optimized"
check "supported-log-pages" nvme supported-log-pages $c
check "get-feature number of queues" nvme get-feature $c -f 7
check "get-feature volatile write cache" contains "$(nvme get-feature $c -f 6)" "00000001"
check "get-feature async event" nvme get-feature $c -f 0x0b
check "get-feature keep alive" nvme get-feature $c -f 0x0f
check "show-regs" contains "$(nvme show-regs $c)" "csts"
refused "an opcode that does not exist" nvme admin-passthru $c -o 0xc7
check "the write cache is reported" contains "$(cat /sys/block/nvme0n1/queue/write_cache)" "write back"
check "flush" nvme flush $n
check "write-zeroes" nvme write-zeroes $n -s 0 -c 15
check "dsm deallocate" nvme dsm $n -d -s 0 -b 16
check "verify" nvme verify $n -s 0 -c 7
head -c 4096 /dev/urandom > /tmp/data
check "write by passthru" nvme write $n -s 100 -c 7 -z 4096 -d /tmp/data
nvme read $n -s 100 -c 7 -z 4096 -d /tmp/back > /dev/null 2>&1
check "read gives it back" cmp /tmp/data /tmp/back
check "compare with the same data" nvme compare $n -s 100 -c 7 -z 4096 -d /tmp/data
head -c 4096 /dev/urandom > /tmp/other
refused "compare with other data fails" nvme compare $n -s 100 -c 7 -z 4096 -d /tmp/other
refused "read past the end is refused" nvme read $n -s 262144 -c 0 -z 512 -d /tmp/back
check "nvme list shows it" contains "$(nvme list)" "nvme0n1"
EXPECT_DMESG='nvme0[cn0-9]*: .*LBA\|Compare\|I/O error'
