# shellcheck shell=bash
# A Galera cluster of three MariaDB servers on loopback, for measurements. Sourced after databases.sh:
#
#   start_galera      exports TACHI_TEST_GALERA_URLS, one administrator's URL for each node, with commas between them
#
# stop_databases stops it, with everything else.

start_galera() {
  database_packages mariadbd mariadb-server
  apt_need rsync rsync
  local library=/usr/lib/galera/libgalera_smm.so
  [ -e "$library" ] || database_packages no-such-tool-galera galera-4
  databases_dir
  local AS word node gossip=() urls=() seed="" options
  as_prefix mysql
  word="$(openssl rand -hex 12)"
  for node in 1 2 3; do gossip+=("$(free_port)"); done
  for node in 1 2 3; do
    local data="$DATABASES_DIR/galera-$node" port ist sst
    port="$(free_port)" ist="$(free_port)" sst="$(free_port)"
    mkdir -p "$data/d" "$data/tmp"
    if [ "$(id -u)" -eq 0 ]; then chown -R "$($AS id -u):$($AS id -g)" "$data"; fi
    $AS mariadb-install-db --no-defaults --datadir="$data/d" --tmpdir="$data/tmp" --auth-root-authentication-method=normal \
      --skip-test-db --skip-name-resolve >"$data.install" 2>&1 || { tail -n 20 "$data.install" >&2; die "no data folder for Galera"; }
    options=(--wsrep-cluster-address="gcomm://$seed")
    if [ "$node" -eq 1 ]; then
      printf '%s\n' "CREATE USER IF NOT EXISTS tachi@'%' IDENTIFIED BY '$word';" "GRANT ALL ON *.* TO tachi@'%' WITH GRANT OPTION;" >"$data/admin.sql"
      options=(--wsrep-new-cluster --wsrep-cluster-address=gcomm:// --init-file="$data/admin.sql")
    fi
    (
      cd "$data" || exit 1
      # shellcheck disable=SC2086
      exec $AS mariadbd --no-defaults --datadir="$data/d" --tmpdir="$data/tmp" --socket="$data/s" --pid-file="$data/pid" --bind-address=127.0.0.1 \
        --port="$port" --skip-name-resolve --max-connections=400 --log-error="$data/log" --character-set-server=utf8mb4 \
        --innodb-flush-log-at-trx-commit=1 --innodb-buffer-pool-size=256M --innodb-log-file-size=96M --innodb-autoinc-lock-mode=2 \
        --ssl-ca="$TACHI_TEST_TLS/ca.pem" --ssl-cert="$TACHI_TEST_TLS/server.pem" --ssl-key="$TACHI_TEST_TLS/server.key" \
        --binlog-format=ROW --wsrep-on=ON --wsrep-provider="$library" --wsrep-cluster-name=tachi --wsrep-node-name="n$node" \
        --wsrep-node-address=127.0.0.1 --wsrep-sst-method=rsync --wsrep-sst-receive-address="127.0.0.1:$sst" \
        --wsrep-provider-options="gmcast.listen_addr=tcp://127.0.0.1:${gossip[node - 1]};ist.recv_addr=127.0.0.1:$ist" "${options[@]}"
    ) >"$data.out" 2>&1 &
    DATABASE_PIDS+=("$!")
    # A node that has joined answers; one that is still given the data does not.
    if ! wait_for 90 "$!" galera_ready "$port" "$word" "$node"; then
      tail -n 30 "$data/log" "$data.out" >&2
      die "node $node of the Galera cluster did not start"
    fi
    seed="127.0.0.1:${gossip[0]}"
    urls+=("mysql://tachi:$word@127.0.0.1:$port/mysql")
  done
  TACHI_TEST_GALERA_URLS="$(IFS=,; printf '%s' "${urls[*]}")"
  export TACHI_TEST_GALERA_URLS
}

# galera_ready PORT WORD SIZE : whether the node is one of so many and serves
galera_ready() {
  local lines
  lines="$(mariadb --no-defaults --batch --skip-column-names --protocol=tcp --host=127.0.0.1 --port="$1" --user=tachi --password="$2" \
    --execute="SHOW STATUS WHERE (Variable_name = 'wsrep_ready' AND Value = 'ON') OR (Variable_name = 'wsrep_cluster_size' AND Value = '$3')")"
  [ "$(printf '%s\n' "$lines" | wc -l)" -eq 2 ]
}
