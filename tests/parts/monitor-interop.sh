#!/usr/bin/env bash
# Our monitors beside upstream's on the wire, against `tachi serve`, and against masakari-api from PyPI.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
venv="$("$REPO/tests/lib/venv.sh")"
monitors="$("$REPO/tests/monitors-upstream/venv.sh")"
upstream="$("$REPO/tests/upstream/venv.sh")"
monitor="${TACHI_MONITOR_BIN:-$TARGET/debug/tachi-monitor}"
packaged=()
if [ "${TACHI_MONITOR_PACKAGED:-no}" = yes ]; then packaged=(--packaged); fi
script_counted "$venv/bin/python" "$REPO/tests/monitor-interop/run.py" --tachi "$TACHI" --monitor "$monitor" \
  --monitors "$monitors" --upstream "$upstream" "${packaged[@]}"
