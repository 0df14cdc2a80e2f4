#!/usr/bin/env bash
# The documentation builds without warnings, and its examples run.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/cargo-counts.sh
. "$REPO/tests/lib/cargo-counts.sh"
cd "$REPO"
check "cargo doc" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --lib
cargo_test_counted --locked --workspace --doc
checks_done
