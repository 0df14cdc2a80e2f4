#!/usr/bin/env bash
# Whether every known defect and every rule of the protocol has its tests, and every mutation its place.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
cd "$REPO"
check "every defect and every rule has a test" python3 tests/lib/register.py
check "every mutation has its place" python3 tests/mutations/run.py --check --scratch "$TARGET/mutations"
checks_done
