#!/usr/bin/env bash
# The packaged monitor against its limits of memory and time, at a real libvirtd. Root.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
export TACHI_MONITOR_BIN="$TARGET/dist-monitor/tachi-monitor" TACHI_MONITOR_PACKAGED=yes
exec "$REPO/tests/parts/libvirt.sh"
