#!/usr/bin/env bash
# The charms: lint, and every hook against the machine of the tests, without Juju.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
cd "$REPO"
venv="$("$REPO/tests/charms/venv.sh")"
check "ruff finds nothing in the charms" "$venv/bin/ruff" check --no-cache charms tests/charms
check "the charms are formatted" "$venv/bin/ruff" format --no-cache --check charms tests/charms
check "pyflakes finds nothing in the charms" "$venv/bin/pyflakes" charms tests/charms
script_counted "$venv/bin/python" -m pytest -c tests/charms/pytest.ini tests/charms && checks_done
