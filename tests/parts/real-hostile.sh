#!/usr/bin/env bash
# A real Nova fails after the work, forgets it, hides a cell and loses its broker while `tachi engine` recovers a host; then a naive loop
# in Tachi's place is found out by the same cases.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
TACHI_VENV="$("$REPO/tests/lib/venv.sh")"
export TACHI_VENV
failed=0
script_counted "$REPO/tests/real-cloud/run.sh" "$TACHI" --hostile || failed=1
script_counted "$REPO/tests/real-cloud/run.sh" "$TACHI" --naive c1 c5 c14-60-64-10 || failed=1
exit "$failed"
