#!/usr/bin/env bash
# venv.sh : creates (once) the Python environment with the unmodified OpenStack clients and prints its path.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=tests/lib/python.sh
. "$REPO/tests/lib/python.sh"
python_environment openstack \
  "$REPO/tests/client/requirements.txt" "$REPO/tests/client/constraints.txt"
