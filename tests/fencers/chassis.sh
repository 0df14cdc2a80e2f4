#!/bin/sh
# The machine behind a simulated BMC. ipmi_sim calls it: chassis.sh DIR 0x20 get|set PARAMETER [VALUE]...
# DIR/power holds 0 or 1; DIR/mode says how honest it is: honest, ignore, slow=MILLISECONDS, bounce=MILLISECONDS.
# DIR/due holds "WHEN VALUE" of a change still to come; DIR/journal, each command.
dir=$1 what=$3
shift 3

now() { date +%s%3N; }
power() {
  if [ -e "$dir/due" ]; then
    read -r when value <"$dir/due"
    if [ "$(now)" -ge "$when" ]; then
      echo "$value" >"$dir/power"
      rm -f "$dir/due"
    fi
  fi
  cat "$dir/power"
}
later() { echo "$(($(now) + $1)) $2" >"$dir/due"; }
obey() {
  mode=$(cat "$dir/mode")
  rm -f "$dir/due"
  case "$mode:$1" in
    ignore:*) ;;
    slow=*:0) later "${mode#slow=}" 0 ;;
    bounce=*:0)
      echo 0 >"$dir/power"
      later "${mode#bounce=}" 1
      ;;
    *) echo "$1" >"$dir/power" ;;
  esac
}

while [ $# -gt 0 ]; do
  case "$what:$1" in
    get:power) echo "power:$(power)" ;;
    get:boot) echo boot:default ;;
    set:*)
      echo "$1 $2" >>"$dir/journal"
      case "$1" in
        power) obey "$2" ;;
        shutdown) obey 0 ;;
      esac
      shift
      ;;
  esac
  shift
done
