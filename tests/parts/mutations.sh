#!/usr/bin/env bash
# Takes one rule after another out of a scratch copy of the decision core: the simulation must notice each.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
cd "$REPO"
rc=0
python3 tests/mutations/run.py --scratch "$TARGET/mutations" --results "$RESULTS" || rc=$?
exit "$rc"
