#!/usr/bin/env bash
# Somebody watches a region die and come back in the web board, with Debian's Chromium.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
# shellcheck source=tests/lib/python.sh
. "$REPO/tests/lib/python.sh"
apt_need chromium chromium
python="$(python_environment board "$REPO/tests/board/requirements.txt" "$REPO/tests/board/constraints.txt")"
script_counted "$python/bin/python" "$REPO/tests/board/board.py" --tachi "$TACHI"
