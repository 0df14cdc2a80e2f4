#!/bin/sh
# The machine behind a power controller of the region, which calls it: chassis.sh KIT NODE CONTROLLER 0x20 get|set PARAMETER [VALUE]...
# FIXTURE_DIR/power.log holds the time at which each command had been carried out. While FIXTURE_DIR/ignores-CONTROLLER is there, the
# controller accepts commands and ignores them.
kit=$1 node=$2 controller=$3 what=$5
shift 5
while [ $# -gt 0 ]; do
  case "$what:$1" in
    get:power) if [ "$("$kit" power "$node" status)" = on ]; then echo power:1; else echo power:0; fi ;;
    get:boot) echo boot:default ;;
    set:power | set:shutdown)
      if [ "$1:$2" = power:1 ]; then state=on; else state=off; fi
      if [ ! -e "$FIXTURE_DIR/ignores-$controller" ]; then
        "$kit" power "$node" "$state" >/dev/null 2>&1
        echo "$(date +%s.%N) $node $state" >>"$FIXTURE_DIR/power.log"
      fi
      shift
      ;;
    set:*) shift ;;
  esac
  shift
done
