#!/usr/bin/env bash
# The night of docs/three-in-the-morning.md is walked again: what comes back has to be what the page shows.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
apt_need python3 python3
script_counted python3 "$REPO/tests/walk/walk.py" --tachi "$TACHI"
