#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""node.py CSI-MEM CSI.PROTO: the node's side with real mounts of loop devices, and the kubelet's registration. TAP. Mounts live in a namespace of their own."""
import json
import os
import subprocess
import sys
import tempfile

try:
    import grpc
    import google.protobuf  # noqa: F401
except ImportError:
    print("1..0 # SKIP python3-grpcio or python3-protobuf is not installed")
    sys.exit(0)
if os.getuid() != 0 or subprocess.run(["losetup", "-f"], capture_output=True, check=False).returncode:
    print("1..0 # SKIP needs root and loop devices")
    sys.exit(0)
if not os.environ.get("NODE_INSIDE"):
    os.environ["NODE_INSIDE"] = "1"
    os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable] + sys.argv)

work = tempfile.mkdtemp()
proto = os.path.dirname(os.path.abspath(sys.argv[2]))
subprocess.run(["protoc", "-I", proto, "-I", "/usr/include", "--python_out=" + work, "csi.proto", "pluginregistration.proto"], check=True)
sys.path.insert(0, work)
import csi_pb2 as pb  # noqa: E402
import pluginregistration_pb2 as reg  # noqa: E402

MIB = 1 << 20
N = 0


def may_grow(fs):
    """The kernel grows a mounted ext4 only for CAP_SYS_RESOURCE, which root lacks in some containers."""
    caps = next(line for line in open("/proc/self/status", encoding="ascii") if line.startswith("CapEff"))
    if fs != "ext4" or int(caps.split()[1], 16) >> 24 & 1:
        return True
    print("# ext4 is not grown here: no CAP_SYS_RESOURCE")
    return False


class Rig:
    def __init__(self):
        os.mkdir(work + "/volumes")
        self.log = open(work + "/log", "wb")
        self.proc = subprocess.Popen([sys.argv[1], work + "/volumes", "--endpoint", "unix://" + work + "/s", "--node-id", "node1",
                                      "--registration-socket", work + "/reg"], stderr=self.log)
        self.channel = grpc.insecure_channel("unix://" + work + "/s")

    def call(self, service, name, request):
        answer = getattr(pb, name + "Response")
        return self.channel.unary_unary(f"/csi.v1.{service}/{name}", type(request).SerializeToString, answer.FromString)(
            request, timeout=120, wait_for_ready=True)

    def code(self, *args):
        try:
            self.call(*args)
        except grpc.RpcError as e:
            assert e.details(), "an error without a message"
            return e.code().name
        return "OK"


rig = Rig()


def cap(fs="ext4", mode=1, flags=(), group="", block=False):
    c = pb.VolumeCapability(access_mode=pb.VolumeCapability.AccessMode(mode=mode))
    if block:
        c.block.SetInParent()
    else:
        c.mount.fs_type, c.mount.volume_mount_group = fs, group
        c.mount.mount_flags.extend(flags)
    return c


class Volume:
    def __init__(self, size=320 * MIB, **more):
        global N
        N += 1
        self.stage_path, self.n = f"{work}/stage{N}", N
        r = pb.CreateVolumeRequest(name=f"v{N}", volume_capabilities=[cap()], capacity_range=pb.CapacityRange(required_bytes=size), **more)
        self.id = rig.call("Controller", "CreateVolume", r).volume.volume_id

    def stage(self, c):
        return rig.code("Node", "NodeStageVolume", pb.NodeStageVolumeRequest(
            volume_id=self.id, staging_target_path=self.stage_path, volume_capability=c))

    def unstage(self):
        return rig.code("Node", "NodeUnstageVolume", pb.NodeUnstageVolumeRequest(volume_id=self.id, staging_target_path=self.stage_path))

    def target(self, t="a"):
        return f"{work}/target{self.n}{t}"

    def publish(self, c, t="a", readonly=False):
        return rig.code("Node", "NodePublishVolume", pb.NodePublishVolumeRequest(
            volume_id=self.id, staging_target_path=self.stage_path, target_path=self.target(t), volume_capability=c, readonly=readonly))

    def unpublish(self, t="a"):
        return rig.code("Node", "NodeUnpublishVolume", pb.NodeUnpublishVolumeRequest(volume_id=self.id, target_path=self.target(t)))

    def file(self):
        return f"{work}/volumes/{self.id}"


def ok(*codes):
    assert all(c == "OK" for c in codes), codes


def mounted(path):
    return any(line.split()[4] == path for line in open("/proc/self/mountinfo", encoding="ascii"))


def whole_life(fs):
    v, c = Volume(), cap(fs)
    ok(v.stage(c), v.stage(c), v.publish(c), v.publish(c))
    with open(v.target() + "/f", "w", encoding="ascii") as f:
        f.write("kept")
    usage = rig.call("Node", "NodeGetVolumeStats", pb.NodeGetVolumeStatsRequest(volume_id=v.id, volume_path=v.target()))
    assert usage.usage[0].total > 100 * MIB and not usage.volume_condition.abnormal
    if may_grow(fs):
        grow(v, usage.usage[0].total)
    ok(v.unpublish(), v.unpublish())
    assert not os.path.exists(v.target())
    ok(v.unstage(), v.unstage())
    assert not mounted(v.stage_path)
    ok(v.stage(c), v.publish(c))
    assert open(v.target() + "/f", encoding="ascii").read() == "kept"
    ok(v.unpublish(), v.unstage())


def grow(v, before):
    rig.call("Controller", "ControllerExpandVolume", pb.ControllerExpandVolumeRequest(
        volume_id=v.id, capacity_range=pb.CapacityRange(required_bytes=640 * MIB)))
    """A device has grown when its node has heard of it: NodeExpandVolume waits for that."""
    for _ in range(2):
        grown = rig.call("Node", "NodeExpandVolume", pb.NodeExpandVolumeRequest(
            volume_id=v.id, volume_path=v.target(), capacity_range=pb.CapacityRange(required_bytes=640 * MIB)))
        assert grown.capacity_bytes == 640 * MIB
    usage = rig.call("Node", "NodeGetVolumeStats", pb.NodeGetVolumeStatsRequest(volume_id=v.id, volume_path=v.target()))
    assert usage.usage[0].total > before + 200 * MIB


def ext4():
    whole_life("ext4")


def xfs():
    whole_life("xfs")


def btrfs():
    whole_life("btrfs")


def damaged_is_never_formatted():
    v, c = Volume(), cap()
    ok(v.stage(c), v.unstage())
    with open(v.file(), "r+b") as f:
        f.write(b"\0" * MIB)
    assert v.stage(c) == "FAILED_PRECONDITION"
    with open(v.file(), "rb") as f:
        assert f.read(MIB) == b"\0" * MIB
    ok(v.unstage())


def foreign_content_is_never_formatted():
    v = Volume()
    ok(subprocess.run(["mkfs.xfs", "-q", v.file()], check=True) and "OK")
    assert v.stage(cap("ext4")) == "FAILED_PRECONDITION"
    assert v.stage(cap("xfs")) == "FAILED_PRECONDITION"
    ok(v.unstage())


def another_fs_is_refused():
    v = Volume()
    ok(v.stage(cap("ext4")))
    assert v.stage(cap("xfs")) == "ALREADY_EXISTS"
    ok(v.unstage())
    assert v.stage(cap("xfs")) == "FAILED_PRECONDITION"
    ok(v.unstage())


def larger_clone(fs):
    """Mounted beside its source; its file system is as large as it is itself."""
    v, c = Volume(), cap(fs)
    ok(v.stage(c), v.publish(c))
    with open(v.target() + "/f", "w", encoding="ascii") as f:
        f.write("kept")
        f.flush()
        os.fsync(f.fileno())
    os.sync()
    source = pb.VolumeContentSource(volume=pb.VolumeContentSource.VolumeSource(volume_id=v.id))
    size = 640 * MIB if may_grow(fs) else 320 * MIB
    w = Volume(size=size, volume_content_source=source)
    ok(w.stage(c), w.publish(c))
    assert open(w.target() + "/f", encoding="ascii").read() == "kept"
    st = os.statvfs(w.target())
    assert st.f_blocks * st.f_frsize > size * 3 // 4
    options = [line for line in open("/proc/self/mountinfo", encoding="ascii") if line.split()[4] in (v.stage_path, w.stage_path)]
    assert fs != "xfs" or ["nouuid" in line for line in options] == [False, True], options
    ok(w.unpublish(), w.unstage(), v.unpublish(), v.unstage())


def clone_of_ext4():
    larger_clone("ext4")


def clone_of_xfs():
    larger_clone("xfs")


def group_owns_the_files():
    v, c = Volume(), cap(group="4242")
    ok(v.stage(cap()), v.publish(cap()))
    with open(v.target() + "/f", "w", encoding="ascii"):
        pass
    ok(v.unpublish(), v.unstage(), v.stage(c), v.publish(c))
    for name in ("", "/f"):
        st = os.stat(v.target() + name)
        assert st.st_gid == 4242 and st.st_mode & 0o060 == 0o060, (name, st)
    assert os.stat(v.target()).st_mode & 0o2000
    ok(v.unpublish(), v.unstage())


def read_only():
    v, c = Volume(), cap()
    ok(v.stage(c), v.publish(c, readonly=True))
    try:
        open(v.target() + "/f", "w", encoding="ascii").close()
        raise AssertionError("it could be written")
    except OSError:
        pass
    assert v.publish(c, readonly=False) == "ALREADY_EXISTS"
    ok(v.publish(c, "b"), v.unpublish("b"), v.unpublish(), v.unstage())


def half_of_a_publication():
    """Killed between the bind mount and its second step: the call is repeated, and ends as asked for."""
    for block in (False, True):
        v, c = Volume(), cap(block=block)
        ok(v.stage(c), v.publish(c), v.publish(c, readonly=True), v.publish(c, readonly=True))
        try:
            open(v.target() + ("" if block else "/f"), "r+b" if block else "wb").close()
            assert block  # a device node can be opened; what keeps writes away is the device (stage)
        except OSError:
            pass
        assert v.publish(c) == "ALREADY_EXISTS"
        ok(v.unpublish(), v.unstage())


def half_of_a_staging():
    """Killed between the mount of a copy and its growth."""
    v, c = Volume(), cap("xfs")
    ok(v.stage(c), v.unstage())
    source = pb.VolumeContentSource(volume=pb.VolumeContentSource.VolumeSource(volume_id=v.id))
    w = Volume(size=640 * MIB, volume_content_source=source)
    ok(w.stage(cap(block=True)))  # attached, and no more
    device = subprocess.run(["losetup", "-n", "-O", "NAME", "-j", w.file()], check=True, capture_output=True, text=True).stdout.split()[0]
    os.makedirs(w.stage_path)
    subprocess.run(["mount", "-t", "xfs", "-o", "nouuid", device, w.stage_path], check=True)
    size = lambda: os.statvfs(w.stage_path).f_blocks * os.statvfs(w.stage_path).f_frsize  # noqa: E731
    assert size() < 400 * MIB
    ok(w.stage(c))
    assert size() > 480 * MIB
    ok(w.unstage())


def published_read_only_by_the_controller():
    v, c, b = Volume(), cap(), cap(block=True)
    context = {"readonly": "true"}
    ok(v.stage(c), v.unstage())
    w = Volume()
    ok(*[rig.code("Node", "NodeStageVolume", pb.NodeStageVolumeRequest(
        volume_id=x.id, staging_target_path=x.stage_path, volume_capability=k, publish_context=context)) for x, k in ((v, c), (w, b))])
    assert "ro" in next(line for line in open("/proc/self/mountinfo", encoding="ascii") if line.split()[4] == v.stage_path).split()[5].split(",")
    assert v.stage(c) == "ALREADY_EXISTS"
    ok(v.unstage(), w.unstage())


def places_by_access_mode():
    for mode, want in ((6, "FAILED_PRECONDITION"), (7, "OK")):
        for block in (False, True):
            v, c = Volume(), cap(mode=mode, block=block)
            ok(v.stage(c), v.publish(c))
            assert v.publish(c, "b") == want, (mode, block)
            ok(v.unpublish("b"), v.unpublish(), v.unstage())


def raw_block():
    v, c = Volume(), cap(block=True)
    ok(v.stage(c), v.publish(c))
    with open(v.target(), "r+b") as f:
        f.write(b"raw")
    stats = rig.call("Node", "NodeGetVolumeStats", pb.NodeGetVolumeStatsRequest(volume_id=v.id, volume_path=v.target()))
    assert stats.usage[0].total == 320 * MIB
    ok(v.unpublish(), v.unstage())
    with open(v.file(), "rb") as f:
        assert f.read(3) == b"raw"
    assert v.stage(cap()) == "FAILED_PRECONDITION"  # nothing that is known is on it, and yet it is not empty
    ok(v.unstage())


def order_is_checked():
    v, c = Volume(), cap()
    assert v.publish(c) == "FAILED_PRECONDITION"
    ok(v.stage(c), v.publish(c))
    assert v.unstage() == "FAILED_PRECONDITION"  # still published
    ok(v.unpublish(), v.unstage())
    v, c = Volume(), cap("btrfs")
    ok(v.stage(c), v.publish(c))
    assert v.unstage() == "FAILED_PRECONDITION"
    ok(v.unpublish(), v.unstage())
    ok(v.unpublish("never"))
    assert rig.code("Node", "NodeStageVolume", pb.NodeStageVolumeRequest(
        volume_id="nope", staging_target_path=work + "/x", volume_capability=c)) == "NOT_FOUND"


def many_writers_of_a_file_system_are_refused():
    assert Volume().stage(cap(mode=5)) == "INVALID_ARGUMENT"
    assert Volume().stage(cap(fs="ntfs")) == "INVALID_ARGUMENT"


def bad_mount_option_is_told():
    v = Volume()
    assert v.stage(cap(flags=["no_such_option"])) == "INTERNAL"
    ok(v.stage(cap(flags=["noatime"])), v.unstage())


def mount_option_ro():
    """As by the access mode: staged and published read-only, and repeated."""
    v, c = Volume(), cap(flags=["ro"])
    assert v.stage(c) == "FAILED_PRECONDITION"  # nothing is on it, and nothing may be made
    ok(v.stage(cap()), v.unstage(), v.stage(c), v.stage(c), v.publish(c), v.publish(c))
    try:
        open(v.target() + "/f", "w", encoding="ascii").close()
        raise AssertionError("it could be written")
    except OSError:
        pass
    ok(v.unpublish(), v.unstage())


def parents_that_are_links():
    """The kubelet's folder may be a link; the mount table has where it leads."""
    v, c = Volume(), cap()
    os.mkdir(work + "/there")
    os.symlink(work + "/there", work + "/link")
    v.stage_path, v.target = work + "/link/stage/", lambda t="a": f"{work}/link/./../link/{t}"
    ok(v.stage(c), v.stage(c), v.publish(c), v.publish(c))
    table = [line.split()[4] for line in open("/proc/self/mountinfo", encoding="ascii") if work + "/there/" in line]
    assert table == [work + "/there/stage", work + "/there/a"], table
    rig.call("Node", "NodeGetVolumeStats", pb.NodeGetVolumeStatsRequest(volume_id=v.id, volume_path=v.target()))
    assert v.unstage() == "FAILED_PRECONDITION"
    ok(v.unpublish(), v.unpublish(), v.unstage(), v.unstage())
    assert os.listdir(work + "/there") == ["stage"] and not mounted(work + "/there/stage")


def nothing_is_mounted_through_a_link():
    v, c = Volume(), cap()
    os.mkdir(work + "/elsewhere")
    os.symlink(work + "/elsewhere", v.stage_path)
    assert v.stage(c) == "INTERNAL"
    os.unlink(v.stage_path)
    ok(v.stage(c))
    os.symlink(work + "/elsewhere", v.target())
    assert v.publish(c) == "INTERNAL" and not mounted(work + "/elsewhere")
    ok(v.unpublish(), v.publish(c), v.unpublish(), v.unstage())
    for path in ("/", "//", work + "/..", work + "/."):
        assert rig.code("Node", "NodeUnpublishVolume", pb.NodeUnpublishVolumeRequest(volume_id=v.id, target_path=path)) == "INVALID_ARGUMENT", path


def long_and_strange_paths():
    v, c = Volume(), cap()
    deep = work + "/" + "/".join(["x" * 200] * 5) + "/ein Pod \u00fc\u4e2d\\040\t"
    os.makedirs(os.path.dirname(deep))
    v.stage_path, v.target = work + "/st\u00e4ge \\134", lambda t="a": deep + t
    ok(v.stage(c), v.stage(c), v.publish(c), v.publish(c))
    assert v.unstage() == "FAILED_PRECONDITION"
    ok(v.unpublish(), v.unpublish(), v.unstage(), v.unstage())
    assert not os.path.exists(v.target())
    v.target = lambda t="a": work + "/" + "y" * 4100
    ok(v.stage(c))
    assert v.publish(c) == "INVALID_ARGUMENT"  # longer than CSI allows
    v.target = lambda t="a": work + "/" + "y" * 256
    assert v.publish(c) == "INTERNAL"  # longer than a name may be
    ok(v.unpublish(), v.unstage())


def registration():
    channel = grpc.insecure_channel("unix://" + work + "/reg")
    info = channel.unary_unary("/pluginregistration.Registration/GetInfo", reg.InfoRequest.SerializeToString, reg.PluginInfo.FromString)(
        reg.InfoRequest(), timeout=120, wait_for_ready=True)
    assert (info.type, info.name, info.endpoint, list(info.supported_versions)) == ("CSIPlugin", "csi.litepool.io", work + "/s", ["1.0.0"])
    channel.unary_unary("/pluginregistration.Registration/NotifyRegistrationStatus", reg.RegistrationStatus.SerializeToString,
                        reg.RegistrationStatusResponse.FromString)(reg.RegistrationStatus(plugin_registered=False, error="no\nway"))
    channel.close()


def changed_blocks_are_streamed():
    v = Volume()
    snapshot = rig.call("Controller", "CreateSnapshot", pb.CreateSnapshotRequest(name="cb", source_volume_id=v.id)).snapshot
    stream = rig.channel.unary_stream("/csi.v1.SnapshotMetadata/GetMetadataAllocated", pb.GetMetadataAllocatedRequest.SerializeToString,
                                      pb.GetMetadataAllocatedResponse.FromString)
    got = [(b.byte_offset, b.size_bytes) for m in stream(pb.GetMetadataAllocatedRequest(
        snapshot_id=snapshot.snapshot_id, starting_offset=10 * MIB, max_results=7)) for b in m.block_metadata]
    assert got == [(o * MIB, MIB) for o in range(10, 320, 2)], got
    assert rig.code("Controller", "DeleteSnapshot", pb.DeleteSnapshotRequest(snapshot_id=snapshot.snapshot_id)) == "OK"


def ends_well():
    rig.channel.close()
    rig.proc.terminate()
    assert rig.proc.wait(60) == 0, open(work + "/log", encoding="utf-8").read()[-3000:]


TESTS = [ext4, xfs, btrfs, damaged_is_never_formatted, foreign_content_is_never_formatted, another_fs_is_refused, clone_of_ext4,
         clone_of_xfs, group_owns_the_files, read_only, half_of_a_publication, half_of_a_staging, published_read_only_by_the_controller, places_by_access_mode, raw_block, order_is_checked,
         many_writers_of_a_file_system_are_refused, bad_mount_option_is_told, mount_option_ro, parents_that_are_links, nothing_is_mounted_through_a_link, long_and_strange_paths,
         registration, changed_blocks_are_streamed, ends_well]


def clean_up():
    if rig.proc.poll() is None:
        rig.proc.kill()
        rig.proc.wait()
    for line in reversed(open("/proc/self/mountinfo", encoding="ascii").readlines()):
        if line.split()[4].startswith(work):
            subprocess.run(["umount", line.split()[4]], check=False)
    loops = subprocess.run(["losetup", "-J", "-O", "NAME,BACK-FILE"], capture_output=True, check=False).stdout
    for loop in json.loads(loops)["loopdevices"] if loops else []:
        if (loop["back-file"] or "").startswith(work):
            subprocess.run(["losetup", "-d", loop["name"]], check=False)
    subprocess.run(["rm", "-rf", work], check=False)


def main():
    failed = 0
    print(f"1..{len(TESTS)}", flush=True)
    try:
        for i, test in enumerate(TESTS, 1):
            try:
                test()
                print(f"ok {i} - {test.__name__}", flush=True)
            except Exception as e:  # noqa: BLE001
                failed += 1
                at = e.__traceback__
                while at.tb_next:
                    at = at.tb_next
                text = e.details() if isinstance(e, grpc.RpcError) else str(e)
                print(f"not ok {i} - {test.__name__}: line {at.tb_lineno}: {type(e).__name__} {text}", flush=True)
        if failed:
            with open(work + "/log", encoding="utf-8") as f:
                print("\n".join("# " + line.rstrip() for line in f.readlines()[-30:]))
    finally:
        clean_up()
    return 1 if failed else 0


sys.exit(main())
