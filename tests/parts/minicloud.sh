#!/usr/bin/env bash
# A real Keystone, Placement, Glance and Nova on this machine; left alone when it is already up.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/minicloud.sh
. "$REPO/tests/lib/minicloud.sh"
"$REPO/devstack/minicloud/install.sh"
minicloud_up 0
