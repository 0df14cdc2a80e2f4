#!/usr/bin/env bash
# Binaries and tests, so that the times of later parts are times of tests. One profile (dev) for lint, tests and demo.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
cd "$REPO"

# What a newcomer waits for before the demo, in seconds of processor time, from nothing (measured: 336 on a quiet machine of two cores, 410 on a busy one).
# Into a target folder that is not empty less is built, and nothing is proven.
BUDGET=540
spent="$(mktemp)"
trap 'rm -f "$spent"' EXIT
TIMEFORMAT="%U %S"
{ time cargo build --locked --bin tachi 2>&3; } 3>&2 2>"$spent"
within_budget() {
  local seconds
  seconds="$(awk '{ printf "%d", $1 + $2 }' "$spent")"
  echo "the build took $seconds s of processor time, $BUDGET are allowed"
  [ "$seconds" -le "$BUDGET" ]
}
nothing_twice() {
  local log
  cargo build --locked
  log="$(cargo build --locked --workspace --bins 2>&1)"
  if grep "Compiling" <<<"$log"; then return 1; fi
}
check "what the demo needs is built within its budget of processor time" within_budget
check "the whole workspace's binaries are those, and nothing is built twice" nothing_twice
cargo build --locked --workspace --all-targets
checks_done
