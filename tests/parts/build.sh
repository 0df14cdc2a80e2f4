#!/usr/bin/env bash
# Binaries and tests, so that the times of later parts are times of tests. One profile (dev) for lint, tests and demo.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
cd "$REPO"
cargo build --locked --workspace --all-targets
