#!/usr/bin/env bash
# A real Pacemaker cluster, the bridge, our API and engine, the simulated Nova: one host dies and its instances are back.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
"$REPO/tests/pacemaker/install.sh"
venv="$("$REPO/tests/lib/venv.sh")"
script_counted "$venv/bin/python" "$REPO/tests/pacemaker/chain.py" --monitor "$MONITOR" --tachi "$TACHI"
