#!/usr/bin/env bash
# Two hosts of a real region lose their power at once.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
# shellcheck source=tests/lib/region.sh
. "$REPO/tests/lib/region.sh"
region_cases two-hosts
