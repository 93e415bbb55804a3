#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every method refuses bad parameters with a code and a text, and nothing changes by it.
. "$(dirname "$0")/lib.sh"
nqn=nqn.2025-01.io.litepool:errors
check "start" start_engine
config() { rpc save_config; }

# Each method with a member that it cannot know.
for method in $(rpc rpc_get_methods | json '" ".join(j)'); do
    refused "$method refuses an unknown member" "no_such_member|parameters|only be called" rpc "$method" '{"no_such_member":1}'
done
empty=$(config)
bad() { # bad METHOD PARAMS PATTERN
    refused "$1 $2" "$3" rpc "$1" "$2"
}
bad bdev_null_create '{"name":"n"}' num_blocks
bad bdev_null_create '{"name":"n","num_blocks":0,"block_size":512}' num_blocks
bad bdev_null_create '{"name":"n","num_blocks":10,"block_size":513}' block
bad bdev_null_create '{"name":"","num_blocks":10,"block_size":512}' name
bad bdev_null_create '{"name":"a b","num_blocks":10,"block_size":512}' name
bad bdev_null_create '{"name":7,"num_blocks":10,"block_size":512}' name
bad bdev_null_create '{"name":"n","num_blocks":10,"block_size":512,"uuid":"x"}' uuid
bad bdev_malloc_create '{"num_blocks":-1,"block_size":512}' num_blocks
bad bdev_malloc_create '{"num_blocks":1125899906842624,"block_size":4096}' .
bad bdev_aio_create '{"name":"a"}' filename
bad bdev_aio_create '{"name":"a","filename":"relative"}' absolute
bad bdev_aio_create "{\"name\":\"a\",\"filename\":\"$work/nothing\"}" "truncate -s"
bad bdev_aio_create "{\"name\":\"a\",\"filename\":\"$work\"}" .
bad bdev_aio_delete '{"name":"a"}' "no block device"
bad bdev_aio_rescan '{"name":"a"}' "no block device"
bad bdev_get_bdevs '{"name":"a"}' "no block device"
bad bdev_get_iostat '{"name":"a"}' "no block device"
bad bdev_set_qos_limit '{"name":"a"}' "no limit"
bad bdev_set_qos_limit '{"name":"a","rw_ios_per_sec":5}' "no block device"
bad bdev_set_qos_limit '{"name":"a","rw_ios_per_sec":-5}' rw_ios_per_sec
bad framework_get_config '{"name":"sock"}' "bdev and nvmf"
bad load_config '{"subsystems":[{"subsystem":"bdev","config":[{"method":"nonsense"}]}]}' "entry 1, nonsense"
bad load_config '{"subsystems":3}' subsystems
bad nvmf_create_transport '{"trtype":"RDMA"}' TCP
bad nvmf_create_transport '{"trtype":"TCP","in_capsule_data_size":100}' in_capsule
bad nvmf_create_transport '{"trtype":"TCP","max_queue_depth":15}' "16 to 4096|16"
bad nvmf_create_transport '{"trtype":"TCP","max_queue_depth":4097}' "16 to 4096|4096"
bad nvmf_create_subsystem '{}' nqn
bad nvmf_create_subsystem '{"nqn":"wrong"}' .
bad nvmf_create_subsystem "{\"nqn\":\"$nqn\",\"serial_number\":\"123456789012345678901\"}" serial
bad nvmf_create_subsystem "{\"nqn\":\"$nqn\",\"max_namespaces\":100000}" .
bad nvmf_create_subsystem "{\"nqn\":\"$nqn\",\"min_cntlid\":9,\"max_cntlid\":3}" range
bad nvmf_delete_subsystem "{\"nqn\":\"$nqn\"}" "Unable to find subsystem"
bad nvmf_get_subsystems "{\"nqn\":\"$nqn\"}" "no subsystem"
bad nvmf_subsystem_add_ns "{\"nqn\":\"$nqn\",\"namespace\":{\"bdev_name\":\"a\"}}" "Unable to find subsystem"
bad nvmf_subsystem_add_listener "{\"nqn\":\"$nqn\",\"listen_address\":{\"traddr\":\"127.0.0.1\"}}" "Unable to find subsystem"
bad litepool_log_set_level '{"level":"loud"}' "debug"
bad litepool_fault_create '{"name":"f","base":"a"}' "no such block device"
bad litepool_config_forget '{"id":1}' "no failed entry"
bad no_such_method '{}' "not found"
check "nothing was changed" same "$(config)" "$empty"

check "subsystem" lp subsystem create $nqn --max-namespaces 4
check "device" lp bdev create-null n0 1G
full=$(config)
bad nvmf_create_subsystem "{\"nqn\":\"$nqn\"}" .
bad bdev_null_create '{"name":"n0","num_blocks":10,"block_size":512}' "exists already"
bad nvmf_subsystem_add_ns "{\"nqn\":\"$nqn\",\"namespace\":{\"bdev_name\":\"a\"}}" "no block device"
bad nvmf_subsystem_add_ns "{\"nqn\":\"$nqn\",\"namespace\":{\"bdev_name\":\"n0\",\"nguid\":\"12\"}}" nguid
bad nvmf_subsystem_add_ns "{\"nqn\":\"$nqn\",\"namespace\":{\"bdev_name\":\"n0\",\"nsid\":5}}" .
bad nvmf_subsystem_add_ns "{\"nqn\":\"$nqn\",\"namespace\":3}" namespace
bad nvmf_subsystem_remove_ns "{\"nqn\":\"$nqn\",\"nsid\":1}" .
bad nvmf_subsystem_add_listener "{\"nqn\":\"$nqn\",\"listen_address\":{\"traddr\":\"127.0.0.1\",\"trsvcid\":\"0\"}}" nvmf_create_transport
bad bdev_aio_delete '{"name":"n0"}' "bdev_null_create"
bad bdev_aio_rescan '{"name":"n0"}' "fixed"
bad litepool_fault_add '{"name":"n0","kind":"error"}' "fault"
bad nvmf_subsystem_remove_host "{\"nqn\":\"$nqn\",\"host\":\"nqn.2014-08.org.x:h\"}" .
check "still nothing was changed" same "$(config)" "$full"

check "transport" rpc nvmf_create_transport '{"trtype":"TCP"}'
check "namespace" lp ns add $nqn n0
refused "a device in use is not deleted, and the user is named" "in use by namespace 1 of $nqn" lp bdev delete n0
bad nvmf_create_transport '{"trtype":"TCP"}' "already exists"
for address in '{"traddr":"host.example","trsvcid":"0"}' '{"traddr":"127.0.0.1","trsvcid":"99999"}' '{"traddr":"127.0.0.1","trsvcid":"0","adrfam":"IPv6"}' \
    '{"traddr":"192.0.2.77","trsvcid":"0"}' '{"trsvcid":"0"}' '{"traddr":"127.0.0.1","trtype":"RDMA"}'; do
    bad nvmf_subsystem_add_listener "{\"nqn\":\"$nqn\",\"listen_address\":$address}" .
done
check "listener" lp listener add $nqn 127.0.0.1:0
port=$(port_of $nqn)
bad nvmf_subsystem_add_listener "{\"nqn\":\"$nqn\",\"listen_address\":{\"traddr\":\"127.0.0.1\",\"trsvcid\":\"$port\"}}" already
refused "ANA states are checked" "optimized, non_optimized or inaccessible" lp listener ana $nqn 127.0.0.1:"$port" broken
refused "so are ANA groups" . lp listener ana $nqn 127.0.0.1:"$port" inaccessible --group 99
check "second subsystem on the same port" lp subsystem create $nqn-2
check "listens there too" lp listener add $nqn-2 127.0.0.1:"$port"
check "the first leaves" lp listener remove $nqn 127.0.0.1:"$port"
check "the socket stays for the second" same "$(port_of $nqn-2)" "$port"
check "delete it" lp subsystem delete $nqn-2
check "and the port is free for another" lp listener add $nqn 127.0.0.1:"$port"
check "stop" stop_engine
done_testing
