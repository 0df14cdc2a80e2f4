#!/usr/bin/env bash
# Runs shellcheck over every shell script of the tree; every Python file at least compiles.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
cd "$REPO"
apt_need shellcheck shellcheck
apt_need python3 python3
mapfile -d '' -t files < <(find . -type d \( -name target -o -name .git -o -name .venv \) -prune -o -type f -size -200k -print0)
scripts=() pythons=()
for f in "${files[@]}"; do
  case "$f" in
    *.sh) scripts+=("$f"); continue ;;
    *.py) pythons+=("$f"); continue ;;
  esac
  IFS= read -r first <"$f" 2>/dev/null || continue
  case "$first" in
    # The second for files that others source, such as devstack/settings.
    '#!'*bash | '#!/bin/sh' | '# shellcheck shell='*) scripts+=("$f") ;;
    '#!'*python3) pythons+=("$f") ;;
  esac
done
[ "${#scripts[@]}" -gt 5 ] || die "only ${#scripts[@]} shell scripts found: the search is broken"
check "shellcheck (${#scripts[@]} scripts)" shellcheck --external-sources --source-path="$REPO" --source-path=SCRIPTDIR "${scripts[@]}"
compile() { python3 -c 'import sys
for name in sys.argv[1:]:
    compile(open(name, encoding="utf-8").read(), name, "exec")' "$@"; }
check "python compiles (${#pythons[@]} files)" compile "${pythons[@]}"
# Another set of features: 23 external crates would be built a second time for it (docs/design/development.md).
check "no page tells to build one crate with -p" bash -c "! git grep -nE 'cargo (build|check|clippy|test|nextest run) [^\`]*-p ' -- '*.md' '*.rs'"
# CI is cut off from outside after 5,400 s, and then prints nothing: the run ends itself before, with some minutes for its summary.
in_time() {
  # shellcheck source=tests/lib/driver.sh
  . "$REPO/tests/lib/driver.sh"
  echo "the run of CI ends itself after $(run_limit all) s"
  [ "$(run_limit all)" -le 4800 ]
}
check "the run of CI ends by itself before it is cut off" in_time
# A part that CI does is recorded of another run only; a part of none of CI's runs always.
recorded() {
  local file
  file="$(mktemp)"
  printf '%s\n' "images 3 1 20" "databases 5 0 30" "build 1 0 9" | TACHI_TEST_RUNS="$file" bash "$REPO/tests/lib/records.sh" "$1" 12345678 >/dev/null
  sed -E 's/ \| [0-9]{4}-.* \| ([0-9]+ \| [0-9]+ \| [0-9]+ \|)$/ | \1/' "$file"
  rm "$file"
}
records() {
  diff <(printf '| deploy | images | 3 | 1 | 20 |\n') <(recorded all) &&
    diff <(printf '| deploy | images | 3 | 1 | 20 |\n| long | databases | 5 | 0 | 30 |\n') <(recorded long)
}
check "what CI does not do is recorded, part by part" records
checks_done
