#!/bin/bash
# fail-host.sh HOST [SECONDS] : kills the nova-compute of HOST (by pid) and posts the COMPUTE_HOST notification
# to the HA API of the catalog; with SECONDS, waits so long for the notification to end.
# FAIL_HOST_WAIT_DOWN=1 (default) : posts only after nova reports the service down. 0 : posts at once.
# shellcheck source=devstack/minicloud/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC1091
. "$MC_RUN/openrc"
h="${1:?usage: fail-host.sh HOST [SECONDS]}"
"$MC_DIR/compute.sh" kill "$h"
say "nova-compute of $h killed"
if [ "${FAIL_HOST_WAIT_DOWN:-1}" = 1 ]; then
  for _ in $(seq 60); do
    [ "$(openstack compute service list --service nova-compute --host "$h" -f value -c State)" = down ] && break; sleep 0.5
  done
  say "nova reports $h down"
fi
mcpy cloud.py notify "$h" ${2:+--wait "$2"}
