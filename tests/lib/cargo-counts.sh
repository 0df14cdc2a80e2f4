# shellcheck shell=bash
# Runs cargo's test commands and parses the counts from their output.
# A run without a summary (it did not compile, it was killed) counts as one failure.

have_nextest() {
  if [ -x "$CACHE/tools/bin/cargo-nextest" ]; then PATH="$CACHE/tools/bin:$PATH"; fi
  cargo nextest --version >/dev/null 2>&1
}

# need_nextest : builds it if it is missing (takes some minutes, once per machine)
need_nextest() {
  if have_nextest; then return 0; fi
  say "building cargo-nextest into $CACHE/tools (some minutes, once)"
  cargo install --locked cargo-nextest --root "$CACHE/tools" >&2 || die "cargo-nextest is missing and could not be built"
  have_nextest || die "cargo-nextest was built but does not run"
}

# nextest_counted ARGS...
nextest_counted() {
  local log rc=0 line run passed skipped
  log="$(mktemp)"
  cargo nextest run --config-file "$REPO/tests/nextest.toml" "$@" 2>&1 | tee "$log" || rc=$?
  line="$(strip_colour <"$log" | grep -E 'Summary \[' | tail -n 1 || true)"
  rm -f "$log"
  if [ -z "$line" ]; then
    count 0 1
    return 1
  fi
  run="$(sed -nE 's/.*\] +([0-9]+)(\/[0-9]+)? tests? run.*/\1/p' <<<"$line")"
  passed="$(sed -nE 's/.*run: ([0-9]+) passed.*/\1/p' <<<"$line")"
  skipped="$(sed -nE 's/.*[ ,]([0-9]+) skipped.*/\1/p' <<<"$line")"
  report_counts "$rc" "${passed:-0}" "$((${run:-0} - ${passed:-0}))" "${skipped:-0}"
}

# cargo_test_counted ARGS... : `cargo test`, for doc tests and for machines without nextest
cargo_test_counted() {
  local log rc=0 sums
  log="$(mktemp)"
  cargo test --no-fail-fast "$@" 2>&1 | tee "$log" || rc=$?
  sums="$(strip_colour <"$log" | awk '/^test result:/ { p += $4; f += $6; i += $8; n++ } END { print n + 0, p + 0, f + 0, i + 0 }')"
  rm -f "$log"
  local n p f i
  read -r n p f i <<<"$sums"
  if [ "$n" -eq 0 ]; then
    count 0 1
    return 1
  fi
  report_counts "$rc" "$p" "$f" "$i"
}

# report_counts RC PASSED FAILED SKIPPED
report_counts() {
  local rc="$1" passed="$2" failed="$3" skipped="$4"
  if [ "$skipped" -gt 0 ] && [ "${TACHI_SKIPPED_IS:-failure}" = failure ]; then
    loud "$skipped tests were skipped: an ignored test counts as failed here"
    failed=$((failed + skipped))
  fi
  # It failed without a failed test, for example because of a build error.
  if [ "$rc" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
  count "$passed" "$failed"
  [ "$failed" -eq 0 ]
}
