#!/usr/bin/env bash
# Somebody watches a region die and come back in `tachi mon`, in a terminal of tmux.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
apt_need tmux tmux
apt_need python3 python3
script_counted python3 "$REPO/tests/mon/mon.py" --tachi "$TACHI"
