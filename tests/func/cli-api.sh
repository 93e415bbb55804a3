#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# litepool on objects of the API: tables and formats, create, set, expand, label, impact and consent, attach and detach, watch, events, top, dump,
# explain. The API server is real; status is written by the test as an agent would, so that each state can be shown.
. "${LITEPOOL_SOURCE:?}/tests/func/controller-lib.sh"
say() { "$cli_bin" --server "unix:$api" --timeout 20 "$@"; }
status() { code 200 PATCH "/apis/litepool.io/v1alpha1/$1/status" "{\"status\":$2}" application/merge-patch+json; }
out() { "$@" > "$work/got" 2>&1 || { cat "$work/got"; return 1; }; }
prints() { local pattern=$1; shift; out "$@" && { grep -qE -- "$pattern" "$work/got" || { echo "no /$pattern/ in:"; cat "$work/got"; return 1; }; }; }

refused "without a server it says how to start one" "no API server|Is it running" "$cli_bin" --server "unix:$work/none.sock" volume list
check "starts" start_controller
check "an empty list says so" prints '^No volumes' say volume list
refused "what is missing is named" "SIZE is missing" say volume create a
refused "a bad object is refused with the field" "spec.size" say volume create a 1k
refused "what is not there" "there is no StorageVolume nope" say volume show nope

node='{"metadata":{"name":"n1"},"spec":{"hostNQN":"nqn.2014-08.org.nvmexpress:uuid:00000000-0000-4000-8000-000000000001","addresses":["192.0.2.1"]}}'
check "a node" code 201 POST $nodes "$node"
check "another" code 201 POST $nodes "${node//n1/n2}"
check "a pool is made" prints 'pool/p1 created' say pool create p1 --node n1 --file /srv/p1.img --size 10G --labels tier=fast
refused "twice is told" "is there already" say pool create p1 --node n1 --file /srv/p1.img --size 10G
check "its status" status storagepools/p1 '{"health":"Healthy","capacity":10737418240,"free":9663676416,"allocated":1073741824,"committed":2147483648}'
check "the table has sizes for people" prints 'p1 +n1 +Healthy +Schedulable +10 GiB +1 GiB +2 GiB +9 GiB' say pool list
check "by label" prints 'p1' say pool list --selector tier=fast
check "none by another" prints '^No pools' say pool list --selector tier=slow
check "names" prints '^pool/p1$' say -o name pool list
check "yaml" prints '^  nodeName: "?n1' say -o yaml pool show p1
check "json" eval 'say -o json pool list | json "j[\"items\"][0][\"spec\"][\"device\"][\"file\"]" | finds -x /srv/p1.img'
check "wide" prints '/srv/p1.img' say -o wide pool list
refused "an unknown format" "expected table, wide" say -o xml pool list

check "a volume" prints 'volume/v1 created' say volume create v1 1G --iops 500 --pool-selector tier=fast --allow n1,n2
check "its members are where they belong" eval 'say -o json volume show v1 | json "(j[\"spec\"][\"size\"],j[\"spec\"][\"qos\"][\"iops\"],j[\"spec\"][\"poolSelector\"][\"tier\"],len(j[\"spec\"][\"allowedNodes\"]))" | finds -x "(1073741824, 500, .fast., 2)"'
refused "waiting ends with the reason" "waited 2 s for volume v1" say --timeout 2 volume expand v1 2G --wait
refused "it does not shrink" "only become larger" say volume expand v1 1G
check "placed" status storagevolumes/v1 '{"phase":"Ready","poolName":"p1","nodeName":"n1","size":2147483648,"allocated":1048576,"targets":[{"address":"192.0.2.1","port":4420,"nqn":"nqn.2026-11.io.litepool:volume:x","nsid":1}]}'
check "waiting ends at the state" prints 'expanded' say volume expand v1 2G --wait
check "labels are set" prints labeled say volume label v1 app=db,x=y
check "and taken away" prints labeled say volume label v1 x-
check "as told" eval 'say -o json volume show v1 | json "j[\"metadata\"][\"labels\"]" | finds -x "{.app.: .db.}"'
check "show in words" prints 'wanted:' say volume show v1
check "explain asks the API" prints 'p1' say explain volume v1
check "top" prints 'nodes: 0 of 2 ready' say top --batch
check "a snapshot" prints created say snapshot create s1 v1

check "attach waits for the engine" eval 'say attach v1 --node n1 --no-device > "$work/attach" 2>&1 & echo $! > "$work/attach.pid"'
check "it is declared" wait_for eval 'say -o json volume show v1 | finds "\"attachedNodes\""'
check "that it is used is noted before: nothing formats it from now on" same "$(say -o json volume show v1 | json 'j["status"]["format"]["state"], j["status"]["format"]["fs"]')" "Done raw"
check "the agent lets it in" status storagevolumes/v1 '{"attachedNodes":["n1"]}'
check "attach ends" eval 'wait $(cat "$work/attach.pid") && grep -q "lets n1 in" "$work/attach"'
refused "elsewhere: not without a word" "is attached to n1.*--move" say attach v1 --node n2 --no-device
refused "an attached volume is not deleted" "Detach it first" say volume delete v1 --accept-volume-loss v1
check "its impact" prints 'it is attached to n1' say volume delete v1 --show-impact
(say detach v1 --node n1 > "$work/detach" 2>&1) &
detach_pid=$!
check "the agent lets it go" eval 'wait_for eval "say -o json volume show v1 | json \"len(j[\\\"spec\\\"].get(\\\"attachedNodes\\\",[]))\" | finds -x 0" && status storagevolumes/v1 "{\"attachedNodes\":[],\"observedGeneration\":99}"'
check "detach ends" wait $detach_pid
# An agent may have let a node in and died before it said so: only what it says of the volume as it is counts.
check "the agent has not looked at it yet" status storagevolumes/v1 '{"attachedNodes":[],"observedGeneration":1}'
refused "detach waits for that" "its agent has not looked at it yet" say --timeout 1 detach v1 --node n1
check "the node that serves it is lost" status storagenodes/n1 '{"conditions":[{"type":"Ready","status":"Unknown","reason":"NodeLost"}]}'
check "detach does not wait for it" prints 'is detached from n1' say detach v1 --node n1
check "it had told that the node is in" status storagevolumes/v1 '{"attachedNodes":["n1"]}'
refused "then it says that nobody can know, at once" "node n1, which serves the volume, is lost.*thrown out as soon as" say --timeout 600 detach v1 --node n1
check "that node is back" eval 'status storagenodes/n1 "{\"conditions\":[]}" && status storagevolumes/v1 "{\"attachedNodes\":[],\"observedGeneration\":99}"'
check "and detached" prints 'is detached from n1' say detach v1 --node n1
refused "no node of that name" "no node nope" say attach v1 --node nope

refused "deletion needs consent" "accept-volume-loss=v1" say volume delete v1
refused "of the right name" "names another object" say volume delete v1 --accept-volume-loss=v2
refused "a pool with a volume, too" "accept-volume-loss=p1" say pool delete p1
check "node and pool tell theirs" prints 'holds 1 volumes whose data are lost: v1' say node delete n1 --show-impact
check "cordon" prints 'takes no new volumes' say node cordon n1
check "is declared" prints 'Cordoned' say pool list
check "drain says what it means" prints '1 volumes and 0 snapshots have to leave' say pool drain p1 --show-impact
check "and that nothing takes it" prints 'volume v1: ' say pool drain p1 --show-impact
refused "so it is refused" "pool p1 is not drained, and nothing was changed: nothing takes 1 of its volumes" say pool drain p1
refused "with the reason" "volume v1: .*(p1|pools)" say node drain n1
check "nothing was changed" prints 'p1 +n1 +Healthy +Cordoned' say pool list
check "another pool" prints 'created' say pool create p2 --node n2 --file /srv/p2.img --size 10G --labels tier=fast
check "on a node that is there" status storagenodes/n2 '{"conditions":[{"type":"Ready","status":"True","reason":"EngineRuns","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}'
check "which is open" status storagepools/p2 '{"health":"Healthy","capacity":10737418240,"free":10737418240,"allocated":0,"committed":0,"conditions":[{"type":"Ready","status":"True","reason":"Open","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}'
check "takes it" prints 'volume v1 .2 GiB. could be made anew on pool p2 of node n2' say node drain n1 --show-impact
check "so it is declared, and what has to be done is said" prints 'This version moves no volumes' say node drain n1
check "as Draining" prints 'p1 +n1 +Healthy +Draining' say pool list
check "two that do not fit together are not promised the same space" eval 'out say volume create v2 9G --pool-selector tier=fast && status storagevolumes/v2 "{\"phase\":\"Ready\",\"poolName\":\"p1\",\"nodeName\":\"n1\",\"size\":9663676416}"'
refused "but told" "nothing takes 1 of its volumes" say pool drain p1
check "the one that hinders goes" eval 'out say volume delete v2 --accept-volume-loss=v2'
check "uncordon" prints 'takes volumes' say pool uncordon p1
"$cli_bin" --server "unix:$api" volume list --watch > "$work/watch" 2>&1 &
watch_pid=$!
check "watch shows what is there" wait_for grep -q v1 "$work/watch"
check "with consent it goes" prints 'will be deleted' say volume delete v1 --accept-volume-loss=v1
check "a volume that holds nothing goes without" eval 'out say volume create empty 1G && out say volume delete empty --wait'
check "watch shows what comes and goes" wait_for grep -q 'empty *deleted' "$work/watch"
kill -INT $watch_pid
check "and ends when interrupted" wait $watch_pid
check "the pool goes with what it holds" prints 'will be deleted' say pool delete p1 --accept-volume-loss=p1
check "a node" prints 'deleted' say node delete n2 --wait
check "events are listed" out say events --for pool/p1
refused "of a noun that there is" "expected a noun" say events --for thing/p1
printf 'hello\n' > "$work/some.log"
check "dump" prints 'no secrets that we know of' say dump "$work/dump.json" --log "$work/some.log"
check "it is JSON with everything" eval 'json "sorted(j)" < "$work/dump.json" | finds "engine.*logs.*machine.*objects"'
check "for its owner alone" test "$(stat -c %a "$work/dump.json")" = 600
refused "not over a file that is there" "give a name that is free" say dump "$work/dump.json"
check "stops" stop_controller
done_testing
