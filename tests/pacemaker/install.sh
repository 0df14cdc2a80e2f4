#!/usr/bin/env bash
# Pacemaker and corosync from Debian, without letting their services start on this machine.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
policy=/usr/sbin/policy-rc.d
if have pacemakerd && have corosync && have crm_mon && have ip; then exit 0; fi
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt_need pacemakerd pacemaker pacemaker-cli-utils pacemaker-resource-agents corosync iproute2
apt_need corosync corosync
apt_need crm_mon pacemaker-cli-utils
apt_need ip iproute2
