#!/usr/bin/env bash
# run.sh TACHI TACHI_MONITOR PYTHON KOLLA : run.py in a network of its own, where nothing but loopback is: what is rendered names other machines.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
[ $# -eq 4 ] || { sed -n '2s/^# //p' "${BASH_SOURCE[0]}"; exit 2; }
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
# shellcheck disable=SC2016 # for the inner shell
unshare -n bash -c 'ip link set lo up && exec "$@"' network "$3" "$here/run.py" --tachi "$1" --monitor "$2" --kolla "$4" --scratch "$scratch"
