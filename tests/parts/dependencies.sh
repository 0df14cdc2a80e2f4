#!/usr/bin/env bash
# Licences, sources and banned crates of everything that is linked in. Needs no cargo-deny.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
apt_need python3 python3
exec python3 "$REPO/tests/lib/dependencies.py" "$REPO"
