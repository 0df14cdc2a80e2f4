#!/usr/bin/env bash
# venv.sh : makes (once) the Python environment of the charms' tests and prints its path.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/python.sh
. "$REPO/tests/lib/python.sh"
python_environment charms \
  "$REPO/tests/charms/requirements.txt" "$REPO/tests/charms/constraints.txt"
