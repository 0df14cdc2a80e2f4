#!/bin/sh
# The machine behind a BMC of the region, which calls it: chassis.sh KIT NODE 0x20 get|set PARAMETER [VALUE]...
# FIXTURE_DIR/power.log holds the time at which each command had been carried out.
kit=$1 node=$2 what=$4
shift 4
while [ $# -gt 0 ]; do
  case "$what:$1" in
    get:power) if [ "$("$kit" power "$node" status)" = on ]; then echo power:1; else echo power:0; fi ;;
    get:boot) echo boot:default ;;
    set:power | set:shutdown)
      if [ "$1:$2" = power:1 ]; then state=on; else state=off; fi
      "$kit" power "$node" "$state" >/dev/null 2>&1
      echo "$(date +%s.%N) $node $state" >>"$FIXTURE_DIR/power.log"
      shift
      ;;
    set:*) shift ;;
  esac
  shift
done
