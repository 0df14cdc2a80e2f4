# shellcheck shell=bash
# A private RabbitMQ node. Sourced by a part, after common.sh:
#
#   . "$REPO/tests/lib/rabbitmq.sh"
#   trap stop_rabbitmq EXIT
#   start_rabbitmq        exports TACHI_TEST_RABBIT_URL=rabbit://guest:guest@127.0.0.1:PORT/, TACHI_TEST_RABBIT_TLS_PORT (with
#                         the certificates of api/testdata) and TACHI_TEST_RABBIT_START: a script that runs the same node in
#                         the foreground, for tests that kill it, with `ctl WORDS...` as its arguments rabbitmqctl on it
# It has its own Erlang port mapper, so that none is left running and no other one is used.

RABBIT_PIDS=()
RABBIT_DIR=""

rabbit_port() {
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

# rabbit_answers PORT : true if the node answers the protocol's header with a frame
rabbit_answers() {
  local first
  exec 4<>"/dev/tcp/127.0.0.1/$1" || return 1
  printf 'AMQP\0\0\x09\x01' >&4
  first="$(timeout 2 head -c 1 <&4 | od -An -tu1 | tr -d ' ')"
  exec 4>&-
  [ "$first" = 1 ]
}

start_rabbitmq() {
  local bin=/usr/lib/rabbitmq/bin epmd_port amqp tls dist pid i
  # A server that the package would start is not started: RUNLEVEL says so to Debian's scripts.
  if [ ! -x "$bin/rabbitmq-server" ]; then RUNLEVEL=1 apt_need no-such-tool-rabbitmq rabbitmq-server; fi
  RABBIT_DIR="$(mktemp -d "${TMPDIR:-/tmp}/tachi-rabbitmq.XXXXXX")"
  mkdir "$RABBIT_DIR/mnesia" "$RABBIT_DIR/log"
  printf 'loopback_users = none\nlog.console = false\nvm_memory_high_watermark.absolute = 512MB\ndisk_free_limit.absolute = 200MB\n' \
    >"$RABBIT_DIR/rabbitmq.conf"
  echo '[].' >"$RABBIT_DIR/enabled_plugins"
  epmd_port="$(rabbit_port)"
  amqp="$(rabbit_port)"
  tls="$(rabbit_port)"
  dist="$(rabbit_port)"
  cat >>"$RABBIT_DIR/rabbitmq.conf" <<X
listeners.ssl.1 = 127.0.0.1:$tls
ssl_options.cacertfile = $REPO/api/testdata/ca.pem
ssl_options.certfile = $REPO/api/testdata/server.pem
ssl_options.keyfile = $REPO/api/testdata/server.key
X
  export ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT="$epmd_port"
  epmd -port "$epmd_port" >"$RABBIT_DIR/log/epmd.out" 2>&1 </dev/null &
  RABBIT_PIDS+=("$!")
  cat >"$RABBIT_DIR/start" <<X
#!/usr/bin/env bash
export ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=$epmd_port
export HOME="$RABBIT_DIR" RABBITMQ_NODENAME="tachi-$$@localhost" RABBITMQ_MNESIA_BASE="$RABBIT_DIR/mnesia"
export RABBITMQ_LOG_BASE="$RABBIT_DIR/log" RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT="$amqp" RABBITMQ_DIST_PORT="$dist"
export RABBITMQ_CONFIG_FILE="$RABBIT_DIR/rabbitmq" RABBITMQ_ENABLED_PLUGINS_FILE="$RABBIT_DIR/enabled_plugins"
if [ "\${1:-}" = ctl ]; then shift; exec "$bin/rabbitmqctl" -n "\$RABBITMQ_NODENAME" "\$@"; fi
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none"
exec "$bin/rabbitmq-server"
X
  chmod +x "$RABBIT_DIR/start"
  export TACHI_TEST_RABBIT_START="$RABBIT_DIR/start" TACHI_TEST_RABBIT_TLS_PORT="$tls"
  "$RABBIT_DIR/start" >"$RABBIT_DIR/log/out" 2>&1 </dev/null &
  pid=$!
  RABBIT_PIDS+=("$pid")
  for ((i = 0; i < 1800; i++)); do
    if rabbit_answers "$amqp" 2>/dev/null; then
      export TACHI_TEST_RABBIT_URL="rabbit://guest:guest@127.0.0.1:$amqp/"
      return 0
    fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 20 "$RABBIT_DIR"/log/* >&2
  die "RabbitMQ did not start"
}

# stop_rabbitmq : stops the server, then the port mapper
stop_rabbitmq() {
  local i pid
  for ((i = ${#RABBIT_PIDS[@]} - 1; i >= 0; i--)); do
    pid="${RABBIT_PIDS[$i]}"
    kill -TERM "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  RABBIT_PIDS=()
  if [ -n "$RABBIT_DIR" ]; then rm -rf "$RABBIT_DIR"; fi
  RABBIT_DIR=""
}
