#!/bin/bash
# compute.sh start|stop|kill|crash HOST : one fake nova-compute; kill is the death of its host, guests and all, crash that of the process
# shellcheck source=devstack/minicloud/lib.sh
. "$(dirname "$0")/lib.sh"
act="$1" h="$2"
case "$act" in
  start) start_daemon "nova-compute-$h" "$MC_ROOT/venv-nova/bin/nova-compute" --config-file "$CONF/nova/$h.conf" ;;
  stop)  stop_daemon "nova-compute-$h" ;;
  crash) stop_daemon "nova-compute-$h" KILL ;;
  kill)
    stop_daemon "nova-compute-$h" KILL
    rm -rf "$MC_DATA/nova/$h/guests"
    if [ -e "$MC_DATA/nova/$h/guests.log" ]; then
      printf '{"time": %s, "what": "died"}\n' "$(date +%s.%N)" >>"$MC_DATA/nova/$h/guests.log"
    fi
    ;;
  *) die "usage: compute.sh start|stop|kill|crash HOST" ;;
esac
