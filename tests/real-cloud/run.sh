#!/usr/bin/env bash
# run.sh TACHI [SERVERS...] : the built `tachi api` and `tachi engine` against the running minicloud, with the masakari.conf
# that it wrote (fencing mode `external`; the database is a scratch SQLite file). Boots SERVERS (10 and 50) on a host,
# kills the host's nova-compute, posts the notification and looks at what Nova says came of it. Puts the cloud right at its end.
# run.sh TACHI --trouble [CASE...] : the same while engines are killed, RabbitMQ or Nova is away and the like (trouble.py),
# with two engines and the minicloud's own MariaDB.
# run.sh TACHI --planned [CASE...] : hosts are drained and given back to, and what the forecast promises is tried (planned.py).
# run.sh TACHI --instances [CASE...] : an instance fails on a host that is up, is left on one that dies, or is stopped by its user (instances.py).
# run.sh TACHI --hostile [CASE...] : the same while Nova fails after the work, forgets it, hides a cell or loses its broker (hostile.py).
# run.sh TACHI --naive [CASE...] : these cases with a naive loop in Tachi's place, which each of them has to find out.
# MC_NUMBER: which minicloud of several. Needs a Python with requests and yaml: TACHI_VENV, or the minicloud's own.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
case "${1:-}" in
  "" | -h | --help)
    sed -n '2,11s/^# //p' "${BASH_SOURCE[0]}"
    exit 2
    ;;
esac
tachi="$1"
shift
trouble=no
case "${1:-}" in
  --trouble | --planned | --instances | --hostile | --naive)
    trouble="${1#--}"
    shift
    ;;
esac
counts=("$@")
if [ "${#counts[@]}" -eq 0 ] && [ "$trouble" = no ]; then counts=(10 50); fi
# shellcheck source=devstack/minicloud/minicloud.env
. "$here/../../devstack/minicloud/minicloud.env"
run="$MC_RUN"
python="${TACHI_VENV:-$MC_ROOT/venv-client}/bin/python"
[ -s "$run/masakari.conf" ] || {
  echo "no minicloud is up here ($run/masakari.conf): devstack/minicloud/install.sh, then up.sh 4" >&2
  echo "0 passed, 1 failed"
  exit 1
}

# The configuration names passwords.
umask 077
work="$(mktemp -d)"
pids=()
# shellcheck disable=SC2317 # called by the trap
clean_up() {
  local pid i
  for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do
    for ((i = 0; i < 100; i++)); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
  done
  if [ "${failed:-1}" -ne 0 ]; then
    for log in "$work"/*.log; do
      [ -e "$log" ] || continue
      echo "---- $(basename "$log"), its end:"
      tail -n 40 "$log"
    done
  fi
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

# What differs from a machine in production: where the state is, and that MariaDB is left out.
cat >"$work/override.conf" <<X
[DEFAULT]
state_path = $work
# No evidence comes with these reports, and how long one waits for it is not what is measured here.
wait_period_after_service_update = 0.1
[database]
connection = sqlite:///$work/tachi.sqlite
[fencing]
mode = external
X
configuration=(--config-file "$run/masakari.conf" --config-file "$work/override.conf")
port="$(sed -nE 's/^masakari_api_listen_port *= *([0-9]+).*/\1/p' "$run/masakari.conf")"

if [ "$trouble" != no ]; then
  cat >"$work/override.conf" <<X
[DEFAULT]
state_path = $work
wait_period_after_service_update = 0.1
[fencing]
mode = external
# Two of four hosts at once is what one case is about; the storm guard would ask a person.
segment_fraction_percent = 60
global_fraction_percent = 60
X
fi
if [ "$trouble" = instances ]; then
  printf '[host_failure]\nevacuate_all_instances = false\n' >>"$work/override.conf"
fi
"$tachi" db sync "${configuration[@]}" >"$work/db.log" 2>&1
failed=0
if [ "$trouble" != no ]; then
  script=("$here/trouble.py")
  if [ "$trouble" = planned ] || [ "$trouble" = instances ]; then
    script=("$here/$trouble.py")
  elif [ "$trouble" != trouble ]; then
    : >"$work/case.conf"
    configuration+=(--config-file "$work/case.conf")
    script=("$here/hostile.py" --options "$work/case.conf")
    if [ "$trouble" = naive ]; then script+=(--naive); fi
  fi
  "$python" "${script[@]}" --clouds "$run/clouds.yaml" --cloud devstack-admin --tachi "$tachi" --run "$run" --data "$MC_DATA" \
    --work "$work" "${configuration[@]}" ${counts[@]:+--only "${counts[@]}"} &
  pids=("$!")
  wait "$!" || failed=1
  exit "$failed"
fi
start() {
  "$tachi" "$1" "${configuration[@]}" >"$work/$1.log" 2>&1 </dev/null &
  pids+=("$!")
}
start api
start engine
for ((i = 0; i < 150; i++)); do
  if (exec 3<>"/dev/tcp/127.0.0.1/$port" && printf 'GET /healthcheck HTTP/1.0\r\n\r\n' >&3 && head -n 1 <&3 | grep -q ' 200 ') 2>/dev/null; then break; fi
  sleep 0.2
done

failed=0
"$python" "$here/recover.py" --clouds "$run/clouds.yaml" --cloud devstack-admin --servers "${counts[@]}" &
recover=$!
pids=("$recover" "${pids[@]}")
wait "$recover" || failed=1
exit "$failed"
