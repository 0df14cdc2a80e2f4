# shellcheck shell=bash
# shellcheck disable=SC2034 # the plug-in reads these
# DevStack's functions against the running minicloud: what stubs.sh only records happens here. Sourced after stubs.sh and after the
# minicloud's settings, with MC_RUN, PLACE (a folder for units, logs and Apache) and APACHE_PORT set.

STACK_USER=root REGION_NAME=RegionOne DATABASE_BACKENDS=mysql VIRT_DRIVER=fake
SERVICE_HOST=$MC_ADDR:$APACHE_PORT SERVICE_PROTOCOL=http SERVICE_LOCAL_HOST=127.0.0.1 APACHE_LOCAL_HOST=127.0.0.1 SERVICE_TIMEOUT=60
SERVICE_PASSWORD=$(mc_pw) SERVICE_PROJECT_NAME=service SERVICE_DOMAIN_NAME=Default
KEYSTONE_SERVICE_URI=http://$MC_ADDR:$KEYSTONE_PORT MEMCACHE_SERVERS=$MC_ADDR:$MEMCACHED_PORT
# As on a DevStack without TLS: it is named everywhere and is not there.
SSL_BUNDLE_FILE=$PLACE/ca-bundle.pem

# DevStack installs these from PyPI; the minicloud has done so.
pip_install_gr() { "$MC_ROOT/venv-client/bin/python" -c 'import masakariclient'; }

keystone() { OS_CLOUD="" openstack --os-cloud devstack-system-admin "$@"; }
get_or_create_role() { keystone role create "$1" --or-show -f value -c id; }
get_or_create_user() { keystone user create "$1" --password "$2" --domain "$3" --or-show -f value -c id; }
get_or_add_user_project_role() {
  keystone role add "$1" --user "$2" --project "$3" --user-domain "$4" --project-domain "$5"
}
create_service_user() {
  get_or_create_user "$1" "$SERVICE_PASSWORD" "$SERVICE_DOMAIN_NAME"
  local role
  for role in service "$2"; do
    get_or_add_user_project_role "$role" "$1" "$SERVICE_PROJECT_NAME" "$SERVICE_DOMAIN_NAME" "$SERVICE_DOMAIN_NAME"
  done
}
get_or_create_service() {
  keystone service show "$2" -f value -c id 2>/dev/null || keystone service create "$2" --name "$1" --description "$3" -f value -c id
}
get_or_create_endpoint() {
  if [ -n "$(keystone endpoint list --service "$1" --interface public --region "$2" -f value -c ID)" ]; then return; fi
  keystone endpoint create "$1" public "$3" --region "$2" -f value -c id
}
recreate_database() { sql -e "DROP DATABASE IF EXISTS $1; CREATE DATABASE $1 CHARACTER SET utf8;"; }
database_connection_url() { printf '%s&plugin=dbcounter\n' "$(db_url "$1")"; }
iniset_rpc_backend() { iniset "$2" "$3" transport_url "$(amqp_url)"; }

# Processes as systemd would start them: no shell in between, an environment of their own. minicloud/lib.sh keeps their ids.
run_process() {
  is_service_enabled "$1" || return 0
  local command
  read -ra command <<<"$2"
  record run_process "$@"
  start_daemon "devstack-$1" env -i PATH="$PATH" "${command[@]}"
}
stop_process() {
  is_service_enabled "$1" || return 0
  record stop_process "$@"
  stop_daemon "devstack-$1"
}
wait_for_service() {
  local end=$((SECONDS + $1)) answer
  while [ "$SECONDS" -lt "$end" ]; do
    answer="$(command curl -s -o /dev/null -m 5 -w '%{http_code}' "$2" || true)"
    if [ "$answer" != 000 ] && [ "$answer" != 503 ]; then return 0; fi
    sleep 0.5
  done
  return 1
}
curl() { command curl "$@"; }

# Apache with DevStack's way of passing requests on.
write_local_proxy_http_config() {
  printf 'KeepAlive Off\nSetEnv proxy-sendchunked 1\nProxyPass "%s" "%s" retry=0 acquire=1\n' "$3" "$2" >"$(apache_site_config_for "$1")"
  restart_apache_server
}
disable_apache_site() { record disable_apache_site "$@"; }
restart_apache_server() {
  local module
  {
    printf 'ServerRoot "%s"\nPidFile apache.pid\nListen %s:%s\nServerName localhost\nErrorLog apache.log\nDefaultRuntimeDir .\n' \
      "$PLACE" "$MC_ADDR" "$APACHE_PORT"
    for module in mpm_event authz_core env proxy proxy_http; do
      printf 'LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n' "$module" "$module"
    done
    printf 'User nobody\nGroup nogroup\nIncludeOptional %s/*.conf\n' "$APACHE_CONF_DIR"
  } >"$PLACE/apache.conf"
  stop_daemon devstack-apache
  start_daemon devstack-apache "$(command -v apache2 || echo /usr/sbin/apache2)" -f "$PLACE/apache.conf" -DFOREGROUND
}
