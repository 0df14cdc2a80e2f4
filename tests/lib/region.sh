# shellcheck shell=bash
# region_cases CASE... : these cases of tests/region/run.py, on the region that is up, else on a new one. Whoever started it stops it:
# tests/run does so at its end, whatever that end is; a part that runs alone leaves it up (tests/region/region.sh down).
region_cases() {
  local down="${TACHI_TEST_RUN_DIR:-}"
  if [ -n "$down" ]; then
    export REGION_DIR="$down/region"
    touch "$down/region-started"
  fi
  "$REPO/tests/region/region.sh" up
  local failed=0
  script_counted "$REPO/tests/region/region.sh" run "$@" || failed=1
  # What a case that failed has broken does not meet the next one.
  if [ "$failed" -ne 0 ]; then "$REPO/tests/region/region.sh" down; fi
  return "$failed"
}
