#!/usr/bin/env bash
# The API as systemd runs it: readiness, watchdog, socket, drain, slow and hostile clients, TLS, log, metrics, units.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
apt_need systemd-analyze systemd
venv="$("$REPO/tests/lib/venv.sh")"
script_counted "$venv/bin/python" "$REPO/tests/service/run.py" --tachi "$TACHI"
