#!/usr/bin/env bash
# Unit, property and black-box tests written in Rust. In the full run what is timed runs in the part
# `timed`, and the simulation in `simulation`.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/cargo-counts.sh
. "$REPO/tests/lib/cargo-counts.sh"
cd "$REPO"
export TACHI_BIN="$TACHI"
nothing_ignored() { ! git grep -nE '#\[ignore' -- '*.rs'; }
if git rev-parse HEAD >/dev/null 2>&1; then check "no test is ignored" nothing_ignored; fi
profile="${TACHI_NEXTEST_PROFILE:-beside}"
if [ "$profile" = quick ] && ! have_nextest; then
  loud "cargo-nextest is not installed: using cargo test, which neither kills a hanging test nor isolates them"
  cargo_test_counted --locked --workspace --all-targets
else
  need_nextest
  TACHI_SKIPPED_IS=fine nextest_counted --locked --workspace --profile "$profile"
fi
checks_done
