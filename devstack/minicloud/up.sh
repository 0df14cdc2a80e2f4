#!/bin/bash
# up.sh [N_COMPUTES] : starts the control plane (idempotent), registers the instance-ha endpoint and writes masakari.conf.
# shellcheck source=devstack/minicloud/lib.sh
. "$(dirname "$0")/lib.sh"
N_COMPUTES="${1:-$N_COMPUTES}"
T0=$SECONDS
PW=$(mc_pw); A=$MC_ADDR
KS="http://$A:$KEYSTONE_PORT/v3"
MC="$A:$MEMCACHED_PORT"

# ---------------------------------------------------------------- MariaDB
"$MC_DIR/database.sh" start
ln -sf "$MC_RUN/mysqld/mysql.sock" "$MC_RUN/mysql.sock"
{
  for d in keystone glance placement nova_api nova nova_cell0 masakari; do
    echo "CREATE DATABASE IF NOT EXISTS $d CHARACTER SET utf8mb3;"
  done
  echo "CREATE USER IF NOT EXISTS 'minicloud'@'$A' IDENTIFIED BY '$PW'; ALTER USER 'minicloud'@'$A' IDENTIFIED BY '$PW';"
  echo "GRANT ALL ON *.* TO 'minicloud'@'$A'; FLUSH PRIVILEGES;"
} | sql

# ---------------------------------------------------------------- RabbitMQ (epmd and distribution on loopback too)
"$MC_DIR/rabbit.sh" start
if [ ! -e "$MC_DATA/rabbitmq/.user" ]; then
  "$MC_RUN/rabbitmqctl" await_startup >/dev/null
  "$MC_RUN/rabbitmqctl" add_user minicloud "$PW" >/dev/null || "$MC_RUN/rabbitmqctl" change_password minicloud "$PW" >/dev/null
  "$MC_RUN/rabbitmqctl" set_permissions minicloud '.*' '.*' '.*' >/dev/null
  touch "$MC_DATA/rabbitmq/.user"
fi

# ---------------------------------------------------------------- memcached
start_daemon memcached memcached -u nobody -l "$A" -p "$MEMCACHED_PORT" -m 64 -c 4096
wait_tcp memcached "$MEMCACHED_PORT" 20

# ---------------------------------------------------------------- common pieces of configuration
authtoken() { # USER
  cat <<X

[keystone_authtoken]
www_authenticate_uri = http://$A:$KEYSTONE_PORT
auth_url = $KS
memcached_servers = $MC
auth_type = password
username = $1
password = $PW
project_name = service
user_domain_name = Default
project_domain_name = Default
service_token_roles_required = true
region_name = RegionOne
X
}
client_auth() { # USER
  cat <<X
auth_url = $KS
auth_type = password
username = $1
password = $PW
project_name = service
user_domain_name = Default
project_domain_name = Default
region_name = RegionOne
X
}
uwsgi_app() { # NAME VENV MODULE PORT PROCS THREADS
  local name=$1 v=$2 mod=$3 port=$4 procs=$5 threads=$6 quiet=(--disable-logging)
  # Keystone writes no requests of its own, and a test wants to count the logins.
  if [ "$name" = keystone ]; then quiet=(); fi
  start_daemon "$name" "$MC_ROOT/venv-$v/bin/uwsgi" --http11-socket "$A:$port" --module "$mod:application" \
    --virtualenv "$MC_ROOT/venv-$v" --master --processes "$procs" --threads "$threads" --enable-threads --lazy-apps \
    --die-on-term --exit-on-reload --thunder-lock --buffer-size 65535 --listen 128 --need-app "${quiet[@]}" \
    --add-header "Connection: close" --socket-timeout 600 --procname-prefix "$name "
}

# ---------------------------------------------------------------- keystone
KC="$CONF/keystone"; mkdir -p "$KC" "$MC_DATA/keystone/fernet" "$MC_DATA/keystone/credential"
cat > "$KC/keystone.conf" <<X
[DEFAULT]
log_file = $LOGS/keystone.log
[database]
connection = $(db_url keystone)
max_pool_size = 20
[token]
provider = fernet
expiration = 86400
[fernet_tokens]
key_repository = $MC_DATA/keystone/fernet
[credential]
key_repository = $MC_DATA/keystone/credential
[cache]
enabled = true
backend = dogpile.cache.pymemcache
memcache_servers = $MC
[security_compliance]
X
export PYTHONWARNINGS=ignore
KM="$MC_ROOT/venv-keystone/bin/keystone-manage --config-file $KC/keystone.conf"
if [ ! -e "$MC_DATA/keystone/.done" ]; then
  say "keystone: schema, keys, bootstrap"
  $KM db_sync
  $KM fernet_setup --keystone-user root --keystone-group root
  $KM credential_setup --keystone-user root --keystone-group root
  $KM bootstrap --bootstrap-password "$PW" --bootstrap-admin-url "http://$A:$KEYSTONE_PORT/v3/" \
    --bootstrap-internal-url "http://$A:$KEYSTONE_PORT/v3/" --bootstrap-public-url "http://$A:$KEYSTONE_PORT/v3/" \
    --bootstrap-region-id RegionOne
  touch "$MC_DATA/keystone/.done"
fi
OS_KEYSTONE_CONFIG_DIR="$KC" OS_KEYSTONE_CONFIG_FILES="$KC/keystone.conf" \
  uwsgi_app keystone keystone keystone.wsgi.api "$KEYSTONE_PORT" "$KEYSTONE_PROCS" 4
wait_http keystone "http://$A:$KEYSTONE_PORT/v3/" 60

# ---------------------------------------------------------------- clouds.yaml, openrc
cloud() { # NAME USER PROJECT
  cat <<X
  $1:
    auth: {auth_url: "$KS", username: $2, password: "$PW", project_name: $3, user_domain_name: Default, project_domain_name: Default}
    region_name: RegionOne
    identity_api_version: 3
X
}
{ echo "clouds:"
  cloud devstack-admin admin admin; cloud devstack demo demo; cloud devstack-alt alt_demo alt_demo
  cloud masakari masakari service
  cat <<X
  devstack-system-admin:
    auth: {auth_url: "$KS", username: admin, password: "$PW", system_scope: all, user_domain_name: Default}
    region_name: RegionOne
    identity_api_version: 3
X
} > "$MC_RUN/clouds.yaml"
chmod 600 "$MC_RUN/clouds.yaml"
cat > "$MC_RUN/openrc" <<X
# . $MC_RUN/openrc ; openstack compute service list
export OS_CLIENT_CONFIG_FILE=$MC_RUN/clouds.yaml
export OS_CLOUD=\${OS_CLOUD:-devstack-admin}
export PATH=$MC_ROOT/venv-client/bin:\$PATH
X
# shellcheck disable=SC1091
. "$MC_RUN/openrc"

say "keystone: users, catalog"
mcpy bootstrap.py identity

# ---------------------------------------------------------------- placement
PC="$CONF/placement"; mkdir -p "$PC"
{ cat <<X
[DEFAULT]
log_file = $LOGS/placement.log
[api]
auth_strategy = keystone
[placement_database]
connection = $(db_url placement)
max_pool_size = 20
X
authtoken placement; } > "$PC/placement.conf"
if [ ! -e "$MC_DATA/.placement-db" ]; then
  say "placement: schema"; "$MC_ROOT/venv-nova/bin/placement-manage" --config-file "$PC/placement.conf" db sync
  touch "$MC_DATA/.placement-db"
fi
OS_PLACEMENT_CONFIG_DIR="$PC" uwsgi_app placement nova placement.wsgi.api "$PLACEMENT_PORT" "$PLACEMENT_PROCS" 4
wait_http placement "http://$A:$PLACEMENT_PORT/" 60

# ---------------------------------------------------------------- glance (file store)
GC="$CONF/glance"; mkdir -p "$GC" "$MC_DATA/glance"
cp "$MC_ROOT/venv-glance/etc/glance/glance-api-paste.ini" "$GC/"
{ cat <<X
[DEFAULT]
log_file = $LOGS/glance.log
enabled_backends = fs:file
enabled_import_methods = []
worker_self_reference_url = http://$A:$GLANCE_PORT
[glance_store]
default_backend = fs
[fs]
filesystem_store_datadir = $MC_DATA/glance/images
[os_glance_staging_store]
filesystem_store_datadir = $MC_DATA/glance/staging
[os_glance_tasks_store]
filesystem_store_datadir = $MC_DATA/glance/tasks
[paste_deploy]
flavor = keystone
config_file = $GC/glance-api-paste.ini
[database]
connection = $(db_url glance)
X
authtoken glance; } > "$GC/glance-api.conf"
if [ ! -e "$MC_DATA/.glance-db" ]; then
  say "glance: schema"; "$MC_ROOT/venv-glance/bin/glance-manage" --config-file "$GC/glance-api.conf" db_sync >>"$LOGS/glance-manage.log" 2>&1
  touch "$MC_DATA/.glance-db"
fi
OS_GLANCE_CONFIG_DIR="$GC" OS_GLANCE_CONFIG_FILES="glance-api.conf" uwsgi_app glance glance glance.wsgi.api "$GLANCE_PORT" 1 4
wait_http glance "http://$A:$GLANCE_PORT/healthcheck" 60

# ---------------------------------------------------------------- neutron stub
start_daemon neutron-stub "$MC_ROOT/venv-client/bin/python" "$MC_DIR/tools/stub_neutron.py" "$A" "$NEUTRON_STUB_PORT"
wait_tcp neutron-stub "$NEUTRON_STUB_PORT" 20

# ---------------------------------------------------------------- nova
NC="$CONF/nova"; mkdir -p "$NC" "$MC_DATA/nova"
# Nova loads drivers from its own package only.
cp "$MC_DIR/tools/hypervisor.py" "$("$MC_ROOT/venv-nova/bin/python" -c 'import nova.virt; print(list(nova.virt.__path__)[0])')/minicloud.py"
cp "$MC_ROOT/venv-nova/etc/nova/api-paste.ini" "$NC/"
nova_common() { # STATE_DIR
  mkdir -p "$1/lock"
  cat <<X
[DEFAULT]
my_ip = $A
transport_url = $(amqp_url)
state_path = $1
report_interval = $REPORT_INTERVAL
service_down_time = $SERVICE_DOWN_TIME
sync_power_state_interval = $POWER_SYNC_INTERVAL
periodic_fuzzy_delay = 2
compute_driver = $COMPUTE_DRIVER
osapi_compute_link_prefix = http://$A:$NOVA_PORT
reserved_host_memory_mb = 0
rpc_response_timeout = 60
[api]
auth_strategy = keystone
[quota]
instances = -1
cores = -1
ram = -1
server_groups = -1
[oslo_concurrency]
lock_path = $1/lock
[vnc]
enabled = false
[spice]
enabled = false
[wsgi]
api_paste_config = $NC/api-paste.ini
[conductor]
workers = $NOVA_CONDUCTOR_WORKERS
[scheduler]
workers = $NOVA_SCHEDULER_WORKERS
[filter_scheduler]
track_instance_changes = false
[neutron]
$(client_auth nova)
endpoint_override = http://$A:$NEUTRON_STUB_PORT
[placement]
$(client_auth nova)
[glance]
$(client_auth nova)
[service_user]
send_service_user_token = true
$(client_auth nova)
X
  authtoken nova
}
db_part() { cat <<X

[database]
connection = $(db_url nova)
max_pool_size = 20
[api_database]
connection = $(db_url nova_api)
max_pool_size = 20
X
}
{ nova_common "$MC_DATA/nova/control"; db_part; } > "$NC/nova.conf"
NM="$MC_ROOT/venv-nova/bin/nova-manage --config-file $NC/nova.conf"
if [ ! -e "$MC_DATA/nova/.done" ]; then
  say "nova: schemas and cells"
  $NM api_db sync >>"$LOGS/nova-manage.log" 2>&1
  $NM cell_v2 map_cell0 --database_connection "$(db_url nova_cell0)" >>"$LOGS/nova-manage.log" 2>&1
  $NM cell_v2 list_cells 2>/dev/null | grep -q ' cell1 ' || $NM cell_v2 create_cell --name cell1 >>"$LOGS/nova-manage.log" 2>&1
  $NM db sync >>"$LOGS/nova-manage.log" 2>&1
  touch "$MC_DATA/nova/.done"
fi
start_daemon nova-conductor "$MC_ROOT/venv-nova/bin/nova-conductor" --config-file "$NC/nova.conf"
start_daemon nova-scheduler "$MC_ROOT/venv-nova/bin/nova-scheduler" --config-file "$NC/nova.conf"
OS_NOVA_CONFIG_DIR="$NC" uwsgi_app nova-api nova nova.wsgi.osapi_compute "$NOVA_PORT" "$NOVA_API_PROCS" "$NOVA_API_THREADS"
wait_http nova-api "http://$A:$NOVA_PORT/" 90
for i in $(seq 1 "$N_COMPUTES"); do
  h=$(cname "$i")
  [ -s "$NC/$h.conf" ] || true
  { nova_common "$MC_DATA/nova/$h"; printf '\n[minicloud]\nhost_name = %s\n' "$h"; } | sed "s/^my_ip = .*/&\nhost = $h/" > "$NC/$h.conf"
done
for i in $(seq 1 "$N_COMPUTES"); do "$MC_DIR/compute.sh" start "$(cname "$i")"; done
say "nova: waiting for $N_COMPUTES computes"
mcpy bootstrap.py wait-computes "$N_COMPUTES"
$NM cell_v2 discover_hosts --by-service >>"$LOGS/nova-manage.log" 2>&1
mcpy bootstrap.py compute

# ---------------------------------------------------------------- an ordinary configuration file for an instance-ha service
cat > "$MC_RUN/masakari.conf" <<X
[DEFAULT]
host = minicloud
transport_url = $(amqp_url)
masakari_api_listen = $A
masakari_api_listen_port = $HA_PORT
os_privileged_user_auth_url = $KS
os_privileged_user_name = nova
os_privileged_user_password = $PW
os_privileged_user_tenant = service
os_user_domain_name = Default
os_project_domain_name = Default
os_region_name = RegionOne
nova_catalog_admin_info = compute:nova:publicURL
[database]
connection = $(db_url masakari)
[taskflow]
connection = $(db_url masakari)
X
authtoken masakari >> "$MC_RUN/masakari.conf"
chmod 600 "$MC_RUN/masakari.conf"
mcpy bootstrap.py ha "http://$A:$HA_PORT/v1/\$(tenant_id)s"
say "up in $((SECONDS-T0)) s.   . $MC_RUN/openrc   configuration for the service under test: $MC_RUN/masakari.conf"
