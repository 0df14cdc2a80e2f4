#!/usr/bin/env bash
# Unit, property, simulation and black-box tests written in Rust.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/cargo-counts.sh
. "$REPO/tests/lib/cargo-counts.sh"
cd "$REPO"
export TACHI_BIN="$TACHI"
if cargo nextest --version >/dev/null 2>&1; then
  nextest_counted --locked --workspace --profile "${TACHI_NEXTEST_PROFILE:-default}"
else
  loud "cargo-nextest is not installed: using cargo test, which neither kills a hanging test nor isolates them"
  cargo_test_counted --locked --workspace --all-targets
fi
