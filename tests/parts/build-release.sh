#!/usr/bin/env bash
# The binary as people run it, for the benchmark.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
cd "$REPO"
cargo build --locked --release --bin tachi
