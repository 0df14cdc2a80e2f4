#!/usr/bin/env bash
# The API, driven by its own OpenAPI document: nothing undocumented, no 5xx, wrong data refused and good data taken.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/python.sh
. "$REPO/tests/lib/python.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
venv="$(python_environment schemathesis \
  "$REPO/tests/schemathesis/requirements.txt" "$REPO/tests/schemathesis/constraints.txt")"
# A sample of each operation's cases; all of them in --long. The seed is the commit's.
examples=20 seed=0
case "${TACHI_SAMPLE:-}" in
  "") ;;
  everything) examples=200 ;;
  *) seed=$((16#${TACHI_SAMPLE:0:7})) ;;
esac
script_counted "$venv/bin/python" "$REPO/tests/schemathesis/run.py" --tachi "$TACHI" \
  --schemathesis "$venv/bin/schemathesis" --kept "$REPO/docs/openapi.json" --examples "$examples" --seed "$seed"
