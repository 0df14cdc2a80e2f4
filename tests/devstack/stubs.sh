# shellcheck shell=bash
# shellcheck disable=SC2034 # the plug-in reads these
# DevStack's functions that the plug-in calls: each writes its call into RECORD. Only what the plug-in depends on does something.
# Sourced with SCRATCH set to an empty folder.

RECORD=$SCRATCH/record
: >"$RECORD"
record() { printf '%s\n' "$*" >>"$RECORD"; }

# --- what stackrc and stack.sh set
HOME=$SCRATCH/home DEST=$SCRATCH/opt DATA_DIR=$SCRATCH/data SYSTEMD_DIR=$SCRATCH/systemd
STACK_USER=$(id -un)
GIT_BASE=https://git.example REGION_NAME=RegionOne
SERVICE_HOST=127.0.0.9 SERVICE_PROTOCOL=http SERVICE_LOCAL_HOST=127.0.0.1 SERVICE_LISTEN_ADDRESS=0.0.0.0 SERVICE_TIMEOUT=60
SERVICE_PASSWORD=secret SERVICE_PROJECT_NAME=service SERVICE_DOMAIN_NAME=Default SERVICE_GRACEFUL_SHUTDOWN_TIMEOUT=5
KEYSTONE_SERVICE_URI=http://127.0.0.9/identity SSL_BUNDLE_FILE=$DATA_DIR/ca-bundle.pem MEMCACHE_SERVERS=localhost:11211
API_WORKERS=2 ENABLE_DEBUG_LOG_LEVEL=True OFFLINE=False VIRT_DRIVER=libvirt LIBVIRT_GROUP=libvirt
APACHE_LOCAL_HOST=127.0.0.1 APACHE_CONF_DIR=$SCRATCH/apache HORIZON_DIR=$DEST/horizon TEMPEST_CONFIG=$SCRATCH/tempest.conf
DATABASE_BACKENDS="mysql postgresql"
declare -A GITREPO=() GITBRANCH=() GITDIR=()
mkdir -p "$DATA_DIR" "$APACHE_CONF_DIR" "$HORIZON_DIR"/openstack_dashboard/{local/enabled,local/local_settings.d,conf}

# --- functions-common
define_plugin() { :; }
echo_summary() { record echo_summary "$@"; }
die() {
  shift
  echo "ERROR $*" >&2
  exit 1
}
trueorfalse() {
  local value="${!2:-$1}"
  case "${value,,}" in 1 | yes | true) echo True ;; 0 | no | false) echo False ;; *) echo "$1" ;; esac
}
is_service_enabled() {
  local one list
  read -ra list <<<"$*"
  for one in "${list[@]}"; do
    if [[ ",$ENABLED_SERVICES," == *",$one,"* ]]; then return 0; fi
  done
  return 1
}
enable_service() {
  local one
  for one in "$@"; do
    if [[ ",${DISABLED_SERVICES:-}," == *",$one,"* ]] || is_service_enabled "$one"; then continue; fi
    ENABLED_SERVICES="${ENABLED_SERVICES:+$ENABLED_SERVICES,}$one"
  done
}
# As DevStack's, these do nothing for a service that is not enabled.
run_process() { if is_service_enabled "$1"; then record run_process "$@"; fi; }
stop_process() { if is_service_enabled "$1"; then record stop_process "$@"; fi; }
is_package_installed() { return 0; }
for name in install_package git_clone git_clone_by_name setup_develop setup_dev_lib pip_install_gr get_or_create_role \
  get_or_create_user get_or_add_user_project_role get_or_create_service get_or_create_endpoint create_service_user \
  recreate_database start_tls_proxy disable_apache_site restart_apache_server wait_for_service; do
  eval "$name() { record $name \"\$@\"; }"
done
get_extra_file() {
  record get_extra_file "$@"
  printf '%s\n' "$SCRATCH/fetched.tar.gz"
}
use_library_from_git() { return 1; }
sudo() { "$@"; }
curl() { record curl "$@"; }

# --- inc/ini-config
iniset() {
  local file="$1" heading="[$2]" option="$3" line in=no done=no text=""
  shift 3
  touch "$file"
  while IFS= read -r line; do
    if [[ "$line" == "["* ]]; then
      if [ "$in" = yes ] && [ "$done" = no ]; then text+="$option = $*"$'\n' done=yes; fi
      if [ "$line" = "$heading" ]; then in=yes; else in=no; fi
    elif [ "$in" = yes ] && [[ "$line" == "$option"[\ =]* ]]; then
      line="$option = $*" done=yes
    fi
    text+="$line"$'\n'
  done <"$file"
  if [ "$done" = no ]; then
    if [ "$in" = no ]; then text+="$heading"$'\n'; fi
    text+="$option = $*"$'\n'
  fi
  printf '%s' "$text" >"$file"
}
# Of an option that no other section has
inidelete() { sed -i "/^$3 *=/d" "$1"; }
iniget() {
  local line in=no value=""
  while IFS= read -r line; do
    if [[ "$line" == "["* ]]; then
      if [ "$line" = "[$2]" ]; then in=yes; else in=no; fi
    elif [ "$in" = yes ] && [[ "$line" == "$3"[\ =]* ]]; then
      value="${line#*= }"
    fi
  done <"$1"
  printf '%s\n' "$value"
}

# --- lib/*
apache_site_config_for() { printf '%s/%s.conf\n' "$APACHE_CONF_DIR" "$1"; }
write_local_proxy_http_config() {
  record write_local_proxy_http_config "$@"
  printf 'ProxyPass "%s" "%s"\n' "$3" "$2" >"$(apache_site_config_for "$1")"
}
database_connection_url() { printf 'mysql+pymysql://root:pw@127.0.0.1/%s?charset=utf8&plugin=dbcounter\n' "$1"; }
iniset_rpc_backend() { iniset "$2" "$3" transport_url rabbit://stackrabbit:pw@127.0.0.9:5672/; }
configure_keystone_authtoken_middleware() {
  record configure_keystone_authtoken_middleware "$@"
  iniset "$1" "$3" auth_type password
  iniset "$1" "$3" interface public
  iniset "$1" "$3" auth_url "$KEYSTONE_SERVICE_URI"
  iniset "$1" "$3" www_authenticate_uri "$KEYSTONE_SERVICE_URI"
  iniset "$1" "$3" username "$2"
  iniset "$1" "$3" password "$SERVICE_PASSWORD"
  iniset "$1" "$3" user_domain_name "$SERVICE_DOMAIN_NAME"
  iniset "$1" "$3" project_name "$SERVICE_PROJECT_NAME"
  iniset "$1" "$3" project_domain_name "$SERVICE_DOMAIN_NAME"
  iniset "$1" "$3" cafile "$SSL_BUNDLE_FILE"
  iniset "$1" "$3" memcached_servers "$MEMCACHE_SERVERS"
  if [ -n "${4:-}" ]; then iniset "$1" "$3" service_type "$4"; fi
}
