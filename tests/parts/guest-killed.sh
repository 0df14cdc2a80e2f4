#!/usr/bin/env bash
# A guest of a real region is killed, and Tachi restarts it.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
# shellcheck source=tests/lib/region.sh
. "$REPO/tests/lib/region.sh"
region_cases guest-killed
