#!/usr/bin/env bash
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
cd "$REPO"
cargo clippy --locked --workspace --all-targets -- -D warnings
# No part of all targets, since it needs a broker to run.
cargo clippy --locked --workspace --test broker -- -D warnings
# Lints need the third-party crates' metadata, which a build does not make.
if have python3; then python3 "$REPO/tests/lib/crates.py" keep "$TARGET" || say "note: third-party crates are not kept"; fi
