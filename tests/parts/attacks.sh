#!/usr/bin/env bash
# An attacker can do nothing with the credentials of a hypervisor.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
# What is released is attacked, if it has been built of what is here; else what the other parts try.
attacked="$TACHI"
release="$TARGET/release/tachi"
if [ -z "${TACHI_BIN:-}" ] && [ -x "$release" ]; then
  newer="$(find "$REPO" -path "$TARGET" -prune -o -newer "$release" \( -name '*.rs' -o -name 'Cargo.*' \) -print -quit)"
  if [ -z "$newer" ]; then attacked="$release"; else say "$release is older than $newer: not attacked"; fi
fi
venv="$("$REPO/tests/lib/venv.sh")"
script_counted "$venv/bin/python" "$REPO/tests/attacks/attacks.py" --tachi "$attacked"
