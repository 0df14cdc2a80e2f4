#!/usr/bin/env bash
# unchanged.sh is|keep PART INPUTS... : tests if a part has passed on this machine with the same inputs; records that it has.
# The notes are kept beside the third-party crates, never in the tree.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
word="$1" part="$2"
read -ra inputs <<<"$3"
if [ "${inputs[*]}" = - ]; then
  [ "$word" = keep ]
  exit
fi
cd "$REPO"
if ! git rev-parse HEAD >/dev/null 2>&1; then
  [ "$word" = keep ]
  exit
fi
inputs+=("tests/parts/$part.sh" tests/lib/common.sh tests/lib/script-counts.sh)
# One commit in ten runs everything, in case an input is not listed.
if [ "$word" = is ] && [ $((16#$(commit_id | cut -c 1-4) % 10)) -eq 0 ]; then exit 1; fi
hash="$(git ls-files -z --cached --others --exclude-standard -- "${inputs[@]}" 2>/dev/null | sort -z | xargs -0 -r sha256sum 2>/dev/null | sha256sum | cut -d ' ' -f 1)"
note="$CACHE/passed/$part-$hash"
case "$word" in
  is) [ -e "$note" ] ;;
  keep) mkdir -p "$CACHE/passed" && find "$CACHE/passed" -name "$part-*" -delete && : >"$note" ;;
  *) die "unchanged.sh: expected is or keep, not $word" ;;
esac
