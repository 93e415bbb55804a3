#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# protoc.sh PROTOC-C OUTDIR SOURCEDIR: C for csi.proto, pluginregistration.proto and the two of protobuf's own files that they use, of which Debian ships
# only the .proto.
set -eu
protoc=$1 out=$2 src=$3
google=$(pkg-config --variable=includedir protobuf)
"$protoc" --c_out="$out" -I "$src" -I "$google" "$src/csi.proto" "$src/pluginregistration.proto"
"$protoc" --c_out="$out" -I "$google" google/protobuf/timestamp.proto google/protobuf/wrappers.proto
printf '#include "%s"\n' google/protobuf/timestamp.pb-c.c google/protobuf/wrappers.pb-c.c > "$out/google.pb-c.c"
