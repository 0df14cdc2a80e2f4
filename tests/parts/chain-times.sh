#!/usr/bin/env bash
# From the loss of a host's power to its last instance, step by step, on a real Pacemaker. Root.
# The figures are left in bench-chain.json of the target folder.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
"$REPO/tests/pacemaker/install.sh"
venv="$("$REPO/tests/lib/venv.sh")"
masakari="$("$REPO/tests/upstream/venv.sh")"
monitors="$("$REPO/tests/monitors-upstream/venv.sh")"
profile="${TACHI_BENCH_PROFILE:-dist}"
script_counted "$venv/bin/python" "$REPO/tests/bench/chain_times.py" --tachi "${TACHI_BIN:-$TARGET/$profile/tachi}" \
  --monitor "${TACHI_MONITOR_BIN:-$MONITOR}" --masakari "$masakari" --masakari-monitors "$monitors" --json "$TARGET/bench-chain.json"
