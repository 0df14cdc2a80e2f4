#!/usr/bin/env bash
# Somebody uses the unmodified masakari-dashboard in an unmodified Horizon against `tachi serve`.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
dashboard="$("$REPO/tests/dashboard/venv.sh")"
script_counted "$dashboard/bin/python" "$REPO/tests/dashboard/dashboard.py" --tachi "$TACHI"
