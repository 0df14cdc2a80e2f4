#!/usr/bin/env bash
# The binary as packages bring it, for the benchmark. TACHI_BENCH_PROFILE=release builds sooner and runs slower: there other
# people's crates are hardly optimised.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
cd "$REPO"
cargo build --locked --profile "${TACHI_BENCH_PROFILE:-dist}" --bin tachi
