#!/usr/bin/env bash
# The alerts and the board that are shipped, in a real Prometheus beside a real engine.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
apt_need promtool prometheus
venv="$("$REPO/tests/lib/venv.sh")"
script_counted "$venv/bin/python" "$REPO/tests/alerts/run.py" --tachi "$TACHI"
