#!/usr/bin/env bash
# The same random policy rules to the real oslo.policy (PyPI) and to our evaluator.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
cd "$REPO"
venv="$("$REPO/tests/lib/venv.sh")"
# With the whole workspace, so that nothing is built with other features than elsewhere.
cargo build --locked --workspace --example evaluate
script_counted "$venv/bin/python" "$REPO/tests/policy/differential.py" --evaluator "$TARGET/debug/examples/evaluate"
