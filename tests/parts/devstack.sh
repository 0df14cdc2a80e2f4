#!/usr/bin/env bash
# The DevStack plug-in in every phase, with DevStack's functions stubbed.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
script_counted "$REPO/tests/devstack/run.sh" "$TACHI" "$MONITOR"
