#!/usr/bin/env bash
# cargo-deny: what `dependencies` checks, and the advisories.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
cd "$REPO"
if ! cargo deny --version >/dev/null 2>&1; then
  say "building cargo-deny (some minutes)"
  cargo install --locked cargo-deny --root "$TARGET/tools"
  export PATH="$TARGET/tools/bin:$PATH"
fi
cargo deny --workspace --locked check
