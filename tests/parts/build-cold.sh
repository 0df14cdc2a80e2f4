#!/usr/bin/env bash
# What a newcomer waits for before the demo, from nothing: a target folder of its own, no crate that was built before.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
cd "$REPO"

# Seconds of processor time (measured: 336 on a quiet machine of two cores, 410 to 520 on a busy one).
BUDGET=600
cold="$(mktemp -d "$TARGET/cold.XXXXXX")"
spent="$(mktemp)"
trap 'rm -rf "$cold" "$spent"' EXIT
TIMEFORMAT="%U %S"
{ time CARGO_TARGET_DIR="$cold" cargo build --locked --bin tachi 2>&3; } 3>&2 2>"$spent"
within_budget() {
  local seconds
  seconds="$(awk '{ printf "%d", $1 + $2 }' "$spent")"
  echo "the build took $seconds s of processor time, $BUDGET are allowed"
  [ "$seconds" -le "$BUDGET" ]
}
check "what the demo needs is built within its budget of processor time" within_budget
checks_done
