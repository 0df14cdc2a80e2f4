#!/usr/bin/env bash
# Every command of the unmodified CLI and every call of the unmodified SDK, over every form of catalog entry.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
venv="$("$REPO/tests/lib/venv.sh")"
script_counted "$venv/bin/python" "$REPO/tests/client/every_call.py" --tachi "$TACHI"
