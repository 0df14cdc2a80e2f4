#!/usr/bin/env bash
# venv.sh : makes (once) the Python environment with Horizon and the unmodified dashboard and prints its path.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/python.sh
. "$REPO/tests/lib/python.sh"
python_environment dashboard "$REPO/tests/dashboard/requirements.txt" \
  "$REPO/tests/dashboard/constraints.txt"
