# shellcheck shell=bash
# Runs parts one after the other or two beside each other, each in a session of its own, with a time limit; adds up what they report.

# Seconds per group (CI has 60 minutes in all); twice that is a failure.
budget() {
  case "$1" in
    build) echo 900 ;;
    unit | services | clients | real | broker) echo 600 ;;
    operators) echo 300 ;;
    install) echo 900 ;;
    cluster) echo 700 ;;
    cluster-long) echo 3600 ;;
    chain | endurance | switch) echo 900 ;;
    bench-hosts | bench-view) echo 1800 ;;
    real-trouble) echo 1500 ;;
    real-planned) echo 900 ;;
    real-hostile) echo 3600 ;;
    real-cloud | bench | bench-monitor) echo 900 ;;
    long | deploy) echo 1800 ;;
    *) die "no budget for the group $1" ;;
  esac
}

RUN_DIR=""
# Of the parts under way, by name: the session each leads, its watchdog, who copies its output, when it began, and why it counts as failed.
declare -A SESSION=() WATCHDOG=() TEE=() BEGAN=() WHY=()
declare -A USED=()
TABLE=()
BROKEN=()
PASSED=0 FAILED=0

start_run() {
  RUN_DIR="$(mktemp -d "${TMPDIR:-/tmp}/tachi-tests.XXXXXX")"
  export TACHI_TEST_RUN_DIR="$RUN_DIR"
  mkdir -p "$TARGET/test-logs"
  trap 'interrupted' INT TERM HUP
  trap 'clean_up' EXIT
}

clean_up() {
  local number name
  for name in "${!SESSION[@]}"; do
    stop_session "${WATCHDOG[$name]:-}" KILL
    stop_session "${SESSION[$name]}" TERM
  done
  for number in $(sort -u "$RUN_DIR/miniclouds-started" 2>/dev/null || true); do
    say "stopping minicloud $number"
    MC_NUMBER="$number" "$REPO/devstack/minicloud/down.sh" || loud "minicloud $number could not be stopped"
  done
  if [ -n "$RUN_DIR" ]; then rm -rf "$RUN_DIR"; fi
}

interrupted() {
  trap '' INT TERM HUP
  loud "interrupted: stopping what was started"
  FAILED=$((FAILED + 1))
  clean_up
  trap - EXIT
  printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
  exit 130
}

# session_members SID : the living processes of a session. A part leads a session of its own, and what it starts stays
# in it unless it takes pains to leave. The command name in `stat` may hold anything: count from the last parenthesis.
session_members() {
  cat /proc/[0-9]*/stat 2>/dev/null |
    awk -v sid="$1" '{ pid = $1; sub(/^.*\) /, ""); if ($4 == sid && $1 != "Z") print pid }' || true
}

# stop_session SID SIGNAL : the signal, ten seconds, then KILL
stop_session() {
  local sid="$1" pids i
  if [ -z "$sid" ]; then return 0; fi
  for ((i = 0; i < 100; i++)); do
    pids="$(session_members "$sid")"
    if [ -z "$pids" ]; then return 0; fi
    # shellcheck disable=SC2086
    if [ "$i" -eq 0 ]; then kill "-$2" $pids 2>/dev/null || true; fi
    sleep 0.1
  done
  # shellcheck disable=SC2086
  kill -KILL $pids 2>/dev/null || true
}

# begin_part PART GROUP shown|kept : in a session of its own; `kept`: what it prints goes into its log only
begin_part() {
  local name="$1" group="$2" limit out="$TARGET/test-logs/$1.log"
  limit=$((2 * $(budget "$group") - ${USED[$group]:-0}))
  BEGAN[$name]=$SECONDS
  WHY[$name]=""
  : >"$out"
  : >"$RUN_DIR/$name.counts"
  : >"$RUN_DIR/$name.times"
  if [ "$limit" -le 0 ]; then
    WHY[$name]="the group $group had used up twice its budget before it began"
    return 0
  fi
  if [ "$3" = shown ]; then
    mkfifo "$RUN_DIR/$name.out"
    tee "$out" <"$RUN_DIR/$name.out" &
    TEE[$name]=$!
    out="$RUN_DIR/$name.out"
  fi
  # Bash tells the processor time of what it has waited for, so each part has one to wait for it, also when both are told to end.
  # shellcheck disable=SC2016 # expanded by that one
  TACHI_TEST_RESULTS="$RUN_DIR/$name.counts" setsid bash -c 'trap : TERM; bash "$1"; rc=$?; { times; echo "$SECONDS"; } >"$2"; exit "$rc"' part \
    "$REPO/tests/parts/$name.sh" "$RUN_DIR/$name.times" >"$out" 2>&1 </dev/null &
  SESSION[$name]=$!
  setsid bash "$REPO/tests/lib/watchdog.sh" "$limit" "$RUN_DIR/$name.late" "${SESSION[$name]}" >/dev/null 2>&1 </dev/null &
  WATCHDOG[$name]=$!
  disown "${WATCHDOG[$name]}"
}

# end_part PART GROUP : waits for it, and adds up what it reports
end_part() {
  local name="$1" group="$2" rc=0 p f left took used
  if [ -n "${SESSION[$name]:-}" ]; then
    wait "${SESSION[$name]}" || rc=$?
    stop_session "${WATCHDOG[$name]}" KILL
    if [ -e "$RUN_DIR/$name.late" ]; then
      WHY[$name]="stopped after $(cat "$RUN_DIR/$name.late") s: then $group had used up twice its budget"
      rc=124
    fi
    # What was told to end a moment ago may still be at it.
    for _ in {1..20}; do
      left="$(session_members "${SESSION[$name]}")"
      if [ -z "$left" ]; then break; fi
      sleep 0.1
    done
    if [ -n "$left" ]; then
      WHY[$name]="${WHY[$name]:+${WHY[$name]}; }it left processes behind: $(tr '\n' ' ' <<<"$left")"
      ps -o pid=,ppid=,stat=,args= -p "$(tr '\n' ',' <<<"$left" | sed 's/,$//')" || true
      stop_session "${SESSION[$name]}" TERM
      if [ "$rc" -eq 0 ]; then rc=1; fi
    fi
    unset "SESSION[$name]"
  else
    rc=124
  fi
  if [ -n "${WHY[$name]}" ]; then loud "$name: ${WHY[$name]}"; fi
  if [ -n "${TEE[$name]:-}" ]; then wait "${TEE[$name]}" || true; fi
  read -r p f < <(awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }' "$RUN_DIR/$name.counts")
  # A part that counts nothing is one test itself; one that fails must show in the sum.
  if [ "$rc" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
  if [ "$rc" -eq 0 ] && [ "$p" -eq 0 ] && [ "$f" -eq 0 ]; then p=1; fi
  PASSED=$((PASSED + p)) FAILED=$((FAILED + f))
  if [ "$f" -gt 0 ]; then BROKEN+=("$name ${WHY[$name]}"); fi
  # Two lines of `0m1.5s 0m0.2s`, the second is that of what was waited for; then the seconds. Nothing of a part that was killed.
  read -r used took < <(awk 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, t, "m"); sum += t[1] * 60 + t[2] } } NR == 3 { took = $1 }
    END { printf "%d %d\n", sum, NR == 3 ? took : since }' since="$((SECONDS - BEGAN[$name]))" "$RUN_DIR/$name.times")
  USED[$group]=$((${USED[$group]:-0} + took))
  TABLE+=("$(printf '%-17s %5d passed %4d failed %5d s (%4d of processor)   %-10s %4d of %4d s' \
    "$name" "$p" "$f" "$took" "$used" "$group" "${USED[$group]}" "$(budget "$group")")")
}

# run_parts PART:GROUP [PART:GROUP] : the second beside the first; what it prints follows when both are over
run_parts() {
  local first="$1" second="${2:-}"
  printf '\n=== %s%s\n' "${first%%:*}" "${second:+ (and ${second%%:*} beside it)}"
  if [ -n "$second" ]; then begin_part "${second%%:*}" "${second##*:}" kept; fi
  begin_part "${first%%:*}" "${first##*:}" shown
  end_part "${first%%:*}" "${first##*:}"
  if [ -n "$second" ]; then
    end_part "${second%%:*}" "${second##*:}"
    printf '\n=== %s\n' "${second%%:*}"
    cat "$TARGET/test-logs/${second%%:*}.log"
  fi
}

# what_failed LOG : the lines that say what has failed, with what follows each, and the last lines of all
what_failed() {
  local log="$1"
  strip_colour <"$log" | grep -nE -A 12 '^(not ok|FAILED|FAIL|error)|^ +(FAIL|TIMEOUT|SIGKILL|ABORT) |panicked at' | head -n 120 || true
  printf -- '--- its last lines\n'
  tail -n 25 "$log"
}

# finish_run MODE : what has failed, the table, the record of the runs CI does not do, the last line
finish_run() {
  local mode="$1" line group name why
  for line in "${BROKEN[@]}"; do
    read -r name why <<<"$line"
    printf '\n=== failed: %s%s\n' "$name" "${why:+ ($why)}"
    what_failed "$TARGET/test-logs/$name.log"
  done
  printf '\n=== summary (logs: %s)\n' "$TARGET/test-logs"
  for line in "${TABLE[@]}"; do printf '%s\n' "$line"; done
  for group in "${!USED[@]}"; do
    if [ "${USED[$group]}" -gt "$((2 * $(budget "$group")))" ]; then
      loud "$group took ${USED[$group]} s, more than twice its budget"
      if [ "$FAILED" -eq 0 ]; then FAILED=1; fi
    elif [ "${USED[$group]}" -gt "$(budget "$group")" ]; then
      printf 'over budget: %s took %d s of %d s\n' "$group" "${USED[$group]}" "$(budget "$group")"
    fi
  done
  bash "$REPO/tests/lib/records.sh" "$mode" "$PASSED" "$FAILED"
  printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
  if [ "$FAILED" -gt 0 ]; then exit 1; fi
}
