# shellcheck shell=bash
# Private MariaDB and PostgreSQL servers for tests. Sourced by a part, after common.sh:
#
#   . "$REPO/tests/lib/databases.sh"
#   trap stop_databases EXIT
#   start_mariadb && start_postgres
#
# Each listens on a free port of 127.0.0.1, offers TLS, writes through to the disk, and keeps its
# data in the run's folder. It exports:
#
#   TACHI_TEST_MYSQL_URL     an administrator who may create databases: mysql://tachi:...@127.0.0.1:PORT/mysql
#   TACHI_TEST_POSTGRES_URL  the same: postgresql://tachi:...@127.0.0.1:PORT/postgres
#   TACHI_TEST_MYSQL_SERVE, TACHI_TEST_POSTGRES_SERVE
#                            `SERVE make DATA`: a new data folder with the same administrator;
#                            `SERVE run DATA PORT`: serves it in the foreground, for tests that need a server to kill;
#                            `SERVE database NAME PORT`: makes a database on the server that listens there
#   TACHI_TEST_TLS           folder with ca.pem (signed both servers' certificates), other-ca.pem (did not), client.pem,
#                            client.key

DATABASE_PIDS=()
DATABASES_DIR=""

# server_of_the_turn : mysql or postgres, chosen by the sampled commit; all without sampling
server_of_the_turn() {
  case "${TACHI_SAMPLE:-everything}" in
    everything) echo all ;;
    [02468aceACE]*) echo mysql ;;
    *) echo postgres ;;
  esac
}

# A folder that both users can traverse; tests/run removes the run's folder at its end.
databases_dir() {
  if [ -n "$DATABASES_DIR" ]; then return 0; fi
  local base="${TACHI_TEST_RUN_DIR:-}"
  if [ -n "$base" ]; then
    chmod go+x "$base"
    DATABASES_DIR="$(mktemp -d "$base/databases.XXXXXX")"
  else
    DATABASES_DIR="$(mktemp -d "${TMPDIR:-/tmp}/tachi-databases.XXXXXX")"
  fi
  chmod 755 "$DATABASES_DIR"
  databases_tls
}

# Services that a package would start are not started: RUNLEVEL says so to Debian's scripts.
database_packages() { RUNLEVEL=1 apt_need "$@"; }

# free_port : below the kernel's range of ephemeral ports
free_port() {
  local port
  for _ in {1..200}; do
    port=$((15000 + (RANDOM * 32768 + RANDOM) % 17000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      printf '%s\n' "$port"
      return 0
    fi
  done
  die "no free port"
}

# wait_for SECONDS PID COMMAND... : waits until the command succeeds; fails if the process exits or the time is up
wait_for() {
  local tries=$(($1 * 10)) pid="$2"
  shift 2
  while [ "$tries" -gt 0 ]; do
    if "$@" >/dev/null 2>&1; then return 0; fi
    if ! kill -0 "$pid" 2>/dev/null; then return 1; fi
    sleep 0.1
    tries=$((tries - 1))
  done
  return 1
}

# A CA, one certificate for both servers, one for clients, and a CA that has signed nothing.
databases_tls() {
  apt_need openssl openssl
  local tls="$DATABASES_DIR/tls" name
  mkdir "$tls"
  (
    cd "$tls"
    for name in ca other-ca; do
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=tachi test $name" \
        -addext basicConstraints=critical,CA:TRUE -keyout "$name.key" -out "$name.pem"
    done
    for name in server client; do
      openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=tachi" -keyout "$name.key" -out "$name.csr"
      printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' >"$name.ext"
      openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile "$name.ext" -out "$name.pem"
    done
  ) >"$DATABASES_DIR/tls.log" 2>&1 || { tail -n 5 "$DATABASES_DIR/tls.log" >&2; die "openssl could not make certificates"; }
  chmod 644 "$tls"/*
  chmod 755 "$tls"
  export TACHI_TEST_TLS="$tls"
}

# as_user USER COMMAND... : by that user's id, in this session, so that stopping the part stops it too. Written out
# for scripts in the variable AS.
as_prefix() {
  local user="$1"
  if [ "$(id -u)" -ne 0 ]; then
    AS=""
    return 0
  fi
  getent passwd "$user" >/dev/null || user=nobody
  AS="setpriv --reuid=$user --regid=$(id -gn "$user") --clear-groups --"
}

start_mariadb() {
  database_packages mariadbd mariadb-server
  databases_dir
  local AS word port serve="$DATABASES_DIR/mariadb-serve" pid
  as_prefix mysql
  word="$(openssl rand -hex 12)"
  cat >"$serve" <<S
#!/usr/bin/env bash
set -eu
data="\$2" port="\${3:-0}"
case "\$1" in
  make)
    mkdir -p "\$data"
    chmod 755 "\$data"
    printf '%s\n' "CREATE USER IF NOT EXISTS tachi@'%' IDENTIFIED BY '$word';" \\
      "GRANT ALL ON *.* TO tachi@'%' WITH GRANT OPTION;" >"\$data/admin.sql"
    # A temporary folder of its own: a server that starts removes the temporary tables of all servers that share one.
    mkdir "\$data/d" "\$data/tmp"
    if [ "\$(id -u)" -eq 0 ]; then chown -R "\$($AS id -u):\$($AS id -g)" "\$data"; fi
    $AS mariadb-install-db --no-defaults --datadir="\$data/d" --tmpdir="\$data/tmp" --auth-root-authentication-method=normal \\
      --skip-test-db --skip-name-resolve >"\$data/install.log" 2>&1
    ;;
  run)
    cd "\$data"
    exec $AS mariadbd --no-defaults --datadir="\$data/d" --tmpdir="\$data/tmp" --socket="\$data/s" --pid-file="\$data/pid" \\
      --bind-address=127.0.0.1 --port="\$port" --skip-name-resolve --max-connections=400 --log-error="\$data/log" \\
      --innodb-flush-log-at-trx-commit=1 --innodb-buffer-pool-size=256M --innodb-log-file-size=96M \\
      --init-file="\$data/admin.sql" \\
      --character-set-server=utf8mb4 --local-infile=0 \\
      --ssl-ca=$TACHI_TEST_TLS/ca.pem --ssl-cert=$TACHI_TEST_TLS/server.pem --ssl-key=$TACHI_TEST_TLS/server.key
    ;;
  database)
    mariadb --no-defaults --protocol=tcp --host=127.0.0.1 --port="\$port" --user=tachi --password=$word \\
      --execute="CREATE DATABASE \$2"
    ;;
esac
S
  chmod 755 "$serve"
  local data="$DATABASES_DIR/mariadb"
  "$serve" make "$data" || { head -n 30 "$data/install.log" >&2; die "could not create MariaDB's data folder"; }
  port="$(free_port)"
  "$serve" run "$data" "$port" >"$data/out" 2>&1 &
  pid=$!
  DATABASE_PIDS+=("$pid")
  if ! wait_for 60 "$pid" mariadb --no-defaults --protocol=tcp --host=127.0.0.1 --port="$port" --user=tachi --password="$word" \
    --execute='SELECT 1'; then
    tail -n 20 "$data/log" "$data/out" >&2
    die "MariaDB did not start"
  fi
  export TACHI_TEST_MYSQL_URL="mysql://tachi:$word@127.0.0.1:$port/mysql" TACHI_TEST_MYSQL_SERVE="$serve"
}

postgres_bin() {
  local dir
  for dir in /usr/lib/postgresql/*/bin; do if [ -x "$dir/initdb" ]; then printf '%s\n' "$dir"; fi; done | sort -V | tail -n 1
}

start_postgres() {
  if [ -z "$(postgres_bin)" ]; then database_packages no-such-tool-initdb postgresql; fi
  local bin
  bin="$(postgres_bin)"
  [ -n "$bin" ] || die "no initdb below /usr/lib/postgresql"
  databases_dir
  local AS word port serve="$DATABASES_DIR/postgres-serve" pid
  as_prefix postgres
  word="$(openssl rand -hex 12)"
  cat >"$serve" <<S
#!/usr/bin/env bash
set -eu
data="\$2" port="\${3:-0}"
case "\$1" in
  make)
    mkdir -p "\$data"
    chmod 755 "\$data"
    printf '%s\n' '$word' >"\$data/word"
    mkdir "\$data/d"
    # The server refuses a key that others may read.
    install -m 600 $TACHI_TEST_TLS/server.key "\$data/server.key"
    if [ "\$(id -u)" -eq 0 ]; then chown -R "\$($AS id -u):\$($AS id -g)" "\$data"; fi
    # Not SCRAM: a client that was built without optimisation spends more time on it than on most tests.
    $AS $bin/initdb --pgdata="\$data/d" --username=tachi --pwfile="\$data/word" --auth=md5 --encoding=UTF8 \\
      --locale=C.UTF-8 --no-sync >"\$data/install.log" 2>&1
    ;;
  run)
    cd "\$data"
    exec $AS $bin/postgres -D "\$data/d" -p "\$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \\
      -c fsync=on -c synchronous_commit=on -c max_connections=400 -c shared_buffers=128MB \\
      -c ssl=on -c ssl_ca_file=$TACHI_TEST_TLS/ca.pem -c ssl_cert_file=$TACHI_TEST_TLS/server.pem \\
      -c ssl_key_file="\$data/server.key"
    ;;
  database)
    PGPASSWORD=$word $bin/psql --no-psqlrc --quiet --host=127.0.0.1 --port="\$port" --username=tachi --dbname=postgres \\
      --command="CREATE DATABASE \$2"
    ;;
esac
S
  chmod 755 "$serve"
  local data="$DATABASES_DIR/postgres"
  "$serve" make "$data" || { tail -n 20 "$data/install.log" >&2; die "PostgreSQL's data folder could not be made"; }
  port="$(free_port)"
  "$serve" run "$data" "$port" >"$data/log" 2>&1 &
  pid=$!
  DATABASE_PIDS+=("$pid")
  if ! PGPASSWORD="$word" wait_for 60 "$pid" "$bin/psql" --no-psqlrc --host=127.0.0.1 --port="$port" --username=tachi \
    --dbname=postgres --command='SELECT 1'; then
    tail -n 20 "$data/log" >&2
    die "PostgreSQL did not start"
  fi
  export TACHI_TEST_POSTGRES_URL="postgresql://tachi:$word@127.0.0.1:$port/postgres" TACHI_TEST_POSTGRES_SERVE="$serve"
}

# stop_databases : stops the servers that this shell started, and deletes their data. INT makes PostgreSQL stop without waiting for clients.
stop_databases() {
  local pid
  for pid in "${DATABASE_PIDS[@]}"; do
    case "$(cat "/proc/$pid/comm" 2>/dev/null || true)" in
      postgres) kill -INT "$pid" 2>/dev/null || true ;;
      *) kill -TERM "$pid" 2>/dev/null || true ;;
    esac
  done
  for pid in "${DATABASE_PIDS[@]}"; do wait "$pid" 2>/dev/null || true; done
  DATABASE_PIDS=()
  if [ -n "$DATABASES_DIR" ]; then rm -rf "$DATABASES_DIR"; fi
  DATABASES_DIR=""
}
