#!/usr/bin/env bash
# The monitor as packages bring it, to be measured.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
cd "$REPO"
cargo build --locked --profile dist-monitor -p tachi-monitor
