# shellcheck shell=bash
# script_counted COMMAND... : runs a test script whose last line is `N passed, M failed`; without that line it counts as one failure.
script_counted() {
  local log rc=0 line passed failed
  log="$(mktemp)"
  "$@" 2>&1 | tee "$log" || rc=$?
  line="$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1 || true)"
  rm -f "$log"
  if [ -z "$line" ]; then
    count 0 1
    return 1
  fi
  read -r passed _ failed _ <<<"$line"
  if [ "$rc" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
  count "$passed" "$failed"
  [ "$failed" -eq 0 ]
}
