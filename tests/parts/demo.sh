#!/usr/bin/env bash
# The demo as a stranger would type it, and what its JSON must say. The numbers come from the sandbox's ledger.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
cd "$REPO"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# demo WANTED_EXIT ARGS... : the exit code, within the 60 s of the contract; leaves output in $work/out
demo() {
  local want="$1" rc=0
  shift
  timeout --kill-after=5 60 "$TACHI" demo "$@" >"$work/out" 2>"$work/err" </dev/null || rc=$?
  if [ "$rc" -ne "$want" ]; then
    echo "tachi demo $*: exit $rc, wanted $want"
    tail -n 30 "$work/out" "$work/err"
    return 1
  fi
}
# field NAME : a scalar of the JSON object
field() { tr -d '\n' <"$work/out" | sed -nE "s/.*\"$1\": *(\"[^\"]*\"|[^,}]*).*/\1/p"; }
# is NAME VALUE
is() {
  local got
  got="$(field "$1")"
  if [ "$got" != "$2" ]; then
    echo "$1 is ${got:-missing}, wanted $2"
    cat "$work/out"
    return 1
  fi
}
some() {
  local got
  got="$(field "$1")"
  case "$got" in "" | null | '""' | 0) echo "$1 is ${got:-missing}"; cat "$work/out"; return 1 ;; esac
}
one_object() {
  local lines
  lines="$(grep -c '[^[:space:]]' "$work/out")"
  case "$(head -c 1 "$work/out")$(tail -n 1 "$work/out" | tail -c 2 | tr -d '\n')" in "{}") ;; *) echo "not one JSON object: $lines lines"; cat "$work/out"; return 1 ;; esac
}
all_back() { one_object && is lost 0 && is double_runs 0 && some recovered && some seconds_total && some proof && some method; }
fell_through() {
  all_back && is reason "" || return 1
  case "$(field proof)" in *"by level 2"*) ;; *) echo "the proof is not level 2's"; cat "$work/out"; return 1 ;; esac
}

plain() { demo 0 && [ -s "$work/out" ]; }
json() { demo 0 --json && all_back; }
bigger() { demo 0 --hosts 20 --instances 200 --json && is hosts 20 && is instances 200 && all_back; }
lying() { demo 0 --fault lying-bmc --json && fell_through; }
dead() { demo 0 --fault dead-bmc --json && fell_through; }
narrow() { demo 0 && ! awk 'length > 80 { print; wide = 1 } END { exit !wide }' "$work/out"; }
rack() {
  demo 0 --fault rack-loss || return 1
  local host
  for host in $(sed -nE 's/.*a rack lost power: ([^:]*):.*/\1/p' "$work/out" | tr -d ,); do
    if ! grep -q "$host.*disabled and forced down" "$work/out" || ! grep -qE "$host: .*instances? moved" "$work/out"; then
      echo "$host is not told in full"
      cat "$work/out"
      return 1
    fi
  done
}
marked_first() { demo 0 && [ "$(awk -F'|' '/web-|job-/ { print $3 ~ /True/ }' "$work/out" | uniq | tr -d '\n')" = 10 ]; }
two_hosts() { demo 0 --hosts 2 --json && is hosts 2 && all_back; }
nobody_left() { demo 2 --hosts 2 --fault rack-loss && grep -q "3 or more" "$work/err"; }
wrong() { demo 2 --no-such-option && [ -s "$work/err" ]; }

check "demo" plain
check "demo: no line is wider than 80 columns" narrow
check "demo: what is marked HA_Enabled stands first" marked_first
check "demo --fault rack-loss prints every host of the rack" rack
check "demo --hosts 2: the one that is left takes all, and it ends cleanly" two_hosts
check "demo --hosts 2 --fault rack-loss is refused: no host would be left" nobody_left
check "demo --json: all back, none lost, none twice" json
check "demo --hosts 20 --instances 200" bigger
check "demo --fault lying-bmc: level 2 proves the host off, all back, none twice" lying
check "demo --fault dead-bmc: level 2 proves the host off, all back, none twice" dead
check "demo with a wrong option is exit 2" wrong
checks_done
