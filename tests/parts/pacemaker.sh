#!/usr/bin/env bash
# The host monitor on a real Pacemaker cluster: three control nodes and two remotes in network namespaces.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
"$REPO/tests/pacemaker/install.sh"
long=()
if [ "${TACHI_PACEMAKER_LONG:-}" = true ]; then long=(--long); fi
script_counted python3 "$REPO/tests/pacemaker/run.py" --monitor "$MONITOR" "${long[@]}"
