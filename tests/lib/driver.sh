# shellcheck shell=bash
# Runs the parts of tests/parts/parts.conf side by side: each in a session of its own and with a time limit, as many at once
# as the machine has room for. Adds up their counts.

# Time limit of a whole run, in seconds. CI is killed from outside after 90 minutes, without a report.
run_limit() {
  case "$1" in
    quick) echo 1500 ;;
    all) echo 4500 ;;
    *) echo 28800 ;;
  esac
}

RUN_DIR=""
IN_MEMORY=no
RUN_BEGAN=0
# Of the running parts, by name: session, watchdog, start time, and share of the machine.
declare -A SESSION=() WATCHDOG=() BEGAN=() TAKES=()
# Of every part: the reason of its failure, and its configuration.
declare -A WHY=() LIMIT=() NEEDS=() PROCESSOR=() INPUTS=() OUTCOME=()
TABLE=()
# Lines `PART PASSED FAILED SECONDS` of the finished parts.
ENDED=()
BROKEN=()
LEFT_OUT=()
PASSED=0 FAILED=0
FREE=0
ROOM=0

# read_parts RUN : prints the names of its parts, in order, and stores the configuration of each
read_parts() {
  local run name processor limit needs inputs
  PARTS=()
  while read -r run name processor limit needs inputs; do
    if [ "$run" != "$1" ]; then continue; fi
    PARTS+=("$name")
    PROCESSOR[$name]="$processor" LIMIT[$name]="$limit" NEEDS[$name]="$needs" INPUTS[$name]="$inputs"
  done < <(grep -vE '^(#|$)' "$REPO/tests/parts/parts.conf")
}

# tree : the tested commit, with a mark for uncommitted changes. The record of runs does not count as a change.
tree() {
  local changes=""
  if [ -n "$(git -C "$REPO" status --porcelain -- . ':!docs/design/test-runs.md' 2>/dev/null | head -n 1)" ]; then changes=" + changes"; fi
  printf '%s%s' "$(git -C "$REPO" rev-parse --short=8 HEAD 2>/dev/null || echo none)" "$changes"
}

start_run() {
  TREE="$(tree)"
  RUN_DIR="$(mktemp -d "${TMPDIR:-/tmp}/tachi-tests.XXXXXX")"
  # In memory if possible: test databases write through to the disk, which costs no time there. A killed process still keeps
  # its written data.
  if [ "$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo 2>/dev/null || echo 0)" -gt 8000000 ] &&
    mount -t tmpfs -o size=6g,mode=711 tachi-tests "$RUN_DIR" 2>/dev/null; then
    IN_MEMORY=yes
  fi
  mkdir -m 1777 "$RUN_DIR/tmp"
  export TACHI_TEST_RUN_DIR="$RUN_DIR" TMPDIR="$RUN_DIR/tmp"
  mkdir -p "$TARGET/test-logs"
  RUN_BEGAN=$SECONDS
  ROOM=$(($(nproc) * 100))
  FREE=$ROOM
  read -r IDLE_BEFORE BUSY_BEFORE < <(processor_times)
  trap 'interrupted' INT TERM HUP
  trap 'clean_up' EXIT
}

# processor_times : hundredths of a second of all processors since boot: idle (waiting for a disk is idle), and everything else
processor_times() { awk '$1 == "cpu" { print $5 + $6, $2 + $3 + $4 + $7 + $8 }' /proc/stat 2>/dev/null || echo "0 0"; }

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
  if [ -e "$RUN_DIR/region-started" ]; then
    say "stopping the region"
    REGION_DIR="$RUN_DIR/region" "$REPO/tests/region/region.sh" down || loud "the region could not be stopped"
  fi
  if [ -n "$RUN_DIR" ]; then
    if [ "$IN_MEMORY" = yes ]; then umount -l "$RUN_DIR" || true; fi
    rm -rf "$RUN_DIR"
  fi
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

# session_members SID : the live processes of a session. A part leads its own session, and its children stay in it
# unless they leave it explicitly. The command name in `stat` may contain anything: count from the last parenthesis.
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

# takes NAME : its share of the machine, in percent of one processor
takes() {
  local wants="${PROCESSOR[$1]}"
  if [ "$wants" = alone ] || [ "$wants" -gt "$ROOM" ]; then wants=$ROOM; fi
  printf '%s' "$wants"
}

# begin_part NAME : starts it in its own session, with its output in its log; a part that runs alone is shown live
begin_part() {
  local name="$1" limit="${LIMIT[$1]}" left out="$TARGET/test-logs/$1.log"
  left=$(($(run_limit "$RUN") - (SECONDS - RUN_BEGAN)))
  if [ "$left" -lt "$limit" ]; then limit=$left; fi
  BEGAN[$name]=$SECONDS
  WHY[$name]=""
  TAKES[$name]="$(takes "$name")"
  FREE=$((FREE - TAKES[$name]))
  : >"$out"
  : >"$RUN_DIR/$name.counts"
  : >"$RUN_DIR/$name.times"
  if [ "$limit" -le 0 ]; then
    WHY[$name]="the run reached its limit of $(run_limit "$RUN") s before this part started"
    end_part "$name" 124
    return 0
  fi
  if [ "${TAKES[$name]}" -eq "$ROOM" ]; then
    printf '\n=== %s\n' "$name"
    mkfifo "$RUN_DIR/$name.out"
    tee "$out" <"$RUN_DIR/$name.out" &
    SHOWN=$!
    out="$RUN_DIR/$name.out"
  else
    printf '=== %s begins (at %d s)\n' "$name" $((SECONDS - RUN_BEGAN))
  fi
  # Bash reports the processor time of its children, so each part has its own parent shell, even when both get a signal.
  # shellcheck disable=SC2016 # expanded by that one
  TACHI_TEST_RESULTS="$RUN_DIR/$name.counts" setsid bash -c 'trap : TERM; bash "$1"; rc=$?; { times; echo "$SECONDS"; } >"$2"; exit "$rc"' part \
    "$REPO/tests/parts/$name.sh" "$RUN_DIR/$name.times" >"$out" 2>&1 </dev/null &
  SESSION[$name]=$!
  setsid bash "$REPO/tests/lib/watchdog.sh" "$limit" "$RUN_DIR/$name.late" "${SESSION[$name]}" >/dev/null 2>&1 </dev/null &
  WATCHDOG[$name]=$!
  disown "${WATCHDOG[$name]}"
}

# end_part NAME RC : records a part that exited with RC, and adds up its counts
end_part() {
  local name="$1" rc="$2" p f left took used word
  if [ -n "${SESSION[$name]:-}" ]; then
    stop_session "${WATCHDOG[$name]}" KILL
    if [ -e "$RUN_DIR/$name.late" ]; then
      WHY[$name]="stopped after $(cat "$RUN_DIR/$name.late") s, its limit"
      rc=124
    fi
    # Processes that got a signal a moment ago may still be exiting.
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
  fi
  if [ "${TAKES[$name]}" -eq "$ROOM" ]; then
    if [ -n "${SHOWN:-}" ]; then wait "$SHOWN" || true; fi
    SHOWN=""
  else
    printf '\n=== %s (its output)\n' "$name"
    cat "$TARGET/test-logs/$name.log"
  fi
  FREE=$((FREE + TAKES[$name]))
  unset "TAKES[$name]"
  if [ -n "${WHY[$name]}" ]; then loud "$name: ${WHY[$name]}"; fi
  read -r p f < <(awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }' "$RUN_DIR/$name.counts")
  # A part without counts counts as one test; a failed part must show in the sum.
  if [ "$rc" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
  if [ "$rc" -eq 0 ] && [ "$p" -eq 0 ] && [ "$f" -eq 0 ]; then p=1; fi
  PASSED=$((PASSED + p)) FAILED=$((FAILED + f))
  if [ "$f" -gt 0 ]; then
    BROKEN+=("$name ${WHY[$name]}")
    OUTCOME[$name]=failed
    word="FAILED"
  else
    OUTCOME[$name]=passed
    word="passed"
    bash "$REPO/tests/lib/unchanged.sh" keep "$name" "${INPUTS[$name]}"
  fi
  # Two lines of `0m1.5s 0m0.2s`, the second for the children; then the seconds. A killed part has none.
  read -r used took < <(awk 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, t, "m"); sum += t[1] * 60 + t[2] } } NR == 3 { took = $1 }
    END { printf "%d %d\n", sum, NR == 3 ? took : since }' since="$((SECONDS - BEGAN[$name]))" "$RUN_DIR/$name.times")
  TABLE+=("$(printf '%-20s %6d passed %4d failed %5d s of %5d (%4d of processor), begun at %4d s' \
    "$name" "$p" "$f" "$took" "${LIMIT[$name]}" "$used" "$((BEGAN[$name] - RUN_BEGAN))")")
  ENDED+=("$name $p $f $took")
  printf '=== %s %s after %d s; %d passed and %d failed in all\n' "$name" "$word" "$took" "$PASSED" "$FAILED"
}

# leave_out NAME WHY : skips a part without a failure
leave_out() {
  LEFT_OUT+=("$1: $2")
  OUTCOME[$1]=passed
  printf '=== %s is left out: %s\n' "$1" "$2"
}

# not_run NAME WHY : counts a part that cannot run as a failure
not_run() {
  FAILED=$((FAILED + 1))
  BROKEN+=("$1 $2")
  OUTCOME[$1]=failed
  : >"$TARGET/test-logs/$1.log"
  printf '=== %s FAILED: %s\n' "$1" "$2"
}

# ready NAME : 0 it may start, 1 it must wait, 2 a required part has failed. A required part outside of this run counts as passed.
ready() {
  local need="${NEEDS[$1]}" part
  if [ "$need" = - ]; then return 0; fi
  case "${OUTCOME[$need]:-}" in
    passed) return 0 ;;
    failed) return 2 ;;
  esac
  for part in "${PARTS[@]}"; do if [ "$part" = "$need" ]; then return 1; fi; done
  return 0
}

# run_all : starts each part once its requirements have passed and the machine has room, in the order of the configuration. A part
# that waits for room blocks the later ones only if it runs alone.
run_all() {
  local waiting=("${PARTS[@]}") still name state pid rc ended blocked
  while [ "${#waiting[@]}" -gt 0 ] || [ "${#SESSION[@]}" -gt 0 ]; do
    still=() blocked=no
    for name in "${waiting[@]}"; do
      state=0
      ready "$name" || state=$?
      if [ "$state" -eq 2 ]; then
        not_run "$name" "${NEEDS[$name]} has failed, and this part needs it"
      elif [ "$state" -eq 1 ] || [ "$blocked" = yes ] || [ "$(takes "$name")" -gt "$FREE" ]; then
        # Otherwise a part that runs alone would never get an idle machine.
        if [ "$state" -eq 0 ] && [ "$(takes "$name")" -eq "$ROOM" ]; then blocked=yes; fi
        still+=("$name")
      elif [ "$SKIP" = yes ] && bash "$REPO/tests/lib/unchanged.sh" is "$name" "${INPUTS[$name]}"; then
        leave_out "$name" "its inputs are unchanged since it passed here (--no-skip runs it)"
      else
        begin_part "$name"
      fi
    done
    waiting=("${still[@]}")
    if [ "${#SESSION[@]}" -eq 0 ]; then continue; fi
    rc=0 pid=""
    wait -n -p pid "${SESSION[@]}" || rc=$?
    ended=""
    for name in "${!SESSION[@]}"; do if [ "${SESSION[$name]}" = "$pid" ]; then ended="$name"; fi; done
    if [ -n "$ended" ]; then end_part "$ended" "$rc"; fi
  done
}

# what_failed LOG : prints the lines about failures with their context, and the last lines
what_failed() {
  local log="$1"
  strip_colour <"$log" | grep -nE -A 12 '^(not ok|FAILED|FAIL|error)|^ +(FAIL|TIMEOUT|SIGKILL|ABORT) |panicked at' | head -n 120 || true
  printf -- '--- its last lines\n'
  tail -n 25 "$log"
}

# idle_time : of the machine since the run began
idle_time() {
  local idle busy
  read -r idle busy < <(processor_times)
  idle=$(((idle - IDLE_BEFORE) / 100)) busy=$(((busy - BUSY_BEFORE) / 100))
  if [ $((idle + busy)) -eq 0 ]; then return 0; fi
  printf 'the run took %d s; its %d processors worked %d s and were idle %d s (%d %%)\n' "$((SECONDS - RUN_BEGAN))" "$(nproc)" "$busy" "$idle" \
    "$((100 * idle / (idle + busy)))"
}

# not_in_quick : lists the parts that CI runs and the quick run does not
not_in_quick() {
  local quick=" ${PARTS[*]} " name rest=()
  read_parts all
  for name in "${PARTS[@]}"; do case "$quick" in *" $name "*) ;; *) rest+=("$name") ;; esac; done
  printf 'not run: tests named slow_, and the parts %s\n' "${rest[*]}" | fold -s -w 120
  say "         CI runs them; \`tests/run --all\` does here (Debian, root), \`tests/run --only PART\` one of them"
}

# finish_run ONLY : prints the failures, the table, the record of runs outside of CI, and the last line
finish_run() {
  local only="$1" line name why
  for line in "${BROKEN[@]}"; do
    read -r name why <<<"$line"
    printf '\n=== failed: %s%s\n' "$name" "${why:+ ($why)}"
    what_failed "$TARGET/test-logs/$name.log"
  done
  printf '\n=== summary (logs: %s)\n' "$TARGET/test-logs"
  for line in "${TABLE[@]}"; do printf '%s\n' "$line"; done
  for line in "${LEFT_OUT[@]}"; do printf 'left out: %s\n' "$line"; done
  if [ "$RUN" = quick ] && [ -z "$only" ]; then not_in_quick; fi
  idle_time
  printf '%s\n' "${ENDED[@]}" | bash "$REPO/tests/lib/records.sh" "$RUN" "$TREE"
  printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
  if [ "$FAILED" -gt 0 ]; then exit 1; fi
}
