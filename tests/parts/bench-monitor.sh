#!/usr/bin/env bash
# The packaged monitor against its limits of size, memory and time, at an API.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
export TACHI_MONITOR_BIN="$TARGET/dist-monitor/tachi-monitor" TACHI_MONITOR_PACKAGED=yes
size="$(stat -c %s "$TACHI_MONITOR_BIN")"
say "        the binary has $size bytes"
[ "$size" -lt 12000000 ] || die "the monitor's binary has $size bytes, and is to be under 12,000,000"
exec "$REPO/tests/parts/monitor-interop.sh"
