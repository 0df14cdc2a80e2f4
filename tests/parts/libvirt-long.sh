#!/usr/bin/env bash
# Ten minutes of events for the four packaged monitors of a compute: what they take of memory afterwards. Root.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
export TACHI_MONITOR_BIN="$TARGET/dist-monitor/tachi-monitor" TACHI_MONITOR_PACKAGED=yes
exec "$REPO/tests/parts/libvirt.sh" --long
