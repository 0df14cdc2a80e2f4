#!/usr/bin/env bash
# A real Pacemaker cluster in network namespaces whose fence device is our own agent, against the simulated MAAS: what it
# says is off is off, and what lies is not said to be.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
cd "$REPO"
KIT="$REPO/tests/pacemaker/cluster.sh"
apt_need curl curl

WORK="$(mktemp -d /tmp/tachi-pa.XXXXXX)"
export FIXTURE_DIR="$WORK/kit" FIXTURE_PREFIX="ta$$" FIXTURE_TTL=900
export CONTROLS=1 COMPUTES=2 REMOTE_MONITOR=2s REMOTE_TIMEOUT=3s REMOTE_RECONNECT=5s
SANDBOX=""
stop_all() {
  "$KIT" down --purge >/dev/null 2>&1 || true
  if [ -n "$SANDBOX" ]; then kill "$SANDBOX" 2>/dev/null || true; fi
  rm -rf "$WORK"
}
trap stop_all EXIT

# The network first: MAAS lives in it, where the cluster's nodes reach it.
"$REPO/tests/pacemaker/install.sh"
"$KIT" prepare >/dev/null
EXEC_TIMEOUT=0 "$KIT" exec lan "$TACHI" sandbox --listen 10.88.0.1 --hosts 4 --clouds "$WORK/clouds.yaml" \
  --state-dir "$WORK/state" >"$WORK/sandbox.log" 2>&1 &
SANDBOX=$!
waited=0
until [ -s "$WORK/state/tachi.conf" ] && [ -s "$WORK/clouds.yaml" ]; do
  waited=$((waited + 1))
  if [ "$waited" -gt 150 ]; then
    cat "$WORK/sandbox.log" >&2
    die "the simulated MAAS did not start"
  fi
  sleep 0.2
done
value() { sed -n "s/^ *$1 *[:=] *//p" "$2" | head -n 1 | tr -d "'\""; }
maas="$(value endpoint "$WORK/state/fencing.toml")"
admin="${maas%/MAAS}/admin" key="$(value password "$WORK/clouds.yaml")"

# Nodes have a /usr/sbin of their own, where the kit puts this by its name.
printf '#!/bin/sh\nexec "%s" fence-agent fence_maas "$@"\n' "$TACHI" >"$WORK/fence_maas"
chmod 755 "$WORK/fence_maas"
# A file, so that the key is not in the cluster's configuration. Pacemaker's fencer runs as root.
chmod 600 "$WORK/state/maas.key"
parameters="url=$maas api_key_file=$WORK/state/maas.key allow_http=1 stonith_status_sleep=1 pcmk_off_timeout=20s"
parameters="$parameters pcmk_host_map=cmp1:compute-001;cmp2:compute-002;ctl1:compute-003"
FENCE_AGENT="$WORK/fence_maas" FENCE_PARAMS="$parameters" "$KIT" up >/dev/null

bmc() { "$KIT" exec lan curl -sf -H "X-Sandbox-Key: $key" -H 'Content-Type: application/json' -d "$2" "$admin/hosts/$1/bmc"; }
machine() { "$KIT" exec lan curl -sf -H "X-Sandbox-Key: $key" "$admin/hosts/$1"; }
machine_is() { machine "$1" | grep -q "\"power\":$2,"; }
history_of() { "$KIT" exec ctl1 stonith_admin --history "$1"; }
takes_metadata() { "$KIT" exec ctl1 stonith_admin --metadata -a fence_maas | grep -q 'name="api_key_file"'; }
is_fenced() { "$KIT" wait "$1" fenced "$2" && machine_is "$3" false; }
is_not_fenced() {
  if "$KIT" wait "$1" fenced 30; then return 1; fi
  machine_is "$2" true && ! history_of "$1" | grep -q ' successful'
}
said_by_history() { history_of "$1" | grep "turning off of $1 successful"; }
nowhere() { ! cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ' | grep -qFf <(cut -d: -f3 "$WORK/state/maas.key"); }

check "Pacemaker takes the agent's metadata" takes_metadata
"$KIT" cut cmp1
start=$SECONDS
check "a node that is lost is fenced through MAAS, and its machine is off" is_fenced cmp1 60 compute-001
say "        lost and fenced after $((SECONDS - start)) s"
check "Pacemaker's history has it" said_by_history cmp1
bmc compute-002 '{"command": {"mode": "ignored"}}' >/dev/null
"$KIT" cut cmp2
check "row 3: a node whose machine takes the command and runs on is not fenced" is_not_fenced cmp2 compute-002
check "the key is on no command line" nowhere
bmc compute-002 '{"command": {"mode": "works"}}' >/dev/null
start=$SECONDS
check "and is fenced as soon as the machine obeys" is_fenced cmp2 120 compute-002
say "        fenced $((SECONDS - start)) s after it obeyed"
checks_done
