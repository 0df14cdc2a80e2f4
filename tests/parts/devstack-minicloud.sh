#!/usr/bin/env bash
# What the DevStack plug-in calls sets our services up in a real Keystone and Nova, and hosts are recovered.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
apt_need apache2 apache2-bin
TACHI_VENV="$("$REPO/tests/lib/venv.sh")"
export TACHI_VENV
script_counted "$REPO/tests/devstack/minicloud.sh" "$TACHI" "$MONITOR"
