#!/bin/bash
# rabbit.sh start|stop|crash : the RabbitMQ of the minicloud (epmd too, once)
# shellcheck source=devstack/minicloud/lib.sh
. "$(dirname "$0")/lib.sh"
A="$MC_ADDR"; RB=/usr/lib/rabbitmq/bin
case "$1" in
  stop) stop_daemon rabbitmq ;;
  crash) stop_daemon rabbitmq KILL ;;
  start)
    mkdir -p "$MC_DATA/rabbitmq/mnesia"
    printf 'loopback_users = none\nlog.console = false\nvm_memory_high_watermark.absolute = 1GB\ndisk_free_limit.absolute = 1GB\n' > "$CONF/rabbitmq.conf"
    echo '[].' > "$CONF/enabled_plugins"
    cat > "$MC_RUN/rabbitmqctl" <<X
#!/bin/bash
# rabbitmqctl of the minicloud
exec env HOME="$MC_DATA/rabbitmq" RABBITMQ_NODENAME=minicloud@localhost ERL_EPMD_ADDRESS=$A ERL_EPMD_PORT=$EPMD_PORT $RB/rabbitmqctl "\$@"
X
    chmod +x "$MC_RUN/rabbitmqctl"
    export HOME="$MC_DATA/rabbitmq" RABBITMQ_NODENAME=minicloud@localhost \
      RABBITMQ_MNESIA_BASE="$MC_DATA/rabbitmq/mnesia" RABBITMQ_LOG_BASE="$LOGS" \
      RABBITMQ_NODE_IP_ADDRESS="$A" RABBITMQ_NODE_PORT="$AMQP_PORT" RABBITMQ_DIST_PORT="$AMQP_DIST_PORT" \
      RABBITMQ_CONFIG_FILE="$CONF/rabbitmq" RABBITMQ_ENABLED_PLUGINS_FILE="$CONF/enabled_plugins" \
      ERL_EPMD_ADDRESS="$A" ERL_EPMD_PORT="$EPMD_PORT" \
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1} +sbwt none"
    if ! alive epmd; then start_daemon epmd epmd -port "$EPMD_PORT"; wait_tcp epmd "$EPMD_PORT" 20; fi
    start_daemon rabbitmq "$RB/rabbitmq-server"
    wait_tcp rabbitmq "$AMQP_PORT" 90
    ;;
esac
