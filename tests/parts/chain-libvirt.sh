#!/usr/bin/env bash
# Failure to recovery, the libvirt half: a QEMU is killed, Nova is asked to restart the instance. Root.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
"$REPO/tests/libvirt/install.sh"
venv="$("$REPO/tests/lib/venv.sh")"
script_counted "$venv/bin/python" "$REPO/tests/libvirt/chain.py" --tachi "$TACHI" --monitor "${TACHI_MONITOR_BIN:-$TARGET/debug/tachi-monitor}"
