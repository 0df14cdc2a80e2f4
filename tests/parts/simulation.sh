#!/usr/bin/env bash
# Recoveries, simulated in virtual time: 3,000 seeds, and the rules at the ports left out one by one. It uses every processor it can have.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/cargo-counts.sh
. "$REPO/tests/lib/cargo-counts.sh"
cd "$REPO"
need_nextest
TACHI_SKIPPED_IS=fine nextest_counted --locked --workspace --success-output final -E 'binary(simulation)'
