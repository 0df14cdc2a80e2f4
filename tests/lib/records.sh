#!/usr/bin/env bash
# records.sh RUN COMMIT : records when and where parts outside of CI were run, a row for each in docs/design/test-runs.md (meant to be committed),
# and prints the last one of each run. RUN is what was chosen (`all` where nothing was); the standard input has lines `PART PASSED FAILED SECONDS`.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
file="${TACHI_TEST_RUNS:-$REPO/docs/design/test-runs.md}"

# run_of PART RUN : prints the run of a part that CI does not run
run_of() {
  awk -v part="$1" -v chosen="$2" '
    $2 == part { runs[$1] = 1; if (first == "") first = $1 }
    END {
      if (part == "build") exit
      ci = ("all" in runs) || ("quick" in runs)
      if (chosen != "all" && chosen != "quick" && chosen in runs) print chosen
      else if (!ci) print first
    }' "$REPO/tests/parts/parts.conf"
}

system="$(sed -nE 's/^PRETTY_NAME="?([^"]*)"?$/\1/p' /etc/os-release 2>/dev/null || true)"
where="${system:-$(uname -s)}, $(nproc) cores, $(uname -m)"
while read -r part passed failed seconds; do
  run="$(run_of "$part" "$1")"
  if [ -z "$run" ]; then continue; fi
  printf '| %s | %s | %s | %s | %s | %s | %s | %s |\n' \
    "$run" "$part" "$(date -u '+%Y-%m-%d %H:%M')" "$where" "$2" "$passed" "$failed" "$seconds" >>"$file"
done

for kind in real-cloud region long bench chain deploy; do
  last="$(grep -E "^\| $kind \|" "$file" 2>/dev/null | tail -n 1 || true)"
  say "not part of CI: --$kind, last run: ${last:-never}"
done
