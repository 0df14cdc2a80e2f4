#!/usr/bin/env bash
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
cd "$REPO"
cargo clippy --locked --workspace --all-targets -- -D warnings
