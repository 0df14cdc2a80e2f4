#!/bin/bash
# cell2.sh start HOST... | discover | away | back | stop HOST... | remove HOST... : a second cell of Nova, with a database, a queue and nova-computes of its own.
# away: its database refuses everybody, as one that is down does; Nova leaves such a cell out of its lists.
# shellcheck source=devstack/minicloud/lib.sh
. "$(dirname "$0")/lib.sh"
A="$MC_ADDR"; NC="$CONF/nova"; PW=$(mc_pw)
DB="mysql+pymysql://cell2:$PW@$A:$MYSQL_PORT/nova_cell2?charset=utf8"
AMQP="$(amqp_url)cell2"
NM=("$MC_ROOT/venv-nova/bin/nova-manage" --config-file)
act="${1:-}"; shift || true
case "$act" in
  start)
    sql <<S
CREATE DATABASE IF NOT EXISTS nova_cell2 CHARACTER SET utf8mb3;
CREATE USER IF NOT EXISTS 'cell2'@'$A' IDENTIFIED BY '$PW';
ALTER USER 'cell2'@'$A' IDENTIFIED BY '$PW' ACCOUNT UNLOCK;
GRANT ALL ON nova_cell2.* TO 'cell2'@'$A';
S
    "$MC_RUN/rabbitmqctl" -q add_vhost cell2 >/dev/null 2>&1 || true
    "$MC_RUN/rabbitmqctl" -q set_permissions -p cell2 minicloud '.*' '.*' '.*' >/dev/null
    sed -e "s|^transport_url = .*|transport_url = $AMQP|" -e "s|^connection = .*/nova?.*|connection = $DB|" \
      "$NC/nova.conf" >"$NC/cell2.conf"
    if ! "${NM[@]}" "$NC/nova.conf" cell_v2 list_cells 2>/dev/null | grep -q ' cell2 '; then
      "${NM[@]}" "$NC/nova.conf" cell_v2 create_cell --name cell2 --database_connection "$DB" --transport-url "$AMQP" \
        >>"$LOGS/nova-manage.log" 2>&1
    fi
    if [ ! -e "$MC_DATA/nova/.cell2-db" ]; then
      "${NM[@]}" "$NC/cell2.conf" db sync --local_cell >>"$LOGS/nova-manage.log" 2>&1
      touch "$MC_DATA/nova/.cell2-db"
    fi
    start_daemon nova-conductor-cell2 "$MC_ROOT/venv-nova/bin/nova-conductor" --config-file "$NC/cell2.conf"
    for h in "$@"; do
      sed -e "s|/nova/compute-01|/nova/$h|" -e "s|compute-01|$h|g" -e "s|^transport_url = .*|transport_url = $AMQP|" \
        "$NC/compute-01.conf" >"$NC/$h.conf"
      mkdir -p "$MC_DATA/nova/$h/lock"
      "$MC_DIR/compute.sh" start "$h"
    done
    # They keep the list of cells that they have read first.
    stop_daemon nova-scheduler KILL; stop_daemon nova-api KILL
    ;;
  discover) "${NM[@]}" "$NC/nova.conf" cell_v2 discover_hosts --by-service >>"$LOGS/nova-manage.log" 2>&1 ;;
  away)
    echo "ALTER USER 'cell2'@'$A' ACCOUNT LOCK; SELECT CONCAT('KILL ', id, ';') FROM information_schema.processlist WHERE user = 'cell2';" |
      sql | sql -f || true
    ;;
  back) echo "ALTER USER 'cell2'@'$A' ACCOUNT UNLOCK;" | sql ;;
  stop)
    echo "ALTER USER IF EXISTS 'cell2'@'$A' ACCOUNT UNLOCK;" | sql
    for h in "$@"; do stop_daemon "nova-compute-$h" KILL; done
    stop_daemon nova-conductor-cell2
    ;;
  remove)
    # Its services have been deleted through the API before. up.sh starts the two again, which keep the list of cells.
    uuid=$("${NM[@]}" "$NC/nova.conf" cell_v2 list_cells 2>/dev/null | awk '$2 == "cell2" { print $4 }')
    if [ -n "$uuid" ]; then
      "${NM[@]}" "$NC/nova.conf" cell_v2 delete_cell --force --cell_uuid "$uuid" >>"$LOGS/nova-manage.log" 2>&1
    fi
    echo "DROP DATABASE IF EXISTS nova_cell2;" | sql
    rm -f "$MC_DATA/nova/.cell2-db"
    for h in "$@"; do rm -rf "${MC_DATA:?}/nova/$h" "$NC/$h.conf"; done
    stop_daemon nova-scheduler KILL; stop_daemon nova-api KILL
    ;;
  *) die "usage: cell2.sh start HOST... | discover | away | back | stop HOST... | remove HOST..." ;;
esac
