#!/usr/bin/env bash
# Recoveries against their targets: real processes against the simulated region. Exit 1 if a target is missed.
# TACHI_BENCH_FULL=yes lets 250 hosts with 10,000 instances fail instead of 25 with 1,000: eleven minutes more.
# The figures are left in bench-engine.json of the target folder.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
binary="${TACHI_BIN:-$TARGET/${TACHI_BENCH_PROFILE:-dist}/tachi}"
[ -x "$binary" ] || die "there is no $binary: tests/parts/build-dist.sh builds it"
python="$("$REPO/tests/lib/venv.sh")/bin/python"
full=()
if [ "${TACHI_BENCH_FULL:-no}" = yes ]; then full=(--full); fi
script_counted "$python" "$REPO/tests/bench/engine.py" --tachi "$binary" --json "$TARGET/bench-engine.json" "${full[@]}"
