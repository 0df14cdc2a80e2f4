#!/usr/bin/env bash
# Format of the Rust code.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
cd "$REPO"
cargo fmt --all --check
