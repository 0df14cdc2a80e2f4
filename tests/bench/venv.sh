#!/usr/bin/env bash
# venv.sh : makes (once) the Python environment with the benchmark's peer and prints its path.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/python.sh
. "$REPO/tests/lib/python.sh"
# uWSGI is built on the spot.
have cc || apt_need cc gcc libc6-dev >&2
python_environment bench "$REPO/tests/bench/requirements.txt" "$REPO/tests/bench/constraints.txt"
