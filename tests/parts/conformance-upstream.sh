#!/usr/bin/env bash
# What is kept, against Masakari's own API out of PyPI: the tests of the part `conformance` tell the truth.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
script_counted "$REPO/tests/conformance/run.sh" --upstream
