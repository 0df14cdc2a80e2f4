#!/usr/bin/env bash
# The unmodified masakari-monitors send their notifications to `tachi serve`, and run beside ours. Root: host names, a private libvirtd.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
apt_need unshare util-linux
venv="$("$REPO/tests/lib/venv.sh")"
monitors="$("$REPO/tests/monitors-upstream/venv.sh")"
script_counted "$venv/bin/python" "$REPO/tests/monitors-upstream/monitors.py" --tachi "$TACHI" --monitors "$monitors"
# Beside ours, on a real libvirt.
"$REPO/tests/libvirt/install.sh"
if [ ! -e /usr/lib/python3/dist-packages/libvirt.py ]; then apt_need no-such-tool-python3-libvirt python3-libvirt; fi
script_counted "$venv/bin/python" "$REPO/tests/monitors-upstream/beside.py" --monitor "$MONITOR" --monitors "$monitors"
