#!/usr/bin/env bash
# The units and what else packages bring, and that packages and releases are made of the same bytes each time.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
apt_need systemd-analyze systemd
apt_need systemd-sysusers systemd
apt_need readelf binutils
apt_need gpg gnupg
failed=0
script_counted python3 "$REPO/tests/units/run.py" || failed=1
script_counted python3 "$REPO/tests/release/run.py" || failed=1
[ "$failed" -eq 0 ]
