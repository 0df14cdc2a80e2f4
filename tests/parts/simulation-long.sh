#!/usr/bin/env bash
# 100,000 seeds of the simulation; TACHI_SIM_SEEDS for another number.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/cargo-counts.sh
. "$REPO/tests/lib/cargo-counts.sh"
cd "$REPO"
export SIM_SEEDS="${TACHI_SIM_SEEDS:-100000}"
cargo_test_counted --locked --release -p tachi-tests --test simulation -- --nocapture whole_recoveries
