#!/usr/bin/env bash
# What openstacksdk makes of clouds.yaml and of OS_ variables is what tests/clients-config/table.json says.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/python.sh
. "$REPO/tests/lib/python.sh"
venv="$(python_environment clouds "$REPO/tests/clients-config/requirements.txt" /dev/null)"
check "tests/clients-config/table.json is what openstacksdk does" "$venv/bin/python" "$REPO/tests/clients-config/table.py" --check
checks_done
