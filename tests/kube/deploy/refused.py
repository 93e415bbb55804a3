#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""refused.py SOCKET CSI.PROTO: CreateVolume where no pool has room answers RESOURCE_EXHAUSTED with a reason."""
import os
import subprocess
import sys
import tempfile

import grpc

with tempfile.TemporaryDirectory() as work:
    proto = os.path.dirname(os.path.abspath(sys.argv[2]))
    subprocess.run(["protoc", "-I", proto, "-I", "/usr/include", "--python_out=" + work, "csi.proto"], check=True)
    sys.path.insert(0, work)
    import csi_pb2 as pb
    request = pb.CreateVolumeRequest(name="pvc-1", capacity_range=pb.CapacityRange(required_bytes=1 << 30), volume_capabilities=[
        pb.VolumeCapability(mount=pb.VolumeCapability.MountVolume(), access_mode=pb.VolumeCapability.AccessMode(mode=1))])
    call = grpc.insecure_channel("unix://" + sys.argv[1]).unary_unary(
        "/csi.v1.Controller/CreateVolume", pb.CreateVolumeRequest.SerializeToString, pb.CreateVolumeResponse.FromString)
    try:
        call(request, timeout=60)
    except grpc.RpcError as e:
        print(e.code().name, e.details())
        sys.exit(0 if e.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and "pool" in e.details() else 1)
    sys.exit("it was made")
