#!/usr/bin/env bash
# What the benchmarks before it have measured goes into docs/design/benchmarks.md, to be looked at and committed.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
check "docs/design/benchmarks.md is written" python3 "$REPO/tests/bench/document.py" --from "$TARGET" "$REPO/docs/design/benchmarks.md"
checks_done
