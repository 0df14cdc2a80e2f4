#!/usr/bin/env bash
# The table of Nova's behaviours against the minicloud's Nova.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
venv="$("$REPO/tests/lib/venv.sh")"
run="${MC_RUN:-${MC_ROOT:-/opt/minicloud}/run}"
script_counted "$venv/bin/python" "$REPO/tests/nova-table/run.py" --target real \
  --clouds "$run/clouds.yaml" --cloud devstack-admin --member-cloud devstack
