#!/usr/bin/env bash
# `tachi api` and `tachi engine` recover hosts of a real Nova while other things go wrong too.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
TACHI_VENV="$("$REPO/tests/lib/venv.sh")"
export TACHI_VENV
script_counted "$REPO/tests/real-cloud/run.sh" "$TACHI" --trouble
