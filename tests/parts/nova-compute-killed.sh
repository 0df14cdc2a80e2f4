#!/usr/bin/env bash
# nova-compute of a real hypervisor is killed, and its guests run on: nothing is recovered.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
# shellcheck source=tests/lib/region.sh
. "$REPO/tests/lib/region.sh"
region_cases nova-compute-killed
