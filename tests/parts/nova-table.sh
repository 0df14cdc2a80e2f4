#!/usr/bin/env bash
# The table of Nova's behaviours against the sandbox's Nova (`--real-cloud` runs it against a real one).
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
venv="$("$REPO/tests/lib/venv.sh")"
script_counted "$venv/bin/python" "$REPO/tests/nova-table/run.py" --target sandbox --tachi "$TACHI"
