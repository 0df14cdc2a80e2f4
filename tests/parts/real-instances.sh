#!/usr/bin/env bash
# Single instances of a real Nova: one that does not start on its host, one that is left on a dead host, one that its user stops.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
TACHI_VENV="$("$REPO/tests/lib/venv.sh")"
export TACHI_VENV
script_counted "$REPO/tests/real-cloud/run.sh" "$TACHI" --instances
