#!/usr/bin/env bash
# The CIBs of Pacemaker's own scheduler tests, judged and compared with the results that Pacemaker expects. No cluster is started.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
"$REPO/tests/pacemaker/install.sh"
source="${TACHI_PACEMAKER_SOURCE:-}"
if [ -z "$source" ]; then
  # Debian's source package, of the version whose programs judge.
  source="$(mktemp -d)"
  trap 'rm -rf "$source"' EXIT
  suite="$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)"
  printf 'deb-src http://deb.debian.org/debian %s main\n' "$suite" >"$source/sources.list"
  mkdir -p "$source/lists/partial"
  lists=(-o Dir::Etc::sourcelist="$source/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$source/lists")
  apt-get "${lists[@]}" -qq update
  (cd "$source" && apt-get "${lists[@]}" -qq source --download-only pacemaker && tar xzf pacemaker_*.orig.tar.gz)
fi
scheduler="$(find "$source" -type d -path '*/cts/scheduler' -print -quit)"
[ -n "$scheduler" ] || die "no cts/scheduler below $source"
script_counted python3 "$REPO/tests/pacemaker/corpus.py" --monitor "$MONITOR" --scheduler "$scheduler"
