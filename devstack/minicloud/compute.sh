#!/bin/bash
# compute.sh start|stop|kill HOST : one fake nova-compute
# shellcheck source=devstack/minicloud/lib.sh
. "$(dirname "$0")/lib.sh"
act="$1" h="$2"
case "$act" in
  start) start_daemon "nova-compute-$h" "$MC_ROOT/venv-nova/bin/nova-compute" --config-file "$CONF/nova/$h.conf" ;;
  stop)  stop_daemon "nova-compute-$h" ;;
  kill)  stop_daemon "nova-compute-$h" KILL ;;
  *) die "usage: compute.sh start|stop|kill HOST" ;;
esac
