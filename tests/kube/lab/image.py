#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""image.py OUT.tar NAME[=ENTRYPOINT] PROGRAM...: writes an image of one layer in Docker's archive format, for `ctr images import`: busybox, and the programs (found in PATH) with the shared
libraries that ldd names. A PROGRAM "FROM:TO" is put at TO; FROM may be a folder, with all that is in it, or any file. No registry and no engine is needed; what is in the image is what is on this machine.
"""
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile

out, name = sys.argv[1:3]
name, _, entry = name.partition("=")
files = {}


def add(source, target):
    files[target] = os.path.realpath(source)
    found = subprocess.run(["ldd", source], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    for library in re.findall(r"(/\S+) \(0x", found):
        files[library] = os.path.realpath(library)


for program in sys.argv[3:]:
    source, _, target = program.partition(":")
    if "/" in source and os.path.isdir(source):
        for parent, _, members in os.walk(source):
            for member in members:
                files[os.path.normpath(os.path.join(target or source, os.path.relpath(parent, source), member))] = os.path.join(parent, member)
        continue
    path = source if "/" in source and os.path.isfile(source) else shutil.which(source)
    if not path:
        sys.exit("image.py: no program %s" % source)
    add(path, target or "/usr/bin/" + os.path.basename(path))

layer = io.BytesIO()
with tarfile.open(fileobj=layer, mode="w") as tar:
    made = set()

    def folder(path, mode=0o755):
        if path in ("", "/") or path in made:
            return
        folder(os.path.dirname(path))
        made.add(path)
        info = tarfile.TarInfo(path.lstrip("/"))
        info.type, info.mode = tarfile.DIRTYPE, mode
        tar.addfile(info)

    for path, mode in (("/tmp", 0o1777), ("/proc", 0o755), ("/sys", 0o755), ("/dev", 0o755), ("/etc", 0o755), ("/run", 0o755), ("/data", 0o755)):
        folder(path, mode)
    for target, source in sorted(files.items()):
        folder(os.path.dirname(target))
        info = tarfile.TarInfo(target.lstrip("/"))
        info.size, info.mode = os.path.getsize(source), 0o755
        with open(source, "rb") as f:
            tar.addfile(info, f)
    if os.path.exists("/bin/busybox"):
        folder("/bin")
        info = tarfile.TarInfo("bin/busybox")
        info.size, info.mode = os.path.getsize("/bin/busybox"), 0o755
        with open("/bin/busybox", "rb") as f:
            tar.addfile(info, f)
        for applet in subprocess.run(["/bin/busybox", "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout.split():
            # mount and its like are util-linux's where they are in the image: first in PATH.
            if applet != "busybox":
                info = tarfile.TarInfo("bin/" + applet)
                info.type, info.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(info)
    passwd = b"root:x:0:0::/:/bin/sh\n"
    info = tarfile.TarInfo("etc/passwd")
    info.size = len(passwd)
    tar.addfile(info, io.BytesIO(passwd))

blob = layer.getvalue()
config = {"architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine], "os": "linux",
          "config": {"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], **({"Entrypoint": entry.split()} if entry else {"Cmd": ["/bin/sh"]})},
          "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(blob).hexdigest()]}}
manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
with tarfile.open(out + ".new", "w") as tar:
    for member, content in (("manifest.json", json.dumps(manifest).encode()), ("config.json", json.dumps(config).encode()), ("layer.tar", blob)):
        info = tarfile.TarInfo(member)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
os.rename(out + ".new", out)
