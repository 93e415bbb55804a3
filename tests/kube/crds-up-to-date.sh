#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# deploy/crds is what the tables say.
set -eu
dir=$(mktemp -d "${TMPDIR:-/tmp}/litepool-crds.XXXXXX")
trap 'rm -rf "$dir"' EXIT
"${LITEPOOL_BUILD:?}/tests/kube/gen-crds" "$dir"
diff -ru "${LITEPOOL_SOURCE:?}/deploy/crds" "$dir" || {
    echo "deploy/crds is not what src/kube/kinds.c says: run tools/gen-crds and commit the result"
    exit 1
}
