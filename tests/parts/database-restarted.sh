#!/usr/bin/env bash
# A host of a real region loses its power, and MariaDB is restarted in the recovery.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
# shellcheck source=tests/lib/region.sh
. "$REPO/tests/lib/region.sh"
region_cases database-restarted
