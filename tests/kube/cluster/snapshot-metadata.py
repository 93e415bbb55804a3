#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""snapshot-metadata.py PROTO-DIR ADDRESS NAME CA-FILE NAMESPACE SNAPSHOT [BASE-HANDLE] < TOKEN: asks external-snapshot-metadata at ADDRESS, whose certificate is for NAME, which blocks the VolumeSnapshot has, or which
differ from the snapshot with that handle; prints how many bytes that are. It asks twice, the second time from the middle on, and the two answers must agree.
"""
import subprocess
import sys
import tempfile

import grpc

proto, address, name, ca, namespace, snapshot = sys.argv[1:7]
base = sys.argv[7] if len(sys.argv) > 7 else ""
token = sys.stdin.read().strip()
work = tempfile.TemporaryDirectory()
subprocess.run(["protoc", "-I", proto, "--python_out=" + work.name, "schema.proto"], check=True)
sys.path.insert(0, work.name)
import schema_pb2 as pb  # noqa: E402

with open(ca, "rb") as f:
    credentials = grpc.ssl_channel_credentials(f.read())
channel = grpc.secure_channel(address, credentials, options=[("grpc.ssl_target_name_override", name)])


def call(method, request, answer):
    stream = channel.unary_stream("/snapshotmetadata.SnapshotMetadata/" + method, request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString)
    return [(b.byte_offset, b.size_bytes) for m in stream(request, timeout=120) for b in m.block_metadata]


def blocks(offset, most):
    if base:
        return call("GetMetadataDelta", pb.GetMetadataDeltaRequest(
            security_token=token, namespace=namespace, base_snapshot_id=base, target_snapshot_name=snapshot, starting_offset=offset, max_results=most), pb.GetMetadataDeltaResponse)
    return call("GetMetadataAllocated", pb.GetMetadataAllocatedRequest(
        security_token=token, namespace=namespace, snapshot_name=snapshot, starting_offset=offset, max_results=most), pb.GetMetadataAllocatedResponse)


try:
    whole = blocks(0, 0)
    half = whole[len(whole) // 2][0] if whole else 0
    again = blocks(half, 3)
except grpc.RpcError as e:
    sys.exit("%s: %s" % (e.code().name, e.details()))
if again != [b for b in whole if b[0] >= half]:
    sys.exit("from %d on it lists %d blocks, not those of the whole list" % (half, len(again)))
print(sum(size for _, size in whole))
