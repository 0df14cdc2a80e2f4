# shellcheck shell=bash
# region_cases CASE... : runs cases of tests/region/run.py on the running region, or on a new one. tests/run stops it at its end,
# also after a failure; a part that runs alone leaves it up (tests/region/region.sh down).
region_cases() {
  local down="${TACHI_TEST_RUN_DIR:-}"
  if [ -n "$down" ]; then
    export REGION_DIR="$down/region"
    touch "$down/region-started"
  fi
  "$REPO/tests/region/region.sh" up
  local failed=0
  script_counted "$REPO/tests/region/region.sh" run "$@" || failed=1
  # A failed case must not affect the next one.
  if [ "$failed" -ne 0 ]; then "$REPO/tests/region/region.sh" down; fi
  return "$failed"
}
