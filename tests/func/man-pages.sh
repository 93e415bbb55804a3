#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The manual pages say what --help says, and are well formed.
. "$(dirname "$0")/lib.sh"
check "tables of options and commands agree with --help" "$source_dir/tools/man-options" --check "$build"
for page in litepool-engine.8 litepool-supervisor.8 litepool-csi.8 litepool-controller.8 litepool-agent.8 litepool.1; do
    if command -v man > /dev/null; then
        check "$page is formatted without a complaint" same "$(MANWIDTH=100 man --warnings=mac -l "$source_dir/docs/man/$page" 2>&1 > /dev/null)" ""
    fi
done
completion=$("$cli_bin" completion bash)
check "the completion is valid bash" bash -n <<< "$completion"
check "--version of the engine" "$engine_bin" --version
check "--version of the command" "$cli_bin" --version
done_testing
