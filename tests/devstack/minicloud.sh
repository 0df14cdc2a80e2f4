#!/usr/bin/env bash
# minicloud.sh TACHI TACHI_MONITOR : what devstack/plugin.sh calls sets our services up in the running minicloud, behind an Apache; a
# process fails, hosts die, instances come back; stacked again, unstacked, cleaned. The minicloud is left as it was found.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
repo="$(cd "$here/../.." && pwd)"
[ $# -eq 2 ] || { sed -n '2,3s/^# //p' "${BASH_SOURCE[0]}"; exit 2; }
TACHI="$1" MONITOR="$2"
# shellcheck source=devstack/minicloud/lib.sh
. "$repo/devstack/minicloud/lib.sh"
if [ ! -s "$MC_RUN/clouds.yaml" ] || ! alive nova-api; then
  echo "no minicloud is up here: devstack/minicloud/install.sh, then up.sh 4" >&2
  echo "0 passed, 1 failed"
  exit 1
fi
# shellcheck disable=SC1091
. "$MC_RUN/openrc"

passed=0 failed=1 finished=no
exec 3>&1
SCRATCH="$(mktemp -d)"
PLACE="$SCRATCH/place" APACHE_PORT="${DEVSTACK_APACHE_PORT:-15880}"
mkdir "$PLACE"
# Apache's workers are another user's.
chmod 755 "$SCRATCH" "$PLACE"
# shellcheck disable=SC2317 # called by the trap
put_back() {
  local name
  # A phase may end it whose output goes nowhere.
  exec >&3
  for name in engine api processmonitor; do stop_daemon "devstack-masakari-$name"; done
  stop_daemon devstack-apache
  if [ "$finished" = no ]; then
    echo "$passed passed, $failed failed"
    for name in masakari-api masakari-engine masakari-processmonitor apache; do
      if [ -s "$LOGS/devstack-$name.log" ]; then echo "---- $name, its end:"; tail -n 30 "$LOGS/devstack-$name.log"; fi
    done
    if [ -s "$PLACE/apache.log" ]; then tail -n 10 "$PLACE/apache.log"; fi
  fi
  rm -f "$LOGS"/devstack-*.log
  openstack --os-cloud devstack-admin user delete masakari-monitor-compute-02 >/dev/null 2>&1 || true
  openstack --os-cloud devstack-admin role delete masakari_monitor >/dev/null 2>&1 || true
  mcpy bootstrap.py identity
  mcpy bootstrap.py ha "http://$MC_ADDR:$HA_PORT/v1/\$(tenant_id)s"
  sql -e 'DROP DATABASE IF EXISTS masakari; CREATE DATABASE masakari CHARACTER SET utf8mb3'
  "$repo/devstack/minicloud/cloud.sh" heal >/dev/null || true
  rm -rf "$SCRATCH"
}
trap put_back EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

ok() { echo "ok      $1"; passed=$((passed + 1)); }
bad() {
  echo "FAILED  $1"
  exit 1
}
# is NAME WANTED GOT
is() { if [ "$2" = "$3" ]; then ok "$1"; else bad "$1: wanted '$2', got '$3'"; fi; }
# until_is NAME SECONDS WANTED COMMAND...
until_is() {
  local name="$1" end=$((SECONDS + $2)) wanted="$3" got=""
  shift 3
  while [ "$SECONDS" -lt "$end" ]; do
    got="$("$@" 2>/dev/null)" || true
    if [ "$got" = "$wanted" ]; then ok "$name"; return; fi
    sleep 0.5
  done
  bad "$name: wanted '$wanted', got '$got'"
}
# `openstack` of an operator
admin() { openstack --os-cloud devstack-admin "$@"; }

# What the minicloud says of an instance-ha service is taken back: the plug-in has to say it.
admin service delete masakari
admin user delete masakari

# shellcheck source=tests/devstack/stubs.sh
. "$here/stubs.sh"
# shellcheck source=tests/devstack/real.sh
. "$here/real.sh"
chmod 755 "$APACHE_CONF_DIR"
ENABLED_SERVICES=key,mysql,rabbit,n-api,n-cpu,masakari,masakari-monitors
TACHI_INSTALL=binary TACHI_BINARIES=$SCRATCH/ready TACHI_BIN_DIR=$SCRATCH/bin TACHI_SAMPLE_SEGMENT=everything TACHI_HOSTNAME=compute-02
TACHI_PROCESS_LIST=$SCRATCH/processes.yaml
MASAKARI_CONF_DIR=$SCRATCH/etc/masakari MASAKARI_MONITORS_CONF_DIR=$SCRATCH/etc/masakarimonitors
mkdir -p "$SCRATCH/ready" "$SCRATCH/etc"
ln -s "$TACHI" "$SCRATCH/ready/tachi"
ln -s "$MONITOR" "$SCRATCH/ready/tachi-monitor"
# A process that cannot be started: it is reported after the first try (retries are set below). The engine acts on a nova-compute only.
printf -- '- process_name: %s/nova-compute\n  start_command: /bin/false\n  restart_command: /bin/false\n  run_as_root: false\n' \
  "$SCRATCH" >"$TACHI_PROCESS_LIST"
# shellcheck source=devstack/settings
. "$repo/devstack/settings"
# shellcheck source=devstack/plugin.sh
phase() { . "$repo/devstack/plugin.sh" "$@"; }
stack() {
  phase stack pre-install
  phase stack install
  phase stack post-config >/dev/null
  # As `[[post-config|...]]` of a local.conf. Several of four hosts go out one after the other, which the storm guard would hold.
  iniset "$MASAKARI_CONF" fencing segment_fraction_percent 90
  iniset "$MASAKARI_CONF" fencing global_fraction_percent 90
  # Without a fence device a NORMAL counts after this silence: three minutes a host, were it left alone.
  iniset "$MASAKARI_CONF" DEFAULT wait_period_after_service_update 15
  iniset "$MASAKARI_MONITORS_CONF" process restart_retries 0
  iniset "$MASAKARI_MONITORS_CONF" process check_interval 1
  phase stack extra >/dev/null
  phase stack test-config
}

echo "--- stack"
started=$SECONDS
stack
echo "measured  stack: $((SECONDS - started)) s"
url="http://$MC_ADDR:$APACHE_PORT/instance-ha"
is "the API answers behind Apache" 200 "$(command curl -s -o /dev/null -w '%{http_code}' "$url/healthcheck")"
is "the catalogue names it" "$url/v1/\$(tenant_id)s" "$(admin endpoint list --service instance-ha --interface public -f value -c URL)"
is "links lead through Apache" "$url/v1/" "$(command curl -s "$url/" | python3 -c 'import json, sys
print(json.load(sys.stdin)["versions"][0]["links"][0]["href"])')"
is "a request in chunks is taken" 401 "$(printf '{}' | command curl -s -o /dev/null -w '%{http_code}' -H 'Transfer-Encoding: chunked' \
  -H 'Content-Type: application/json' -d @- "$url/v1/segments")"
is "the sample segment has all hosts" "compute-01 compute-02 compute-03 compute-04" \
  "$(admin segment host list everything -f value -c name | sort | tr '\n' ' ' | sed 's/ $//')"

echo "--- a process fails: the monitor's user may report it, and nothing else"
# The monitor started before the host was registered, and tries again.
until_is "the report has become a finished notification" 90 "finished PROCESS" \
  sh -c "openstack --os-cloud devstack-admin notification list -f value -c type -c status | head -n 1"
is "the host's compute service is disabled" disabled \
  "$(admin compute service list --service nova-compute --host compute-02 -f value -c Status)"
refused="$(openstack --os-cloud devstack-admin --os-username masakari-monitor-compute-02 --os-project-name service segment list 2>&1 || true)"
case "$refused" in
  *403* | *orbidden*) ok "the monitors' user may not list segments" ;;
  *) bad "the monitors' user may list segments: $refused" ;;
esac
admin compute service set --enable compute-02 nova-compute
stop_process masakari-processmonitor
admin segment delete everything

echo "--- hosts die"
for python in "${TACHI_VENV:-}/bin/python" "$MC_ROOT/venv-client/bin/python"; do
  if [ -x "$python" ]; then break; fi
done
# By the catalogue: through Apache.
if "$python" "$repo/tests/real-cloud/recover.py" --clouds "$MC_RUN/clouds.yaml" --cloud devstack-admin --servers 5; then
  ok "hosts are recovered by what the plug-in has started"
else
  bad "hosts are recovered by what the plug-in has started"
fi

echo "--- stack again"
admin compute service set --enable compute-02 nova-compute
phase unstack
is "nothing runs after unstack" 000 "$(command curl -s -o /dev/null -w '%{http_code}' "http://$MC_ADDR:15868/healthcheck" || true)"
stack
is "it answers again" 200 "$(command curl -s -o /dev/null -w '%{http_code}' "$url/healthcheck")"
is "with an empty database" 1 "$(admin segment list -f value -c uuid | wc -l)"
is "and one endpoint" 1 "$(admin endpoint list --service instance-ha -f value -c ID | wc -l)"

echo "--- clean"
phase unstack
phase clean
left="$(find "$SCRATCH/etc" "$SCRATCH/bin" "$SCRATCH/apache" "$SCRATCH/data" -mindepth 1)"
is "nothing is left" "" "$left"
is "no process is left" "" "$(pgrep -f "$SCRATCH/bin/tachi" || true)"
finished=yes
echo "$passed passed, 0 failed"
