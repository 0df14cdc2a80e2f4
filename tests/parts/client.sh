#!/usr/bin/env bash
# The unmodified `openstack` command walks an operator's path against `tachi serve --sandbox`.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
venv="$("$REPO/tests/lib/venv.sh")"
script_counted "$venv/bin/python" "$REPO/tests/client/walk.py" --tachi "$TACHI" --openstack "$venv/bin/openstack"
