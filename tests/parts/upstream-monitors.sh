#!/usr/bin/env bash
# The unmodified masakari-monitors send their notifications to `tachi serve`. Root: they run under a hypervisor's host name.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
apt_need unshare util-linux
venv="$("$REPO/tests/lib/venv.sh")"
monitors="$("$REPO/tests/monitors-upstream/venv.sh")"
script_counted "$venv/bin/python" "$REPO/tests/monitors-upstream/monitors.py" --tachi "$TACHI" --monitors "$monitors"
