# SPDX-License-Identifier: Apache-2.0
"""What a guest is given: programs with their libraries, the package, disks. Options of lab/guest-run.sh."""
import array
import fcntl
import glob
import json
import os
import re
import shutil
import socket
import struct
import subprocess

VETH_HOST, VETH_GUEST = "veth-host", "veth-guest"
HERE = os.path.dirname(os.path.abspath(__file__))
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:" + os.path.expanduser("~/.cache/kubelab/bin")


def libraries_copy(binary, libs):
    """What it is linked with, except libc."""
    for line in subprocess.run(["ldd", binary], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout.splitlines():
        found = re.match(r"\s*(\S+) => (/\S+)", line)
        if found and not re.match(r"lib(c|m|dl|rt|pthread)\.so", found.group(1)):
            shutil.copy(found.group(2), os.path.join(libs, found.group(1)))


def package_file(folder, libs):
    """The newest package that make deb has made here; its programs' libraries go to libs."""
    debs = glob.glob(os.path.join(HERE, "../../build-deb/litepool_*.deb"))
    if not debs:
        raise RuntimeError("there is no build-deb/litepool_*.deb; make one: make deb")
    deb = max(debs, key=os.path.getmtime)
    tree = os.path.join(folder, "package")
    subprocess.run(["dpkg-deb", "-x", deb, tree], check=True)
    for program in glob.glob(os.path.join(tree, "usr/*bin/*")):
        libraries_copy(program, libs)
    return deb


def command_files(build, folder, programs):
    """Programs of ours and of this machine, the libraries that the guest may not have, and units, as options of guest-run.sh."""
    libs = os.path.join(folder, "lib")
    os.makedirs(libs, exist_ok=True)
    options = ["-i", libs]
    for program in programs:
        if program == "package":
            options += ["-i", package_file(folder, libs)]
            continue
        if program.endswith(".service"):
            options += ["-i", os.path.join(HERE, "../../deploy/systemd", program)]
            continue
        ours = {"litepool": "src/cli/litepool", "engine": "src/engine/litepool-engine", "supervisor": "src/supervisor/litepool-supervisor", "agent": "src/agent/litepool-agent",
                "controller": "src/controller/litepool-controller", "csi": "src/csi/litepool-csi", "lp-csi": "tests/csi/lp-csi"}
        binary = os.path.join(build, ours[program]) if program in ours else shutil.which(program, path=PATH)
        if not binary:
            print(f"# no {program} here: what needs it is left out")
            continue
        options += ["-i", binary]
        libraries_copy(binary, libs)
    return options


def offloads_off(device):
    """ethtool -K DEVICE rx off tx off sg off tso off gso off gro off, without ethtool."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for command in (0x15, 0x17, 0x19, 0x1f, 0x24, 0x2c):  # ETHTOOL_SRXCSUM, STXCSUM, SSG, STSO, SGSO, SGRO
            value = array.array("I", [command, 0])
            fcntl.ioctl(s, 0x8946, struct.pack("16sP16x", device.encode(), value.buffer_info()[0]))  # SIOCETHTOOL


def veth_make(ip):
    """The network of a User Mode Linux guest, as QEMU's: 10.0.2.2 is this side. What the guest is given is whole packets with checksums: no offloads."""
    ip("link", "add", VETH_HOST, "type", "veth", "peer", "name", VETH_GUEST)
    for device in (VETH_HOST, VETH_GUEST):
        offloads_off(device)
        ip("link", "set", device, "up")
    ip("addr", "add", "10.0.2.2/24", "dev", VETH_HOST)


def monitor(folder):
    """QEMU's, of a guest that has disks."""
    return os.path.join(folder, "qemu")


def disk_files(folder, disks, uml):
    """Sparse files as disks of the guest, "NAME=BYTES ...", found there by their serial; options of guest-run.sh, or of uml-run.sh."""
    options = ["-q", f"-qmp unix:{monitor(folder)},server=on,wait=off"] if disks and not uml else []
    for slot, (name, size) in enumerate(re.findall(r"(\S+)=(\d+)", disks), 0x14):  # behind guest-run.sh's own
        path = os.path.join(folder, name + ".disk")
        with open(path, "wb") as f:
            f.truncate(int(size))
        if uml:
            options += ["-d", f"{name}={path}"]
            continue
        options += ["-q", f"-drive if=none,id=x{name},format=raw,cache=unsafe,file={path} "
                          f"-device virtio-blk-pci,drive=x{name},serial={name},addr={slot:#x}"]
    return options


def disk_grow(folder, name, size):
    """A disk of disk_files() becomes larger under the guest that runs."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(240)
        s.connect(monitor(folder))
        answers = s.makefile("r")
        for command in ({"execute": "qmp_capabilities"}, {"execute": "block_resize", "arguments": {"device": "x" + name, "size": size}}):
            s.sendall(json.dumps(command).encode())
            # Between greeting and answer there may be events.
            answer = next(a for a in map(json.loads, answers) if "return" in a or "error" in a)
            if "error" in answer:
                raise RuntimeError(f"{command['execute']}: {answer['error']['desc']}")
