# shellcheck shell=bash
# Sourced by every script here: settings, processes by pid, waiting, names.
set -euo pipefail
MC_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=devstack/minicloud/minicloud.env
. "$MC_DIR/minicloud.env"
PIDS="$MC_RUN/pids"; LOGS="$MC_RUN/logs"; CONF="$MC_RUN/conf"
mkdir -p "$MC_RUN" "$PIDS" "$LOGS" "$CONF" "$MC_DATA"
export MC_ROOT MC_RUN MC_DATA MC_ADDR

say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*" >&2; }
die() { say "ERROR: $*"; exit 1; }

# The one password of the minicloud (database, queue, all users): made once, kept out of git.
mc_pw() {
  local f="$MC_DATA/password"
  if [ ! -s "$f" ]; then
    (umask 077; head -c 64 /dev/urandom | base64 | tr -dc 'a-zA-Z0-9' | head -c 20 > "$f")
  fi
  cat "$f"
}

alive() { # NAME
  local f="$PIDS/$1.pid" p
  [ -s "$f" ] || return 1
  p=$(cat "$f"); [ -d "/proc/$p" ] && [ "$(awk '{print $3}' "/proc/$p/stat" 2>/dev/null)" != Z ]
}

# start_daemon NAME CMD... : own session, pid in $PIDS/NAME.pid, output in $LOGS/NAME.log
start_daemon() {
  local name="$1"; shift
  if alive "$name"; then return 0; fi
  setsid "$@" >>"$LOGS/$name.log" 2>&1 </dev/null &
  echo $! > "$PIDS/$name.pid"
  disown $! 2>/dev/null || true
}

# stop_daemon NAME [SIGNAL] : by pid (its own process group), waits, then KILL
stop_daemon() {
  local name="$1" sig="${2:-TERM}" p
  local f="$PIDS/$name.pid"
  [ -s "$f" ] || return 0
  p=$(cat "$f")
  kill "-$sig" -- "-$p" 2>/dev/null || kill "-$sig" "$p" 2>/dev/null || true
  for _ in $(seq 1 "${STOP_WAIT:-60}"); do
    kill -0 -- "-$p" 2>/dev/null || { rm -f "$f"; return 0; }
    sleep 0.2
  done
  kill -KILL -- "-$p" 2>/dev/null || true
  rm -f "$f"
}

wait_tcp() { # NAME PORT [SECONDS]
  for _ in $(seq 1 $(( ${3:-60} * 5 ))); do
    (exec 3<>"/dev/tcp/$MC_ADDR/$2") 2>/dev/null && return 0
    alive "$1" || { tail -n 20 "$LOGS/$1.log" >&2; die "$1 died while starting, see $LOGS/$1.log"; }
    sleep 0.2
  done
  tail -n 20 "$LOGS/$1.log" >&2; die "$1 did not open port $2"
}

wait_http() { # NAME URL [SECONDS] : any answer below 500
  local c
  for _ in $(seq 1 $(( ${3:-60} * 2 ))); do
    c=$(curl -s -o /dev/null -m 5 -w '%{http_code}' "$2" || true)
    if [ "${c:-000}" != 000 ] && [ "$c" -lt 500 ]; then return 0; fi
    alive "$1" || { tail -n 20 "$LOGS/$1.log" >&2; die "$1 died while starting, see $LOGS/$1.log"; }
    sleep 0.5
  done
  tail -n 20 "$LOGS/$1.log" >&2; die "$1 does not answer on $2"
}

# start_mariadb NAME DATADIR SOCKET PORT : until it answers; the socket lives in a directory that the mysql user may write to
start_mariadb() {
  if ! alive "$1"; then
    mkdir -p "$MC_RUN/mysqld/$3.tmp"; chown mysql: "$MC_RUN/mysqld" "$MC_RUN/mysqld/$3.tmp"
    if [ ! -d "$2/mysql" ]; then
      say "new MariaDB data directory"
      mkdir -p "$2"; chown mysql: "$2"; chmod 755 "$MC_DATA" "$MC_RUN" "$MC_ROOT"
      mariadb-install-db --no-defaults --user=mysql --datadir="$2" --tmpdir="$MC_RUN/mysqld/$3.tmp" --auth-root-authentication-method=socket \
        --skip-test-db >"$LOGS/mariadb-install.log" 2>&1 || { tail "$LOGS/mariadb-install.log"; die mariadb-install-db; }
    fi
    start_daemon "$1" mariadbd --no-defaults --user=mysql --datadir="$2" --tmpdir="$MC_RUN/mysqld/$3.tmp" \
      --bind-address="$MC_ADDR" --port="$4" --socket="$MC_RUN/mysqld/$3.sock" \
      --pid-file="$MC_RUN/mysqld/$3.pid" --max-connections=1500 --innodb-buffer-pool-size="${MYSQL_BUFFER:-512M}" \
      --innodb-flush-log-at-trx-commit="${MYSQL_FLUSH:-1}" --skip-name-resolve --skip-log-bin \
      --character-set-server=utf8mb3 --table-open-cache=2000 --open-files-limit=65535
  fi
  wait_tcp "$1" "$4" 60
  for _ in $(seq 50); do sql --socket="$MC_RUN/mysqld/$3.sock" -e 'select 1' >/dev/null 2>&1 && break; sleep 0.2; done
}

sql() { mariadb -uroot --socket="$MC_RUN/mysql.sock" -N -B "$@"; }
mcpy() { "$MC_ROOT/venv-client/bin/python" "$MC_DIR/tools/$1" "${@:2}"; }
cname() { printf 'compute-%02d' "$1"; }
db_url() { echo "mysql+pymysql://minicloud:$(mc_pw)@$MC_ADDR:$MYSQL_PORT/$1?charset=utf8"; }
amqp_url() { echo "rabbit://minicloud:$(mc_pw)@$MC_ADDR:$AMQP_PORT/"; }
