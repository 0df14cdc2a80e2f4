#!/usr/bin/env bash
# records.sh MODE PASSED FAILED SECONDS : notes when and where a run that CI does not do was done (docs/design/test-runs.md, meant to be
# committed), and prints the last one of each kind.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
mode="$1" passed="$2" failed="$3" seconds="$4"
file="$REPO/docs/design/test-runs.md"

case "$mode" in all | quick | partial) record=no ;; *) record=yes ;; esac
if [ "$record" = yes ]; then
  system="$(sed -nE 's/^PRETTY_NAME="?([^"]*)"?$/\1/p' /etc/os-release 2>/dev/null || true)"
  where="${system:-$(uname -s)}, $(nproc) cores, $(uname -m)"
  commit="$(git -C "$REPO" rev-parse --short HEAD 2>/dev/null || echo none)"
  if [ -n "$(git -C "$REPO" status --porcelain 2>/dev/null | head -n 1)" ]; then commit="$commit + changes"; fi
  printf '| %s | %s | %s | %s | %s | %s | %s |\n' \
    "$mode" "$(date -u '+%Y-%m-%d %H:%M')" "$where" "$commit" "$passed" "$failed" "$seconds" >>"$file"
fi

for kind in real-cloud region long bench chain deploy; do
  last="$(grep -E "^\| $kind \|" "$file" 2>/dev/null | tail -n 1 || true)"
  say "not part of CI: --$kind, last run: ${last:-never}"
done
