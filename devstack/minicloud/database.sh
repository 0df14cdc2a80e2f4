#!/bin/bash
# database.sh start|stop|crash : the MariaDB of the minicloud
# shellcheck source=devstack/minicloud/lib.sh
. "$(dirname "$0")/lib.sh"
case "$1" in
  start) start_mariadb mariadb "$MC_DATA/mysql" mysql "$MYSQL_PORT" ;;
  stop) stop_daemon mariadb ;;
  crash) stop_daemon mariadb KILL ;;
  *) die "usage: database.sh start|stop|crash" ;;
esac
