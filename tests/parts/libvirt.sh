#!/usr/bin/env bash
# The instance monitor beside a real libvirtd with real QEMU guests, in namespaces of their own. Root.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
"$REPO/tests/libvirt/install.sh"
apt_need python3 python3
export TACHI_TEST_AGENT="${TACHI_TEST_AGENT:-$TARGET/test-guest-agent}"
packaged=()
if [ "${TACHI_MONITOR_PACKAGED:-no}" = yes ]; then packaged=(--packaged); fi
script_counted python3 "$REPO/tests/libvirt/run.py" --monitor "${TACHI_MONITOR_BIN:-$TARGET/debug/tachi-monitor}" "${packaged[@]}" "$@"
