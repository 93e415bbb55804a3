#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""plane.py LITEPOOL-CSI-FILES LITEPOOL-CONTROLLER CSI.PROTO: what csi-sanity does not ask of the real backend: fencing between nodes, room, groups, records of copies, topology,
capacity, and that the driver keeps nothing: it is killed with -9 between each two calls, and calls are repeated. TAP. Agents and controller are standin.py's."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

try:
    import grpc
    import google.protobuf  # noqa: F401
except ImportError:
    print("1..0 # SKIP python3-grpcio or python3-protobuf is not installed")
    sys.exit(0)

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
from standin import Api  # noqa: E402

work = tempfile.mkdtemp()
proto = os.path.dirname(os.path.abspath(sys.argv[3]))
subprocess.run(["protoc", "-I", proto, "-I", "/usr/include", "--python_out=" + work, "csi.proto"], check=True)
sys.path.insert(0, work)
import csi_pb2 as pb  # noqa: E402

MIB, GIB = 1 << 20, 1 << 30
processes, N = [], 0


def start(name, *argv):
    process = subprocess.Popen(argv, stdout=open(f"{work}/{name}.log", "ab"), stderr=subprocess.STDOUT)
    processes.append(process)
    return process


def wait_until(what, test):
    for _ in range(600):
        if test():
            return
        time.sleep(0.05)
    raise AssertionError("waited in vain: " + what)


class Driver:
    """Starts anew, after kill -9, before each call."""

    def __init__(self):
        self.process, self.n = None, 0

    def restart(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            processes.remove(self.process)
        self.n += 1
        path = f"{work}/s{self.n}"  # there a moment before it is listened on: calls wait for that
        self.process = start("driver", sys.argv[1], work + "/volumes", "--endpoint", "unix://" + path, "--node-id", "node1", "--server", f"unix:{work}/api")
        wait_until("the driver's socket", lambda: os.path.exists(path))
        self.channel = grpc.insecure_channel("unix://" + path)

    def call(self, service, name, request, kill=True):
        if kill:
            self.restart()
        answer = getattr(pb, name + "Response")
        return self.channel.unary_unary(f"/csi.v1.{service}/{name}", type(request).SerializeToString, answer.FromString)(request, timeout=60, wait_for_ready=True)

    def code(self, *args):
        try:
            self.call(*args)
        except grpc.RpcError as e:
            assert e.details(), "an error without a message"
            return e.code().name, e.details()
        return "OK", ""


driver = Driver()


def cap(mode=1, block=False):
    c = pb.VolumeCapability(access_mode=pb.VolumeCapability.AccessMode(mode=mode))
    (c.block if block else c.mount).SetInParent()
    return c


def create(name, size=64 * MIB, kill=True, **more):
    request = pb.CreateVolumeRequest(name=name, capacity_range=pb.CapacityRange(required_bytes=size), volume_capabilities=[cap()], **more)
    return driver.call("Controller", "CreateVolume", request, kill).volume


def publish(volume, node, mode=1, block=False):
    return driver.code("Controller", "ControllerPublishVolume", pb.ControllerPublishVolumeRequest(
        volume_id=volume.volume_id, node_id=node, volume_capability=cap(mode, block)))


def unpublish(volume, node):
    return driver.code("Controller", "ControllerUnpublishVolume", pb.ControllerUnpublishVolumeRequest(volume_id=volume.volume_id, node_id=node))[0]


def obj(plural, name):
    return api.call("GET", plural + "/" + name)[1]


def name_of(volume):
    return volume.volume_id.split(":")[0]


def delete(volume):
    return driver.code("Controller", "DeleteVolume", pb.DeleteVolumeRequest(volume_id=volume.volume_id))[0]


def check(text):
    def run(fn):
        global N
        N += 1
        try:
            fn()
            print(f"ok {N} - {text}", flush=True)
        except Exception:  # noqa: BLE001
            print(f"not ok {N} - {text}\n# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
            for line in open(work + "/driver.log", errors="replace").readlines()[-4:]:
                print("# " + line.rstrip())
            check.failed = True
    return run


check.failed = False
os.mkdir(work + "/volumes")
start("api", sys.argv[2], "--embedded", "--api-only", "--state-dir", work + "/state", "--socket", work + "/api")
wait_until("the API", lambda: b"controller.serves" in open(work + "/api.log", "rb").read())
start("standin", sys.executable, HERE + "/standin.py", work + "/api", work + "/volumes", "--node", "node1", "--node", "node2", "--capacity", str(10 * GIB))
wait_until("the stand-in", lambda: b"ready" in open(work + "/standin.log", "rb").read())
api = Api(work + "/api")


@check("a volume is made once, its id stays, its size is exact")
def _():
    a, b = create("pvc-a", 64 * MIB + 4096), create("pvc-a", 64 * MIB + 4096)
    assert a.volume_id == b.volume_id and a.capacity_bytes == 64 * MIB + 4096, (a, b)
    assert delete(a) == "OK" and delete(a) == "OK"


@check("a volume of the same name is another one")
def _():
    a = create("pvc-a")
    assert delete(a) == "OK"
    b = create("pvc-a")
    assert a.volume_id != b.volume_id
    assert driver.code("Controller", "ControllerGetVolume", pb.ControllerGetVolumeRequest(volume_id=a.volume_id))[0] == "NOT_FOUND"
    assert delete(a) == "OK" and obj("storagevolumes", "pvc-a")["metadata"]["uid"] in b.volume_id
    assert delete(b) == "OK"


@check("one node at a time: the second waits until the first is out, and the message names it")
def _():
    v = create("pvc-fence")
    assert publish(v, "node1")[0] == "OK" and publish(v, "node1")[0] == "OK"
    code, why = publish(v, "node2")
    assert code == "FAILED_PRECONDITION" and "node1" in why, (code, why)
    assert delete(v) == "FAILED_PRECONDITION"
    assert publish(v, "node1", mode=5, block=True)[0] == "ALREADY_EXISTS"
    assert unpublish(v, "node2") == "OK" and obj("storagevolumes", "pvc-fence")["status"]["attachedNodes"] == ["node1"]
    assert unpublish(v, "node1") == "OK" and unpublish(v, "node1") == "OK"
    assert not obj("storagevolumes", "pvc-fence")["status"]["attachedNodes"]
    assert publish(v, "node2")[0] == "OK" and unpublish(v, "") == "OK" and delete(v) == "OK"


@check("a node that the agent has not let go yet keeps others out")
def _():
    v = create("pvc-slow")
    assert publish(v, "node1")[0] == "OK"
    standin = processes[1]
    standin.send_signal(signal.SIGSTOP)
    driver.restart()
    call = driver.channel.unary_unary("/csi.v1.Controller/ControllerUnpublishVolume", pb.ControllerUnpublishVolumeRequest.SerializeToString,
                                      pb.ControllerUnpublishVolumeResponse.FromString).future(
        pb.ControllerUnpublishVolumeRequest(volume_id=v.volume_id, node_id="node1"), timeout=60, wait_for_ready=True)
    wait_until("the wish", lambda: not obj("storagevolumes", "pvc-slow")["spec"].get("attachedNodes"))
    assert not call.done()
    code, why = publish(v, "node2")
    assert code == "FAILED_PRECONDITION" and "still has it" in why, (code, why)
    standin.send_signal(signal.SIGCONT)
    assert unpublish(v, "node1") == "OK" and publish(v, "node2")[0] == "OK" and unpublish(v, "node2") == "OK" and delete(v) == "OK"


@check("an agent that has not looked at the volume as it is may have let the node in and died before it said so: that is waited for, unless its node is lost")
def _():
    v, standin = create("pvc-silent"), processes[1]
    standin.send_signal(signal.SIGSTOP)
    api.patch("storagevolumes", obj("storagevolumes", "pvc-silent"), {"spec": {"attachedNodes": ["node1"]}})
    driver.restart()
    call = driver.channel.unary_unary("/csi.v1.Controller/ControllerUnpublishVolume", pb.ControllerUnpublishVolumeRequest.SerializeToString,
                                      pb.ControllerUnpublishVolumeResponse.FromString).future(
        pb.ControllerUnpublishVolumeRequest(volume_id=v.volume_id, node_id="node1"), timeout=60, wait_for_ready=True)
    wait_until("the wish", lambda: not obj("storagevolumes", "pvc-silent")["spec"].get("attachedNodes"))
    try:
        call.result(timeout=1)
        raise AssertionError("it ended without the agent")
    except grpc.FutureTimeoutError:
        pass
    node = obj("storagenodes", obj("storagevolumes", "pvc-silent")["status"]["nodeName"])
    api.patch("storagenodes", node, {"status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "NodeLost"}]}}, "/status")
    call.result()
    api.patch("storagenodes", obj("storagenodes", node["metadata"]["name"]), {"status": node["status"]}, "/status")
    standin.send_signal(signal.SIGCONT)
    assert unpublish(v, "node1") == "OK" and delete(v) == "OK"


@check("several nodes share a raw block device, and do not let in one who does not share")
def _():
    v = create("pvc-rwx")
    assert publish(v, "node1", 5, True)[0] == "OK" and publish(v, "node2", 5, True)[0] == "OK"
    assert sorted(obj("storagevolumes", "pvc-rwx")["status"]["attachedNodes"]) == ["node1", "node2"]
    assert unpublish(v, "node1") == "OK" and publish(v, "node1")[0] == "FAILED_PRECONDITION"
    assert unpublish(v, "") == "OK" and delete(v) == "OK"


@check("without room: refused with the reason, nothing left behind, and made elsewhere later")
def _():
    try:
        create("pvc-big", 20 * GIB)
        raise AssertionError("it was made")
    except grpc.RpcError as e:
        assert e.code().name == "RESOURCE_EXHAUSTED" and "commit limit" in e.details(), e
    assert obj("storagevolumes", "pvc-big").get("code") == 404
    assert delete(create("pvc-big", GIB)) == "OK"


@check("data that may only be used where they are are put there, and the volume says so")
def _():
    where = pb.TopologyRequirement(preferred=[pb.Topology(segments={"topology.litepool.io/node": "node2"})])
    v = create("pvc-here", parameters={"access": "node"}, accessibility_requirements=where)
    assert obj("storagevolumes", "pvc-here")["status"]["nodeName"] == "node2"
    assert dict(v.accessible_topology[0].segments) == {"topology.litepool.io/node": "node2"}
    assert delete(v) == "OK"
    v = create("pvc-any", accessibility_requirements=where)
    assert not v.accessible_topology and delete(v) == "OK"
    v = create("pvc-follow", parameters={"access": "node"})  # nobody says where pods will be: they go where it is
    there = obj("storagevolumes", "pvc-follow")["status"]["nodeName"]
    assert there and dict(v.accessible_topology[0].segments) == {"topology.litepool.io/node": there}
    assert create("pvc-follow", parameters={"access": "node"}).volume_id == v.volume_id and delete(v) == "OK"
    for refused in ({"parameters": {"position": "MustLocal"}},
                    {"parameters": {"access": "node"}, "accessibility_requirements": pb.TopologyRequirement(requisite=[pb.Topology(segments={"topology.litepool.io/zone": "z"})])}):
        try:
            create("pvc-nowhere", **refused)
            raise AssertionError("it was made")
        except grpc.RpcError as e:
            assert e.code().name == "INVALID_ARGUMENT" and "WaitForFirstConsumer" in e.details(), e


@check("a volume knows its claim, by the annotation that the agent's metrics read")
def _():
    v = create("pvc-claim", parameters={"csi.storage.k8s.io/pvc/name": "data-0", "csi.storage.k8s.io/pvc/namespace": "shop"})
    assert obj("storagevolumes", "pvc-claim")["metadata"]["annotations"]["csi.litepool.io/claim"] == "shop/data-0"
    assert delete(v) == "OK"


@check("of an lvm pool their node gets the device itself, and while it has that nobody else may have them")
def _():
    where = pb.TopologyRequirement(preferred=[pb.Topology(segments={"topology.litepool.io/node": "node2"})])
    v = create("pvc-path", parameters={"access": "node", "engine": "lvm"}, accessibility_requirements=where)
    assert obj("storagevolumes", "pvc-path")["metadata"]["labels"]["litepool.io/local-path"] == "true"
    request = pb.ControllerPublishVolumeRequest(volume_id=v.volume_id, node_id="node2", volume_capability=cap())
    told = [dict(driver.call("Controller", "ControllerPublishVolume", request).publish_context) for _ in range(2)]
    assert told == [{"devicePath": "/dev/litepool-11111111-2222-4333-8444-555555555555/vol-" + v.volume_id.split(":")[1]}] * 2, told
    assert publish(v, "node1")[0] == "FAILED_PRECONDITION"
    assert unpublish(v, "node2") == "OK" and delete(v) == "OK"
    v = create("pvc-net", parameters={"access": "node"}, accessibility_requirements=where)
    assert "litepool.io/local-path" not in obj("storagevolumes", "pvc-net")["metadata"].get("labels", {})
    assert publish(v, "node2")[0] == "OK" and unpublish(v, "node2") == "OK" and delete(v) == "OK"


@check("capacity: of all pools, or of the node when data must be there")
def _():
    both = driver.call("Controller", "GetCapacity", pb.GetCapacityRequest())
    assert both.available_capacity == 20 * GIB and both.maximum_volume_size.value == 10 * GIB, both
    at = pb.Topology(segments={"topology.litepool.io/node": "node2"})
    assert driver.call("Controller", "GetCapacity", pb.GetCapacityRequest(parameters={"access": "node"}, accessible_topology=at)).available_capacity == 10 * GIB
    assert driver.call("Controller", "GetCapacity", pb.GetCapacityRequest(parameters={"engine": "lvm"})).available_capacity == 0


def set_format(volume, record):
    there = obj("storagevolumes", name_of(volume))
    assert api.patch("storagevolumes", there, {"status": {"format": record}}, "/status")[0] == 200


@check("copies take the record of what they hold along: of a snapshot as it was at the cut, of a volume as it is")
def _():
    v = create("pvc-src")
    set_format(v, {"state": "Done", "fs": "xfs"})
    s = driver.call("Controller", "CreateSnapshot", pb.CreateSnapshotRequest(name="snapshot-1", source_volume_id=v.volume_id)).snapshot
    assert s.ready_to_use and s.size_bytes == 64 * MIB and obj("storagesnapshots", "snapshot-1")["status"]["format"] == {"state": "Done", "fs": "xfs"}
    set_format(v, {"state": "Done", "fs": "ext4"})
    of_snapshot = pb.VolumeContentSource(snapshot=pb.VolumeContentSource.SnapshotSource(snapshot_id=s.snapshot_id))
    of_volume = pb.VolumeContentSource(volume=pb.VolumeContentSource.VolumeSource(volume_id=v.volume_id))
    r, c = create("pvc-restore", 128 * MIB, volume_content_source=of_snapshot), create("pvc-clone", volume_content_source=of_volume)
    assert obj("storagevolumes", "pvc-restore")["status"]["format"] == {"state": "Done", "fs": "xfs", "clone": True}
    assert obj("storagevolumes", "pvc-clone")["status"]["format"] == {"state": "Done", "fs": "ext4", "clone": True}
    assert r.content_source.snapshot.snapshot_id == s.snapshot_id and r.capacity_bytes == 128 * MIB
    assert all(delete(x) == "OK" for x in (v, r, c))
    assert driver.code("Controller", "DeleteSnapshot", pb.DeleteSnapshotRequest(snapshot_id=s.snapshot_id))[0] == "OK"


@check("a snapshot in use: refused at once in the agent's words, and it goes when it is not")
def _():
    v = create("pvc-used")
    s = driver.call("Controller", "CreateSnapshot", pb.CreateSnapshotRequest(name="snapshot-used", source_volume_id=v.volume_id)).snapshot
    drop = pb.DeleteSnapshotRequest(snapshot_id=s.snapshot_id)
    there = obj("storagesnapshots", "snapshot-used")
    assert api.patch("storagesnapshots", there, {"metadata": {"finalizers": there["metadata"]["finalizers"] + ["test.io/keeps"]}})[0] == 200
    kept = {"type": "Deleted", "status": "False", "reason": "InUse", "message": "2 volumes stand on it", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    there = obj("storagesnapshots", "snapshot-used")
    assert api.patch("storagesnapshots", there, {"status": {"conditions": there["status"].get("conditions", []) + [kept]}}, "/status")[0] == 200
    code, words = driver.code("Controller", "DeleteSnapshot", drop)
    assert code == "FAILED_PRECONDITION" and "2 volumes stand on it" in words, (code, words)
    wait_until("the stand-in lets it go", lambda: obj("storagesnapshots", "snapshot-used")["metadata"]["finalizers"] == ["test.io/keeps"])
    assert api.patch("storagesnapshots", obj("storagesnapshots", "snapshot-used"), {"metadata": {"finalizers": []}})[0] == 200
    assert driver.code("Controller", "DeleteSnapshot", drop)[0] == "OK" and delete(v) == "OK"


@check("a group of snapshots: made once, of one pool, gone as a whole")
def _():
    where = pb.TopologyRequirement(preferred=[pb.Topology(segments={"topology.litepool.io/node": "node1"})])
    vs = [create(f"pvc-g{i}", parameters={"access": "node"}, accessibility_requirements=where) for i in range(3)]
    ids = [v.volume_id for v in vs]
    make = pb.CreateVolumeGroupSnapshotRequest(name="groupsnapshot-1", source_volume_ids=ids)
    g = driver.call("GroupController", "CreateVolumeGroupSnapshot", make).group_snapshot
    again = driver.call("GroupController", "CreateVolumeGroupSnapshot", make).group_snapshot
    assert g.ready_to_use and sorted(s.source_volume_id for s in g.snapshots) == sorted(ids) and again.group_snapshot_id == g.group_snapshot_id
    one = g.snapshots[0].snapshot_id
    assert driver.code("Controller", "DeleteSnapshot", pb.DeleteSnapshotRequest(snapshot_id=one))[0] == "INVALID_ARGUMENT"
    drop = pb.DeleteVolumeGroupSnapshotRequest(group_snapshot_id=g.group_snapshot_id, snapshot_ids=[s.snapshot_id for s in g.snapshots])
    assert driver.code("GroupController", "DeleteVolumeGroupSnapshot", drop)[0] == "OK"
    assert driver.code("GroupController", "DeleteVolumeGroupSnapshot", drop)[0] == "OK"
    assert not api.list("storagesnapshots") and all(delete(v) == "OK" for v in vs)


@check("limits and labels change at once or not at all")
def _():
    v = create("pvc-qos", mutable_parameters={"iops": "1000"})
    modify = lambda **p: driver.code("Controller", "ControllerModifyVolume", pb.ControllerModifyVolumeRequest(volume_id=v.volume_id, mutable_parameters=p))[0]  # noqa: E731
    assert modify(bytesPerSecond="10Mi", labels="tier=gold") == "OK" and modify(iops="5", colour="red") == "INVALID_ARGUMENT"
    there = obj("storagevolumes", "pvc-qos")
    assert there["spec"]["qos"] == {"iops": 1000, "bytesPerSecond": 10 * MIB} and there["metadata"]["labels"] == {"tier": "gold"}, there
    assert delete(v) == "OK"


@check("grown twice at once it ends at the larger size")
def _():
    v, sizes = create("pvc-grow"), []
    driver.restart()
    grow = lambda size: driver.code("Controller", "ControllerExpandVolume", pb.ControllerExpandVolumeRequest(  # noqa: E731
        volume_id=v.volume_id, capacity_range=pb.CapacityRange(required_bytes=size)), False)[0]
    threads = [threading.Thread(target=lambda s=s: sizes.append(grow(s))) for s in (96 * MIB, 128 * MIB, 112 * MIB)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert set(sizes) <= {"OK", "ABORTED"} and grow(128 * MIB) == "OK", sizes
    assert obj("storagevolumes", "pvc-grow")["status"]["size"] == 128 * MIB and delete(v) == "OK"


@check("nothing is left")
def _():
    assert not api.list("storagevolumes") and not api.list("storagesnapshots") and not os.listdir(work + "/volumes")


print(f"1..{N}")
for p in processes:
    p.send_signal(signal.SIGCONT)
    p.terminate()
for p in processes:
    p.wait()
shutil.rmtree(work)
sys.exit(check.failed)
