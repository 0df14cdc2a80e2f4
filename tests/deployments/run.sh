#!/usr/bin/env bash
# run.sh TACHI TACHI_MONITOR PYTHON KOLLA : run.py in a network of its own, where nothing but loopback is (what is rendered names other machines),
# and with a journal and a syslog of its own.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
[ $# -eq 4 ] || { sed -n '2,3s/^# //p' "${BASH_SOURCE[0]}"; exit 2; }
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
# shellcheck disable=SC2016 # for the inner shell
unshare -n -m --propagation private bash -ec '
  ip link set lo up
  mount -t tmpfs run /run
  mkdir /run/dev /run/dev/shm
  for device in null zero full random urandom; do
    touch "/run/dev/$device"
    mount --bind "/dev/$device" "/run/dev/$device"
  done
  ln -s /proc/self/fd /run/dev/fd
  mount --rbind /run/dev /dev
  exec "$@"' network "$3" "$here/run.py" --tachi "$1" --monitor "$2" --kolla "$4" --scratch "$scratch"
