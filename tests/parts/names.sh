#!/usr/bin/env bash
# Masakari's programs from PyPI, and ours under their names: the same words, the same answers.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
upstream="$("$REPO/tests/upstream/venv.sh")"
monitors="$("$REPO/tests/monitors-upstream/venv.sh")"
script_counted python3 "$REPO/tests/names/run.py" --tachi "$TACHI" --monitor "$MONITOR" --upstream "$upstream/bin" \
  --upstream-monitors "$monitors/bin"
