#!/usr/bin/env bash
# A real Keystone, Placement, Glance and Nova on this machine; left alone when it is already up.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
cloud="$REPO/devstack/minicloud"
run="${MC_RUN:-${MC_ROOT:-/opt/minicloud}/run}"
# Whoever started it stops it: tests/run looks for this file at its end, whatever that end is.
if [ ! -s "$run/pids/nova-api.pid" ] || [ ! -d "/proc/$(cat "$run/pids/nova-api.pid")" ]; then
  : >"${TACHI_TEST_RUN_DIR:-/tmp}/minicloud-started"
fi
"$cloud/install.sh"
"$cloud/up.sh" 4
