#!/usr/bin/env bash
# Hosts of a real Nova are drained and given back to, and what `tachi forecast` promises is held against what Nova finds room for.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
TACHI_VENV="$("$REPO/tests/lib/venv.sh")"
export TACHI_VENV
script_counted "$REPO/tests/real-cloud/run.sh" "$TACHI" --planned
