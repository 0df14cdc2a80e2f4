#!/usr/bin/env bash
# venv.sh : makes (once) the Python environment with the `masakari` package and prints its path.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/python.sh
. "$REPO/tests/lib/python.sh"
python_environment masakari "$REPO/tests/upstream/requirements.txt" \
  "$REPO/tests/upstream/constraints.txt"
