#!/usr/bin/env bash
# venv.sh : makes (once) the Python environment with a Redfish service and MAAS's own client, and prints its path.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/python.sh
. "$REPO/tests/lib/python.sh"
python_environment fencers \
  "$REPO/tests/fencers/requirements.txt" "$REPO/tests/fencers/constraints.txt"
