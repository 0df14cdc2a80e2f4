#!/usr/bin/env bash
# run.sh TACHI TACHI_MONITOR [CASE...] : devstack/plugin.sh in every phase, with DevStack's functions stubbed (stubs.sh). Each case is a
# function `case_...` in a shell of its own with stack.sh's `errexit`; the two binaries read the configuration that is written.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
repo="$(cd "$here/../.." && pwd)"
[ $# -ge 2 ] || { sed -n '2,3s/^# //p' "${BASH_SOURCE[0]}"; exit 2; }
TACHI="$1" MONITOR="$2"
shift 2

# --- what a case begins with, and how it asks

# devstack [NAME=VALUE...] : DevStack as far as "source settings", with such a local.conf
devstack() {
  # shellcheck source=tests/devstack/stubs.sh
  . "$here/stubs.sh"
  ENABLED_SERVICES=key,mysql,rabbit,n-api,n-cpu,horizon,tempest
  # Ready-made binaries, so that cases need not build; a line each, for the real ones are large.
  mkdir -p "$SCRATCH/ready"
  script "$SCRATCH/ready/tachi" "exec '$TACHI' \"\$@\""
  script "$SCRATCH/ready/tachi-monitor" "exec '$MONITOR' \"\$@\""
  # Never the target folder of the checkout: the cases clean up.
  TACHI_INSTALL=binary TACHI_BINARIES=$SCRATCH/ready TACHI_BIN_DIR=$SCRATCH/bin TACHI_TARGET_DIR=$SCRATCH/target
  MASAKARI_CONF_DIR=$SCRATCH/etc/masakari MASAKARI_MONITORS_CONF_DIR=$SCRATCH/etc/masakarimonitors
  mkdir -p "$SCRATCH/etc"
  local setting
  for setting in "$@"; do printf -v "${setting%%=*}" '%s' "${setting#*=}"; done
  # shellcheck source=devstack/settings
  . "$repo/devstack/settings"
}
# script FILE LINE : makes it an executable of one line; what runs keeps the file that it has
script() {
  printf '#!/bin/sh\n%s\n' "$2" >"$1.new"
  chmod +x "$1.new"
  mv "$1.new" "$1"
}
# shellcheck source=devstack/plugin.sh
phase() { . "$repo/devstack/plugin.sh" "$@"; }
stack() {
  local one
  for one in pre-install install post-config; do phase stack "$one"; done
  # A database is not here: what `db sync` and the questions to Nova do is for the minicloud to show.
  # shellcheck disable=SC2016 # written into the script
  if is_tachi_control_enabled || is_tachi_monitor_enabled; then
    script "$TACHI_BIN_DIR/tachi" "echo \"tachi \$*\" >>'$RECORD'"
  fi
  for one in extra test-config; do phase stack "$one"; done
}
fail() { printf '%s\n' "$*" >&2; exit 1; }
said() { grep -qE -- "$1" "$RECORD" || { cat "$RECORD" >&2; fail "not called: $1"; }; }
unsaid() { if grep -E -- "$1" "$RECORD" >&2; then fail "called, but should not be: $1"; fi; }
# before A B : the first call like A comes before the first like B
before() {
  local a b
  a="$(grep -nE -m1 -- "$1" "$RECORD" | cut -d: -f1)" b="$(grep -nE -m1 -- "$2" "$RECORD" | cut -d: -f1)"
  if [ -n "$a" ] && [ -n "$b" ] && [ "$a" -lt "$b" ]; then return; fi
  cat "$RECORD" >&2
  fail "'$1' (line $a) should come before '$2' (line $b)"
}
holds() { grep -qxF -- "$2" "$1" || { cat "$1" >&2; fail "$1 does not hold: $2"; }; }
# dies TEXT COMMAND... : ends with an error that says TEXT
dies() {
  local text="$1" said rc=0
  shift
  said="$(set -e; "$@" 2>&1)" || rc=$?
  [ "$rc" -ne 0 ] || fail "$* should have died"
  grep -qF -- "$text" <<<"$said" || fail "died with: $said, without: $text"
}
leaves_nothing() {
  local left
  left="$(find "$SCRATCH/etc" "$SCRATCH/bin" "$SCRATCH/apache" "$SCRATCH/data" -mindepth 1 2>/dev/null || true)"
  [ -z "$left" ] || fail "left behind: $left"
}

# --- which services

case_settings_enable_everything_unless_something_is_named() {
  devstack
  local service
  for service in masakari masakari-api masakari-engine masakari-monitors masakari-hostmonitor masakari-processmonitor \
    masakari-instancemonitor masakari-introspectiveinstancemonitor; do
    is_service_enabled "$service" || fail "$service is not enabled: $ENABLED_SERVICES"
  done
}
case_settings_of_a_compute_node_leave_the_api_out() {
  devstack ENABLED_SERVICES=n-cpu,masakari-monitors
  is_service_enabled masakari-instancemonitor || fail "$ENABLED_SERVICES"
  if is_service_enabled masakari-api masakari-engine masakari; then fail "$ENABLED_SERVICES"; fi
}
case_settings_keep_to_what_is_named() {
  devstack ENABLED_SERVICES=key,masakari-api,masakari-processmonitor
  [ "$ENABLED_SERVICES" = key,masakari-api,masakari-processmonitor ] || fail "$ENABLED_SERVICES"
}
case_settings_respect_what_is_disabled() {
  devstack DISABLED_SERVICES=masakari-hostmonitor,masakari-engine
  if is_service_enabled masakari-hostmonitor masakari-engine; then fail "$ENABLED_SERVICES"; fi
  is_service_enabled masakari-api || fail "$ENABLED_SERVICES"
}
case_settings_find_the_repository_under_any_plugin_name() {
  devstack
  [ "$TACHI_DIR" = "$repo" ] || fail "$TACHI_DIR"
}
case_nothing_enabled_does_nothing() {
  devstack ENABLED_SERVICES=key,masakari-dashboard
  stack
  phase unstack
  phase clean
  unsaid 'run_process|stop_process|create_|recreate|install'
}
# Every set of the six services, from stack to clean: only what is enabled runs and is stopped, and nothing stays.
case_every_combination_of_services() {
  local all=(masakari-api masakari-engine masakari-hostmonitor masakari-processmonitor masakari-instancemonitor
    masakari-introspectiveinstancemonitor)
  devstack ENABLED_SERVICES=key,mysql,n-cpu,masakari-api
  mkdir -p "$SCRATCH/tools"
  script "$SCRATCH/tools/crm_mon" true
  # The rest of this case is about calls.
  script "$SCRATCH/ready/tachi" true
  local PATH="$SCRATCH/tools:$PATH" set place service expected run
  for ((set = 1; set < 64; set++)); do
    ENABLED_SERVICES=key,mysql,n-cpu
    expected=""
    for place in 0 1 2 3 4 5; do
      if (((set >> place) & 1)); then ENABLED_SERVICES+=",${all[place]}"; expected+="${all[place]} "; fi
    done
    : >"$RECORD"
    stack
    run="$(sed -nE 's/^run_process ([a-z-]+) .*/\1/p' "$RECORD" | sort | tr '\n' ' ')"
    [ "$run" = "$(tr ' ' '\n' <<<"${expected% }" | sort | tr '\n' ' ')" ] || fail "enabled $expected, run $run"
    phase unstack
    for service in $expected; do said "^stop_process $service\$"; done
    phase clean
    leaves_nothing
  done
}

# --- wrong settings

case_wrong_settings_end_it_at_once() {
  devstack
  TACHI_INSTALL=snap dies 'TACHI_INSTALL=snap: must be source, binary or deb' phase stack pre-install
  TACHI_BINARIES="" dies TACHI_BINARIES phase stack pre-install
  TACHI_BINARIES=https://example.org/tachi.tar.gz dies TACHI_BINARIES_SHA256 phase stack pre-install
  TACHI_INSTALL=deb dies TACHI_DEBS phase stack pre-install
  TACHI_FENCING_MODE=hope dies 'TACHI_FENCING_MODE=hope' phase stack pre-install
  TACHI_FENCING_FILE=/nowhere.toml dies /nowhere.toml phase stack pre-install
  TACHI_PROCESS_LIST=/nowhere.yaml dies /nowhere.yaml phase stack pre-install
}

# --- binaries

case_install_links_the_names_of_masakari() {
  devstack
  phase stack install
  cmp "$SCRATCH/ready/tachi" "$SCRATCH/bin/tachi" && cmp "$SCRATCH/ready/tachi-monitor" "$SCRATCH/bin/tachi-monitor"
  local name
  for name in masakari-api masakari-engine masakari-manage masakari-status; do
    [ "$(readlink "$SCRATCH/bin/$name")" = tachi ] || fail "$name"
  done
  [ "$(readlink "$SCRATCH/bin/masakari-hostmonitor")" = tachi-monitor ] || fail masakari-hostmonitor
  said '^pip_install_gr python-masakariclient$'
  said '^setup_develop .*/masakari-dashboard$'
  [ -L "$HORIZON_DIR/openstack_dashboard/local/enabled/_50_masakaridashboard.py" ] || fail "the dashboard is not linked"
}
case_install_without_horizon_leaves_the_dashboard_out() {
  devstack ENABLED_SERVICES=key,n-cpu,masakari
  phase stack install
  unsaid masakari-dashboard
}
# shellcheck disable=SC2016 # written into the script
case_install_builds_what_is_checked_out() {
  devstack TACHI_INSTALL=source "TACHI_TARGET_DIR=$SCRATCH/target"
  mkdir -p "$SCRATCH/tools"
  cat >"$SCRATCH/tools/cargo" <<'S'
#!/bin/sh
if [ "$1" = --version ]; then echo "cargo ${CARGO_IS:-1.99.0} (abc 2026-01-01)"; exit; fi
echo "cargo in $(pwd): $*" >>"$RECORD"
mkdir -p "$TACHI_TARGET_DIR/$FOLDER"
for name in tachi tachi-monitor; do printf '#!/bin/sh\n' >"$TACHI_TARGET_DIR/$FOLDER/$name"; chmod +x "$TACHI_TARGET_DIR/$FOLDER/$name"; done
S
  script "$SCRATCH/tools/rustup" 'echo "rustup $*" >>"$RECORD"'
  chmod +x "$SCRATCH/tools/cargo"
  PATH="$SCRATCH/tools:$PATH"
  export RECORD TACHI_TARGET_DIR FOLDER=release
  phase stack install
  said "^cargo in $repo: build --locked --profile release --target-dir .* -p tachi -p tachi-monitor\$"
  unsaid rustup
  [ -x "$SCRATCH/bin/tachi" ] || fail "not installed"
  FOLDER=debug TACHI_CARGO_PROFILE=dev OFFLINE=True phase stack install
  said '^cargo in .* build --locked --offline --profile dev'
  export CARGO_IS=1.75.0
  OFFLINE=True dies OFFLINE=True phase stack install
  dies 'or newer is needed' phase stack install
  said '^rustup toolchain install'
}
case_install_says_which_binary_is_missing() {
  devstack
  rm "$SCRATCH/ready/tachi-monitor"
  dies "no tachi-monitor in $SCRATCH/ready (TACHI_INSTALL=binary)" phase stack install
}
case_install_takes_an_archive_and_checks_it() {
  devstack
  mkdir -p "$SCRATCH/pack/tachi-0.9/bin"
  for name in tachi tachi-monitor; do
    script "$SCRATCH/pack/tachi-0.9/bin/$name" "echo $name"
  done
  tar -czf "$SCRATCH/fetched.tar.gz" -C "$SCRATCH/pack" .
  TACHI_BINARIES=https://example.org/tachi.tar.gz
  TACHI_BINARIES_SHA256=$(sha256sum "$SCRATCH/fetched.tar.gz" | cut -d' ' -f1)
  phase stack pre-install
  phase stack install
  [ "$("$SCRATCH/bin/tachi-monitor")" = tachi-monitor ] || fail "not what the archive held"
  said '^get_extra_file https://example.org/tachi.tar.gz$'
  echo more >>"$SCRATCH/fetched.tar.gz"
  dies TACHI_BINARIES_SHA256 phase stack install
}
case_install_takes_packages_apart() {
  devstack TACHI_INSTALL=deb "TACHI_DEBS=$SCRATCH/a.deb"
  mkdir -p "$SCRATCH/deb/usr/bin" "$SCRATCH/deb/DEBIAN"
  cp "$SCRATCH/ready/tachi-monitor" "$SCRATCH/deb/usr/bin/tachi-monitor"
  script "$SCRATCH/deb/usr/bin/tachi" "echo packaged"
  printf 'Package: tachi\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: a\n' >"$SCRATCH/deb/DEBIAN/control"
  dpkg-deb -Znone -b "$SCRATCH/deb" "$SCRATCH/a.deb" >/dev/null
  phase stack install
  [ "$("$SCRATCH/bin/tachi")" = packaged ] || fail "not what the package held"
  TACHI_DEBS=$SCRATCH/b.deb dies b.deb phase stack install
}

# --- configuration

case_configuration_is_understood_by_the_binaries() {
  devstack TACHI_HOSTNAME=compute-7
  phase stack install
  phase stack post-config
  local conf="$SCRATCH/etc/masakari/masakari.conf" shown
  shown="$("$TACHI" config show --config-file "$conf" 2>"$SCRATCH/warnings")"
  if grep -E 'WARN|ERROR' "$SCRATCH/warnings" >&2; then fail "the configuration is warned of"; fi
  grep -qx 'mode = external' <<<"$shown" || fail "$shown"
  grep -qx 'reporter_binding = enforce' <<<"$shown" || fail "$shown"
  grep -qx 'normal_without_evidence = wait' <<<"$shown" || fail "$shown"
  holds "$conf" "osapi_masakari_link_prefix = http://127.0.0.9/instance-ha"
  holds "$conf" "masakari_api_listen = 127.0.0.1"
  holds "$conf" "masakari_api_listen_port = 15868"
  holds "$conf" "service_type = instance-ha"
  [ "$(stat -c %a "$conf")" = 640 ] || fail "$(stat -c %a "$conf")"
  local monitors="$SCRATCH/etc/masakarimonitors/masakarimonitors.conf"
  [ "$(stat -c %a "$monitors")" = 640 ] || fail "$(stat -c %a "$monitors")"
  holds "$monitors" "username = masakari-monitor-compute-7"
  holds "$monitors" "hostname = compute-7"
  # It cannot log in here; a configuration that is refused ends with 2.
  local rc=0
  "$MONITOR" check process --config-file "$monitors" -f json >"$SCRATCH/check" 2>&1 || rc=$?
  [ "$rc" -le 1 ] || { cat "$SCRATCH/check" >&2; fail "tachi-monitor check: $rc"; }
}
case_the_role_of_the_monitors_may_report_and_nothing_else() {
  devstack TACHI_MONITOR_ROLE=herald
  phase stack install
  phase stack post-config
  local conf="$SCRATCH/etc/masakari/masakari.conf"
  "$TACHI" policy check --config-file "$conf" --role herald --rule os_masakari_api:notifications:create >/dev/null ||
    fail "may not report"
  local rule
  for rule in segments:index segments:create os-hosts:create notifications:index; do
    if "$TACHI" policy check --config-file "$conf" --role herald --rule "os_masakari_api:$rule" >/dev/null; then fail "may $rule"; fi
  done
}
case_one_user_for_all_monitors_is_bound_to_no_host() {
  devstack TACHI_MONITOR_USER=herald TACHI_FENCING_MODE=dry-run
  phase stack install
  phase stack post-config
  holds "$SCRATCH/etc/masakari/masakari.conf" "reporter_binding = warn"
  holds "$SCRATCH/etc/masakari/masakari.conf" "normal_without_evidence = refuse"
  holds "$SCRATCH/etc/masakarimonitors/masakarimonitors.conf" "username = herald"
  said '^get_or_create_user herald secret Default$'
}
case_accounts_and_endpoint() {
  devstack TACHI_HOSTNAME=compute-7 TACHI_MONITOR_HOSTS="compute-8 compute-9"
  phase stack install
  phase stack post-config
  said '^create_service_user masakari admin$'
  said '^get_or_create_role masakari_monitor$'
  local host
  for host in compute-7 compute-8 compute-9; do
    said "^get_or_create_user masakari-monitor-$host secret Default\$"
    said "^get_or_add_user_project_role masakari_monitor masakari-monitor-$host service Default Default\$"
  done
  said '^get_or_create_service masakari instance-ha '
  said '^get_or_create_endpoint masakari RegionOne http://127.0.0.9/instance-ha/v1/\$\(tenant_id\)s$'
  unsaid 'role (admin|service) masakari-monitor'
}
case_a_node_without_keystone_makes_no_accounts() {
  devstack ENABLED_SERVICES=n-cpu,masakari-monitors
  stack
  unsaid 'create_|recreate_database|tachi db'
  [ ! -e "$SCRATCH/etc/masakari" ] || fail "a compute node got masakari.conf"
  holds "$SCRATCH/etc/masakarimonitors/masakarimonitors.conf" "auth_url = http://127.0.0.9/identity"
}
case_a_second_control_node_keeps_the_database() {
  devstack ENABLED_SERVICES=masakari-engine
  stack
  unsaid recreate_database
  said '^run_process masakari-engine /.*/tachi engine --config-file '
  unsaid wait_for_service
}
case_a_port_of_its_own() {
  devstack MASAKARI_USE_MOD_WSGI=False
  stack
  holds "$SCRATCH/etc/masakari/masakari.conf" "masakari_api_listen = 0.0.0.0"
  said 'get_or_create_endpoint masakari RegionOne http://127.0.0.9:15868/v1/\$\(tenant_id\)s$'
  unsaid 'write_local_proxy_http_config|start_tls_proxy'
  said '^curl .* http://127.0.0.9:15868/healthcheck$'
}
case_a_ca_file_only_where_there_is_one() {
  devstack
  phase stack install
  phase stack post-config
  if grep cafile "$SCRATCH/etc/masakari/masakari.conf" >&2; then fail "a CA file that is not there is named"; fi
  touch "$SSL_BUNDLE_FILE"
  phase stack post-config
  holds "$SCRATCH/etc/masakari/masakari.conf" "cafile = $SSL_BUNDLE_FILE"
}
case_tls_proxy_before_a_port() {
  devstack MASAKARI_USE_MOD_WSGI=False SERVICE_PROTOCOL=https ENABLED_SERVICES=key,mysql,tls-proxy,n-cpu,masakari,masakari-monitors
  stack
  holds "$SCRATCH/etc/masakari/masakari.conf" "masakari_api_listen_port = 25868"
  holds "$SCRATCH/etc/masakari/masakari.conf" "masakari_api_listen = 127.0.0.1"
  holds "$SCRATCH/etc/masakari/masakari.conf" "nova_ca_certificates_file = $SSL_BUNDLE_FILE"
  holds "$SCRATCH/etc/masakarimonitors/masakarimonitors.conf" "cafile = $SSL_BUNDLE_FILE"
  said '^start_tls_proxy masakari-service \* 15868 127.0.0.1 25868$'
  said 'get_or_create_endpoint masakari RegionOne https://127.0.0.9:15868/v1/'
  said '^wait_for_service 60 http://127.0.0.1:25868/healthcheck$'
  # DevStack takes away the site that is enabled, and leaves the file.
  touch "$SCRATCH/apache/masakari-service-tls-proxy.conf"
  phase unstack
  said '^disable_apache_site masakari-service-tls-proxy$'
  phase clean
  leaves_nothing
}
case_tls_proxy_before_apache() {
  devstack SERVICE_PROTOCOL=https ENABLED_SERVICES=key,mysql,tls-proxy,masakari
  stack
  holds "$SCRATCH/etc/masakari/masakari.conf" "masakari_api_listen_port = 15868"
  said 'get_or_create_endpoint masakari RegionOne https://127.0.0.9/instance-ha/v1/'
  unsaid start_tls_proxy
}
case_ipv6() {
  devstack 'SERVICE_HOST=[2001:db8::10]' SERVICE_LOCAL_HOST=::1 'APACHE_LOCAL_HOST=[::1]' 'SERVICE_LISTEN_ADDRESS=[::]' \
    MASAKARI_USE_MOD_WSGI=False
  phase stack install
  phase stack post-config
  "$TACHI" config show --config-file "$SCRATCH/etc/masakari/masakari.conf" >/dev/null
  holds "$SCRATCH/etc/masakari/masakari.conf" "masakari_api_listen = ::"
  MASAKARI_USE_MOD_WSGI=True
  phase stack post-config
  "$TACHI" config show --config-file "$SCRATCH/etc/masakari/masakari.conf" >/dev/null
  holds "$SCRATCH/etc/masakari/masakari.conf" "masakari_api_listen = ::1"
  stack
  said '^wait_for_service 60 http://\[::1\]:15868/healthcheck$'
  said '^write_local_proxy_http_config tachi-api http://\[::1\]:15868 /instance-ha$'
}
case_fence_devices_and_processes_of_the_operator() {
  devstack "TACHI_FENCING_FILE=$repo/packaging/fencing.toml" "TACHI_PROCESS_LIST=$repo/packaging/examples/process_list.yaml"
  phase stack install
  phase stack pre-install
  phase stack post-config
  cmp "$repo/packaging/fencing.toml" "$SCRATCH/etc/masakari/fencing.toml"
  holds "$SCRATCH/etc/masakari/masakari.conf" "mode = engine"
  cmp "$repo/packaging/examples/process_list.yaml" "$SCRATCH/etc/masakarimonitors/process_list.yaml"
  TACHI_FENCING_FILE="" TACHI_FENCING_MODE=external phase stack post-config
  [ ! -e "$SCRATCH/etc/masakari/fencing.toml" ] || fail "devices of the last time stay"
}
case_a_configuration_that_is_refused_ends_it() {
  devstack API_WORKERS=many
  phase stack install
  dies "is refused" phase stack post-config
}
case_configuring_again_writes_the_same() {
  devstack
  phase stack install
  phase stack post-config
  cp -a "$SCRATCH/etc" "$SCRATCH/first"
  phase stack post-config
  diff -r "$SCRATCH/first" "$SCRATCH/etc" || fail "the second time differs"
}

# --- processes

case_order_of_a_start() {
  devstack
  stack
  before '^stop_process masakari-engine' '^recreate_database masakari$'
  before '^recreate_database masakari$' '^tachi db sync --config-file '
  before '^tachi db sync' '^run_process masakari-api'
  before '^run_process masakari-api' '^write_local_proxy_http_config tachi-api http://127.0.0.1:15868 /instance-ha$'
  before '^wait_for_service 60 http://127.0.0.1:15868/healthcheck$' '^curl .* http://127.0.0.9/instance-ha/healthcheck$'
  before '^curl' '^run_process masakari-engine'
  before '^run_process masakari-engine' '^run_process masakari-processmonitor'
  said '^run_process masakari-api /.*/bin/tachi api --config-file /.*/masakari.conf'
  said '^run_process masakari-instancemonitor /.*/bin/tachi-monitor instance --config-file /.*/masakarimonitors.conf libvirt$'
  # systemd takes the first word as it is: no shell, no sudo, an absolute path.
  if sed -nE 's/^run_process [a-z-]+ //p' "$RECORD" | grep -vE '^/[^ ;|&<>$]+( [^;|&<>$]+)?$' >&2; then fail "not for systemd"; fi
}
case_host_monitor_only_where_there_is_a_cluster() {
  # Whatever this machine has of Pacemaker is in the folders for the administrator.
  PATH="${PATH//\/usr\/sbin/\/nowhere}"
  PATH="${PATH//:\/sbin/:\/nowhere}"
  devstack
  stack
  unsaid '^run_process masakari-hostmonitor'
  said '^echo_summary masakari-hostmonitor is not started: no Pacemaker here'
  iniset "$MASAKARI_MONITORS_CONF" host monitoring_driver consul
  phase stack extra
  said '^run_process masakari-hostmonitor /.*/tachi-monitor host '
}
case_no_instance_monitor_without_libvirt() {
  devstack VIRT_DRIVER=fake
  stack
  unsaid '^run_process masakari-instancemonitor|^run_process masakari-introspective'
  said '^run_process masakari-processmonitor'
}
# shellcheck disable=SC2317 # called by the plug-in
case_an_api_that_does_not_start_ends_it() {
  devstack
  phase stack install
  phase stack post-config
  script "$SCRATCH/bin/tachi" true
  wait_for_service() { return 124; }
  dies "journalctl -u devstack@masakari-api" phase stack extra
  wait_for_service() { :; }
  curl() { return 22; }
  dies "http://127.0.0.9/instance-ha/healthcheck" phase stack extra
  unsaid '^run_process masakari-engine'
}
case_a_failed_db_sync_ends_it() {
  devstack
  phase stack install
  phase stack post-config
  script "$SCRATCH/bin/tachi" "exit 1"
  dies "tachi db sync failed" phase stack extra
  unsaid run_process
}
# shellcheck disable=SC2016 # written into the script
case_sample_segment_is_made_once() {
  devstack TACHI_SAMPLE_SEGMENT=everything ENABLED_SERVICES=key,mysql,masakari
  mkdir -p "$SCRATCH/tools"
  cat >"$SCRATCH/tools/openstack" <<'S'
#!/bin/sh
echo "openstack $*" >>"$RECORD"
case "$*" in
  *"segment show"*) [ -e "$RECORD.segment" ] ;;
  *"segment create"*) : >"$RECORD.segment" ;;
  *"segment host list"*) [ ! -e "$RECORD.host" ] || cat "$RECORD.host" ;;
  *"compute service list"*) printf 'compute-1\ncompute-2\n' ;;
  *"segment host create"*) echo "$6" >>"$RECORD.host" ;;
esac
S
  chmod +x "$SCRATCH/tools/openstack"
  PATH="$SCRATCH/tools:$PATH"
  export RECORD
  stack
  said '^openstack --os-cloud devstack-admin segment create everything auto COMPUTE$'
  said '^openstack --os-cloud devstack-admin segment host create compute-2 COMPUTE SSH everything$'
  : >"$RECORD"
  phase stack extra
  unsaid 'segment create|host create'
}
case_tempest_is_told() {
  devstack
  stack
  holds "$TEMPEST_CONFIG" "masakari = True"
}

# --- the end

case_unstack_takes_away_what_was_written_and_nothing_else() {
  devstack
  stack
  echo mine >"$SCRATCH/etc/masakari/policy.d/50-mine.yaml"
  : >"$RECORD"
  phase unstack
  before '^stop_process masakari-processmonitor' '^stop_process masakari-engine'
  before '^stop_process masakari-engine' '^stop_process masakari-api'
  said '^disable_apache_site tachi-api$'
  [ -z "$(find "$SCRATCH/apache" -type f)" ] || fail "Apache's site stays"
  [ "$(find "$SCRATCH/etc" -type f)" = "$SCRATCH/etc/masakari/policy.d/50-mine.yaml" ] || fail "$(find "$SCRATCH/etc")"
  [ ! -L "$HORIZON_DIR/openstack_dashboard/conf/masakari_policy.yaml" ] || fail "the dashboard's links stay"
  [ -x "$SCRATCH/bin/tachi" ] || fail "unstack takes away the binaries"
  : >"$RECORD"
  phase unstack
  unsaid 'disable_apache_site|restart_apache_server'
}
case_clean_leaves_nothing() {
  devstack
  stack
  phase unstack
  phase clean
  leaves_nothing
  phase clean
}
case_clean_keeps_commands_of_masakari() {
  devstack
  stack
  rm "$SCRATCH/bin/masakari-manage"
  echo upstream >"$SCRATCH/bin/masakari-manage"
  phase clean
  [ "$(cat "$SCRATCH/bin/masakari-manage")" = upstream ] || fail "masakari-manage of Masakari is gone"
}
case_stack_after_unstack_is_as_the_first() {
  devstack
  stack
  cp -a "$SCRATCH/etc" "$SCRATCH/first"
  phase unstack
  stack
  diff -r "$SCRATCH/first" "$SCRATCH/etc"
}

# --- good manners

case_no_variable_of_devstack_is_overwritten() {
  devstack
  local before
  before="$(declare -p | sed -nE 's/^declare -[-aAirx]+ ([A-Za-z_0-9]+)(=.*)?$/\1\2/p' | grep -vE '^(TACHI|MASAKARI|BASH|FUNCNAME|RANDOM|SECONDS|EPOCH|SRANDOM|LINENO|PIPESTATUS|_|before|RECORD|OPT)')"
  stack
  phase unstack
  local after
  after="$(declare -p | sed -nE 's/^declare -[-aAirx]+ ([A-Za-z_0-9]+)(=.*)?$/\1\2/p' | grep -vE '^(TACHI|MASAKARI|BASH|FUNCNAME|RANDOM|SECONDS|EPOCH|SRANDOM|LINENO|PIPESTATUS|_|before|after|RECORD|OPT)')"
  diff <(printf '%s\n' "$before") <(printf '%s\n' "$after") || fail "these variables have changed"
}
case_tracing_stays_as_it_was() {
  devstack
  set -x
  phase stack pre-install 2>/dev/null
  case "$-" in *x*) ;; *) fail "xtrace is off" ;; esac
  set +x
  phase stack pre-install
  case "$-" in *x*) fail "xtrace is on" ;; esac
}

passed=0 failed=0
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
for name in $(declare -F | awk '$3 ~ /^case_/ { print $3 }'); do
  if [ $# -gt 0 ] && [[ " $* " != *" ${name#case_} "* ]]; then continue; fi
  rc=0
  SCRATCH="$work/$name"
  mkdir "$SCRATCH"
  # As a job of its own: behind `||` or `if` errexit would not hold in it.
  (set -e; "$name") >"$work/$name.out" 2>&1 &
  wait $! || rc=$?
  if [ "$rc" -eq 0 ]; then
    echo "ok      ${name#case_}"
    passed=$((passed + 1))
  else
    echo "FAILED  ${name#case_} (exit $rc)"
    sed 's/^/        /' "$work/$name.out"
    failed=$((failed + 1))
  fi
  rm -rf "$SCRATCH"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
