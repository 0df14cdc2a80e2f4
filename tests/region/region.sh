#!/usr/bin/env bash
# region.sh up | down : a region of one controller and three hypervisors, each of them a machine of tests/pacemaker/cluster.sh with
# libvirt, QEMU and nova-compute in it, in namespaces of its own; its BMC is an ipmi_sim. The instances' folder is shared. `up` leaves a
# region alone that is up. Also: region.sh in COMMAND... (in the controllers' network), region.sh NODE (in a machine, when its power comes
# on), region.sh libvirt|compute NODE and monitor NODE KIND (in a machine: start that), region.sh database|broker ACTION,
# region.sh queue NAME (purges it).
# Environment: REGION_DIR (scratch, at most 40 characters; its default is /tmp/tachi-region), REGION_HOSTS (3), MC_ROOT.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
HERE="$REPO/tests/region"
KIT="$REPO/tests/pacemaker/cluster.sh"
REGION_DIR="${REGION_DIR:-/tmp/tachi-region}"
HOSTS="${REGION_HOSTS:-3}"
export REGION_DIR FIXTURE_DIR="$REGION_DIR/f" FIXTURE_TTL="${FIXTURE_TTL:-7200}" FIXTURE_CACHE="$CACHE/region"
export MC_ADDR=10.88.0.1 MC_RUN="$REGION_DIR/cloud/run" MC_DATA="$REGION_DIR/cloud/data" MC_NUMBER=0
# shellcheck source=devstack/minicloud/minicloud.env
. "$REPO/devstack/minicloud/minicloud.env"
NOVA="$MC_ROOT/venv-nova/bin"

prefix() { sed -n "s/.* PREFIX=\"\(.*\)\"/\1/p" "$FIXTURE_DIR/cluster/settings"; }
inside() { ip netns exec "$(prefix)-lan" "$@"; }
nodes() { seq -f 'cmp%.0f' 1 "$HOSTS"; }
on() { EXEC_TIMEOUT=0 "$KIT" exec "$@"; }

install_all() {
  "$REPO/tests/libvirt/install.sh"
  "$REPO/tests/pacemaker/install.sh"
  apt_need qemu-img qemu-utils
  apt_need ipmi_sim openipmi
  apt_need ipmitool ipmitool
  apt_need nft nftables
  "$HERE/guest.sh" "$CACHE/region/guest"
  cc -O2 -Wall -Wextra -Werror -shared -fPIC -o "$CACHE/region/shared.so" "$HERE/shared.c"
  (unset MC_RUN MC_DATA && "$REPO/devstack/minicloud/install.sh")
  if ! "$NOVA/python" -c 'import libvirt' 2>/dev/null; then
    apt_need /usr/lib/x86_64-linux-gnu/pkgconfig/libvirt.pc libvirt-dev pkg-config
    "$MC_ROOT/venv-nova/bin/pip" install "libvirt-python==$(pkg-config --modversion libvirt)" >"$REGION_DIR/pip.log" 2>&1 ||
      { tail -n 20 "$REGION_DIR/pip.log"; die "pip cannot build libvirt-python"; }
  fi
}

# What nova-compute of a machine reads: the controller's file without databases, and the hypervisor.
compute_conf() { # NODE
  sed '/^\[database\]/,$d; s/^my_ip = .*/my_ip = 10.88.0.'"$((100 + ${1#cmp}))"'\nhost = '"$1"'/; s|^state_path = .*|state_path = '"$REGION_DIR/host/$1/nova"'|
    s|^lock_path = .*|lock_path = '"$REGION_DIR/host/$1/nova"'|; s/^compute_driver = .*/compute_driver = libvirt.LibvirtDriver/' "$MC_RUN/conf/nova/nova.conf"
  cat <<CONF
[DEFAULT]
instances_path = $REGION_DIR/instances
log_file = $REGION_DIR/host/$1/nova-compute.log
[libvirt]
virt_type = qemu
cpu_mode = none
images_type = raw
connection_uri = qemu:///system
live_migration_scheme = tcp
live_migration_inbound_addr = 10.88.0.$((100 + ${1#cmp}))
[privsep]
helper_command = $NOVA/privsep-helper
CONF
  local context
  for context in nova_sys_admin vif_plug_ovs_privileged vif_plug_linux_bridge_privileged privsep_osbrick; do
    printf '[%s]\nhelper_command = %s/privsep-helper\n' "$context" "$NOVA"
  done
}

# In a machine, when its power comes on: process 1 runs it.
boot() { # NODE
  local folder="$REGION_DIR/host/$1" dir
  # What libvirt keeps on a disk is kept; /run is this boot's.
  for dir in /var/lib/libvirt /var/cache/libvirt /etc/libvirt; do
    mkdir -p "$dir" "$folder$dir"
    mount --bind "$folder$dir" "$dir"
  done
  mkdir -p /var/log/libvirt/qemu /var/lib/libvirt/images /run/libvirt
  mount --bind "$REGION_DIR/shared" "$REGION_DIR/instances"
  cat >/etc/libvirt/libvirtd.conf <<CONF
host_uuid = "$(cat "$folder/uuid")"
unix_sock_group = "root"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "2:file:$folder/libvirtd.log"
listen_tls = 0
listen_tcp = 1
auth_tcp = "none"
listen_addr = "10.88.0.$((100 + ${1#cmp}))"
CONF
  printf 'user = "root"\ngroup = "root"\nsecurity_driver = "none"\nstdio_handler = "file"\ncgroup_controllers = [ ]\nnamespaces = [ ]\nremember_owner = 0\n' \
    >/etc/libvirt/qemu.conf
  libvirt "$1"
  # The configuration of the monitors is there once there is an API for them; the guard, if a case installs it.
  if [ -e "$folder/monitors.conf" ]; then monitor "$1" instance; fi
  if [ -e "$folder/boot-guard" ]; then
    (if "$MONITOR" boot-guard --config-file "$folder/monitors.conf" >>"$folder/boot-guard.out" 2>&1; then compute "$1"; fi) &
  else
    compute "$1"
  fi
}

libvirt() { # NODE
  LD_PRELOAD="$CACHE/region/shared.so" setsid libvirtd --listen </dev/null >>"$REGION_DIR/host/$1/libvirtd.out" 2>&1 &
  until virsh -q version >/dev/null 2>&1; do sleep 0.2; done
}

# As a unit that does not start: not while host/NODE/compute-broken is there.
compute() { # NODE
  local folder="$REGION_DIR/host/$1"
  if [ -e "$folder/compute-broken" ]; then die "nova-compute of $1 cannot start"; fi
  PATH="$NOVA:$PATH" PYTHONWARNINGS=ignore setsid nova-compute --config-file "$folder/nova.conf" </dev/null >>"$folder/nova-compute.out" 2>&1 &
}

monitor() { # NODE KIND
  local folder="$REGION_DIR/host/$1"
  setsid "$MONITOR" "$2" --config-file "$folder/monitors.conf" </dev/null >>"$folder/monitor-$2.out" 2>&1 &
}

# A broker that is cut off is there and nobody reaches it: nothing is refused, and no connection is closed.
broker() { # cut|heal
  if [ "$1" = cut ]; then
    inside nft "add table inet cut; add chain inet cut in { type filter hook input priority 0; }; add rule inet cut in tcp dport $AMQP_PORT drop"
  else
    inside nft delete table inet cut
  fi
}

up() {
  local began=$SECONDS node
  if [ -e "$REGION_DIR/up" ]; then return 0; fi
  down
  # In memory: the databases write through to the disk, which is what a region waits for longest on a busy machine.
  mkdir -p "$REGION_DIR"
  mount -t tmpfs -o size=8g,mode=755 tachi-region "$REGION_DIR"
  mkdir -p "$REGION_DIR/shared" "$REGION_DIR/instances" "$FIXTURE_DIR"
  install_all
  export CONTROLS=3 COMPUTES="$HOSTS" FIXTURE_PREFIX="rg$(($$ % 100000))" STONITH_ENABLED=false NODE_BOOT="$HERE/region.sh" \
    REMOTE_MONITOR=5s REMOTE_TIMEOUT=15s REMOTE_RECONNECT=5s
  "$KIT" prepare >/dev/null
  inside "$REPO/devstack/minicloud/up.sh" 0
  for node in $(nodes); do
    mkdir -p "$REGION_DIR/host/$node/nova"
    cat /proc/sys/kernel/random/uuid >"$REGION_DIR/host/$node/uuid"
    compute_conf "$node" >"$REGION_DIR/host/$node/nova.conf"
  done
  "$KIT" up >/dev/null
  OS_CLIENT_CONFIG_FILE="$MC_RUN/clouds.yaml" MC_ADDR="$MC_ADDR" inside "$MC_ROOT/venv-client/bin/python" \
    "$REPO/devstack/minicloud/tools/bootstrap.py" wait-computes "$HOSTS"
  inside "$NOVA/nova-manage" --config-file "$MC_RUN/conf/nova/nova.conf" cell_v2 discover_hosts --by-service >/dev/null 2>&1
  touch "$REGION_DIR/up"
  say "the region is up after $((SECONDS - began)) s"
}

down() {
  rm -f "$REGION_DIR/up"
  # The logs of the last region outlive it.
  if [ -d "$REGION_DIR/host" ]; then
    rm -rf "$TARGET/test-logs/region"
    mkdir -p "$TARGET/test-logs/region"
    (cd "$REGION_DIR" && find host work-* cloud/run/logs f/cluster/log f/cluster/nodes \( -name '*.log' -o -name '*.out' -o -name witness \) \
      -exec cp --parents {} "$TARGET/test-logs/region/" \; 2>/dev/null) || true
  fi
  if [ -e "$FIXTURE_DIR/cluster/settings" ]; then
    inside "$REPO/devstack/minicloud/down.sh" || true
    "$KIT" down
  fi
  if mountpoint -q "$REGION_DIR"; then umount -l "$REGION_DIR"; fi
  rm -rf "$REGION_DIR"
}

case "${1:-}" in
  up) up ;;
  down) down ;;
  in) shift; inside "$@" ;;
  run)
    shift
    inside "$MC_ROOT/venv-client/bin/python" "$HERE/run.py" --root "$REGION_DIR" --clouds "$MC_RUN/clouds.yaml" \
      --config-file "$MC_RUN/masakari.conf" --tachi "$TACHI" --monitor "$MONITOR" --guest "$CACHE/region/guest" \
      --table "$REPO/docs/certainty.md" "$@"
    ;;
  cmp*) boot "$1" ;;
  libvirt | compute) "$1" "$2" ;;
  monitor) monitor "$2" "$3" ;;
  database) inside "$REPO/devstack/minicloud/database.sh" "$2" ;;
  broker) broker "$2" ;;
  queue) inside "$MC_RUN/rabbitmqctl" purge_queue "$2" ;;
  *) sed -n '2,7s/^# //p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
