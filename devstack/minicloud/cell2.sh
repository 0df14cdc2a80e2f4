#!/bin/bash
# cell2.sh start HOST... | discover | gone | hang | refuse | back | stop HOST... | remove HOST... : a second cell of Nova, with a
# database server, a queue and nova-computes of its own. Its database goes away in three ways, which Nova answers in three ways
# (docs/design/nova-behaviours.md): gone: nothing listens; hang: connections are taken and nothing is answered; refuse: the login is
# denied. back: it answers again.
# shellcheck source=devstack/minicloud/lib.sh
. "$(dirname "$0")/lib.sh"
A="$MC_ADDR"; NC="$CONF/nova"; PW=$(mc_pw)
DB="mysql+pymysql://cell2:$PW@$A:$CELL2_MYSQL_PORT/nova_cell2?charset=utf8"
AMQP="$(amqp_url)cell2"
NM=("$MC_ROOT/venv-nova/bin/nova-manage" --config-file)
sql2() { sql --socket="$MC_RUN/mysqld/cell2.sock" "$@"; }
signal() { kill "-$1" -- "-$(cat "$PIDS/mariadb-cell2.pid")"; }
back() {
  alive mariadb-cell2 && signal CONT
  start_mariadb mariadb-cell2 "$MC_DATA/mysql-cell2" cell2 "$CELL2_MYSQL_PORT"
  sql2 -e "ALTER USER IF EXISTS 'cell2'@'$A' ACCOUNT UNLOCK;"
}
act="${1:-}"; shift || true
case "$act" in
  start)
    back
    sql2 <<S
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
    if [ ! -e "$MC_DATA/mysql-cell2/.done" ]; then
      "${NM[@]}" "$NC/cell2.conf" db sync --local_cell >>"$LOGS/nova-manage.log" 2>&1
      touch "$MC_DATA/mysql-cell2/.done"
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
  gone) stop_daemon mariadb-cell2 KILL ;;
  hang) signal STOP ;;
  refuse)
    echo "ALTER USER 'cell2'@'$A' ACCOUNT LOCK; SELECT CONCAT('KILL ', id, ';') FROM information_schema.processlist WHERE user = 'cell2';" |
      sql2 | sql2 -f || true
    ;;
  back) back ;;
  stop)
    back
    for h in "$@"; do stop_daemon "nova-compute-$h" KILL; done
    stop_daemon nova-conductor-cell2
    ;;
  remove)
    # Its services have been deleted through the API before. up.sh starts the two again, which keep the list of cells.
    uuid=$("${NM[@]}" "$NC/nova.conf" cell_v2 list_cells 2>/dev/null | awk '$2 == "cell2" { print $4 }')
    if [ -n "$uuid" ]; then
      "${NM[@]}" "$NC/nova.conf" cell_v2 delete_cell --force --cell_uuid "$uuid" >>"$LOGS/nova-manage.log" 2>&1
    fi
    stop_daemon mariadb-cell2 KILL
    rm -rf "$MC_DATA/mysql-cell2"
    for h in "$@"; do rm -rf "${MC_DATA:?}/nova/$h" "$NC/$h.conf"; done
    stop_daemon nova-scheduler KILL; stop_daemon nova-api KILL
    ;;
  *) die "usage: cell2.sh start HOST... | discover | gone | hang | refuse | back | stop HOST... | remove HOST..." ;;
esac
