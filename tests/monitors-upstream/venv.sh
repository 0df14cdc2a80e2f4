#!/usr/bin/env bash
# venv.sh : makes (once) the Python environment with the unmodified monitors and prints its path.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/python.sh
. "$REPO/tests/lib/python.sh"
python_environment masakari-monitors "$REPO/tests/monitors-upstream/requirements.txt" \
  "$REPO/tests/monitors-upstream/constraints.txt"
