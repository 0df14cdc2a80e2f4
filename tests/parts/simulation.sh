#!/usr/bin/env bash
# Recoveries, simulated in virtual time: 3,000 seeds drawn from the commit, those that have found a defect, and the rules at the
# ports left out one by one. It uses every processor it can have.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/cargo-counts.sh
. "$REPO/tests/lib/cargo-counts.sh"
cd "$REPO"
need_nextest
# A failing seed joins those that are always run (tests/simulation/main.rs) in the change that corrects it.
case "${TACHI_SAMPLE:-everything}" in
  everything) ;;
  *) export SIM_FROM=$((1000000000 + 16#${TACHI_SAMPLE:0:7} * 3000)) ;;
esac
say "seeds from ${SIM_FROM:-1}"
TACHI_SKIPPED_IS=fine nextest_counted --locked --workspace --success-output final -E 'binary(simulation)'
