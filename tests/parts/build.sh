#!/usr/bin/env bash
# Binaries and tests, so that the times of later parts are times of tests. One profile (dev) for lint, tests and demo.
# Third-party crates are taken from the last build of the same lock file and toolchain on this machine.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
cd "$REPO"
crates() { if have python3; then python3 "$REPO/tests/lib/crates.py" "$1" "$TARGET" || say "note: third-party crates are not kept"; fi; }
crates restore
nothing_twice() {
  local log
  cargo build --locked
  log="$(cargo build --locked --workspace --bins 2>&1)"
  if grep "Compiling" <<<"$log"; then return 1; fi
}
cargo build --locked --workspace --bins
check "the whole workspace's binaries are built, and nothing is built twice" nothing_twice
cargo build --locked --workspace --all-targets
crates keep
checks_done
