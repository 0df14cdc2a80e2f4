#!/bin/bash
# down.sh [--wipe] : stops everything the minicloud started, by pid. --wipe also deletes its databases and state.
# shellcheck source=devstack/minicloud/lib.sh
. "$(dirname "$0")/lib.sh"
for f in "$PIDS"/nova-compute-*.pid; do
  [ -e "$f" ] && { n=$(basename "$f" .pid); STOP_WAIT=25 stop_daemon "$n" & }
done; wait
for n in nova-api nova-scheduler nova-conductor nova-conductor-cell2; do STOP_WAIT=25 stop_daemon $n & done; wait
for n in glance placement keystone neutron-stub memcached rabbitmq epmd mariadb mariadb-cell2; do stop_daemon $n & done; wait
if [ "${1:-}" = --wipe ]; then
  rm -rf "${MC_DATA:?}"/{mysql,mysql-cell2,rabbitmq,keystone,glance,nova} "$MC_DATA"/.placement-db "$MC_DATA"/.glance-db
fi
say "down"
