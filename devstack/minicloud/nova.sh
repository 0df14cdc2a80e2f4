#!/bin/bash
# nova.sh stop : Nova's services, without the hypervisors' guests. up.sh starts them again, with the settings it is given
# (`SERVICE_DOWN_TIME=60 up.sh 4`).
# shellcheck source=devstack/minicloud/lib.sh
. "$(dirname "$0")/lib.sh"
[ "${1:-}" = stop ] || die "usage: nova.sh stop"
for f in "$PIDS"/nova-*.pid; do
  if [ -e "$f" ]; then stop_daemon "$(basename "$f" .pid)" KILL & fi
done
wait
