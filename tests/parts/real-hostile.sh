#!/usr/bin/env bash
# A real Nova fails after the work, forgets it, hides a cell and loses its broker while `tachi engine` recovers a host; then a naive loop
# in Tachi's place is found out by the same cases. They wait more than they work, so three miniclouds take a third each.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
# shellcheck source=tests/lib/minicloud.sh
. "$REPO/tests/lib/minicloud.sh"
TACHI_VENV="$("$REPO/tests/lib/venv.sh")"
export TACHI_VENV

# on NUMBER KIND CASE... : on that minicloud, each line with its number
on() {
  local number="$1" kind="$2"
  shift 2
  MC_NUMBER="$number" script_counted "$REPO/tests/real-cloud/run.sh" "$TACHI" "$kind" "$@" | sed -u "s/^/$number  /"
}
broker() { printf ' c14-%s' "$1"-{12,64,70}-{10,40}; }

jobs=()
for number in 0 1 2; do minicloud_up "$number" & jobs+=("$!"); done
for job in "${jobs[@]}"; do wait "$job" || die "a minicloud does not start"; done
jobs=()
# shellcheck disable=SC2046
on 0 --hostile $(broker 60) & jobs+=("$!")
# shellcheck disable=SC2046
on 1 --hostile $(broker 80) & jobs+=("$!")
{
  failed=0
  on 2 --hostile c1 c5 c4 c4-each c4-20s c4-hang c4-refuse || failed=1
  on 2 --naive c1 c5 c4 c14-60-64-10 || failed=1
  exit "$failed"
} & jobs+=("$!")
failed=0
for job in "${jobs[@]}"; do wait "$job" || failed=1; done
exit "$failed"
