#!/usr/bin/env bash
# watchdog.sh SECONDS FLAG SID : after SECONDS writes their number to FLAG and stops the process group SID.
set -u
sleep "$1"
echo "$1" >"$2"
kill -TERM -- "-$3"
sleep 10
kill -KILL -- "-$3"
