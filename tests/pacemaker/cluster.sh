#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A real Pacemaker cluster on one machine: control nodes (corosync, pacemakerd) and computes
# (pacemaker-remoted), each in its own namespaces on a private bridge, with fencing that kills.
#
#   cluster.sh up [--install]      build and start; prints export lines for eval
#   cluster.sh prepare [--install] build the network only, for BMCs that live in it; then call up
#   cluster.sh down [--purge]      stop everything; --purge also removes its scratch files
#   cluster.sh start|kill NODE     power on / pull the plug (peers see the connection close)
#   cluster.sh cut|heal NODE       network link down / up
#   cluster.sh deny|allow NODE     the kit's fence agent refuses / obeys for this node
#   cluster.sh power NODE on|off|status     the same switch, for a BMC simulator's hook
#   cluster.sh exec NODE CMD...    run inside a node; NODE lan is the bridge itself (10.88.0.1)
#   cluster.sh wait NODE STATE [SECONDS]    STATE up, lost, fenced, clean-offline, off or on
#   cluster.sh snap FILE           write FILE.mon.xml and FILE.cib.xml as one control node sees them
#   cluster.sh status              table of nodes; exit 0 when quorate and every node is up
#
# Environment of up (defaults in setup below): FIXTURE_DIR FIXTURE_PREFIX FIXTURE_TTL FIXTURE_CACHE
# ALERT_AGENT CONTROLS COMPUTES FENCE_AGENT FENCE_PARAMS FENCE_DEVICES STONITH_ENABLED STONITH_ACTION
# REMOTE_MONITOR REMOTE_TIMEOUT REMOTE_RECONNECT CLUSTER_TOKEN PACEMAKER_REMOTED NODE_BOOT (a program that a compute runs with its
# own name whenever it is powered on). Of exec: EXEC_TIMEOUT (15, 0 = none).

# shellcheck disable=SC2086  # node lists are split on purpose
export KIT=cluster
SELF=$(readlink -f "$0")
HERE=$(dirname "$SELF")
# shellcheck source-path=SCRIPTDIR source=../lib/kit.sh
. "$HERE/../lib/kit.sh"

PACKAGES="pacemaker pacemaker-cli-utils pacemaker-resource-agents corosync iproute2"
SUBNET=10.88.0

# --- settings: decided by up, written to the scratch folder, read by every other verb -------------

setup() {
  local i
  PREFIX=${FIXTURE_PREFIX:-fx}
  CONTROL_NODES='' COMPUTE_NODES=''
  for ((i = 1; i <= ${CONTROLS:-3}; i++)); do CONTROL_NODES+=" ctl$i"; done
  for ((i = 1; i <= ${COMPUTES:-2}; i++)); do COMPUTE_NODES+=" cmp$i"; done
  AGENT=$(readlink -f "${FENCE_AGENT:-$HERE/fence_fixture}")
  [ -x "$AGENT" ] || die "fence agent $AGENT is not executable"
  AGENT_NAME=$(basename "$AGENT")
  case $AGENT_NAME in fence_*) ;; *) AGENT_NAME=fence_$AGENT_NAME ;; esac
  NODE_BOOT=${NODE_BOOT:-}
  declare -p PREFIX CONTROL_NODES COMPUTE_NODES AGENT AGENT_NAME FIXTURE_TTL NODE_BOOT |
    sed 's/^declare --/declare -g/; s/^declare -x/declare -gx/' >"$DIR/settings"
}

load() {
  scratch_old
  # shellcheck disable=SC1091
  . "$DIR/settings" || die "no settings in $DIR"
}

nodes() { printf '%s\n' $CONTROL_NODES $COMPUTE_NODES; }
ns() { printf '%s-%s\n' "$PREFIX" "$1"; }
address() { case $1 in ctl*) echo "$SUBNET.$((10 + ${1#ctl}))" ;; cmp*) echo "$SUBNET.$((100 + ${1#cmp}))" ;; esac; }
# Without a pipe: grep that ends early would make the writer fail, and the pipe with it.
is_node() { case $'\n'"$(nodes)"$'\n' in *$'\n'"$1"$'\n'*) ;; *) return 1 ;; esac; }
known() { is_node "$1" || usage_error "no such node: ${1:-(none)}; nodes:$CONTROL_NODES$COMPUTE_NODES"; }

# --- files every node reads -----------------------------------------------------------------------

write_corosync_conf() {
  local node id=0
  {
    printf 'totem {\n version: 2\n cluster_name: %s\n transport: udpu\n' "$PREFIX"
    printf ' crypto_cipher: none\n crypto_hash: none\n token: %s\n}\n' "${CLUSTER_TOKEN:-1000}"
    printf 'quorum {\n provider: corosync_votequorum\n}\n'
    printf 'logging {\n to_stderr: yes\n to_syslog: no\n}\nnodelist {\n'
    for node in $CONTROL_NODES; do
      id=$((id + 1))
      printf ' node {\n  name: %s\n  nodeid: %s\n  ring0_addr: %s\n }\n' "$node" "$id" "$(address "$node")"
    done
    printf '}\n'
  } >"$DIR/corosync.conf"
}

nvpairs() { # nvpairs PREFIX name=value...
  local prefix=$1 pair; shift
  for pair in "$@"; do
    printf '<nvpair id="%s-%s" name="%s" value="%s"/>' "$prefix" "${pair%%=*}" "${pair%%=*}" "${pair#*=}"
  done
}

crm_config() { # crm_config STONITH_ENABLED
  printf '<crm_config><cluster_property_set id="cib-bootstrap-options">'
  nvpairs opt "stonith-enabled=$1" symmetric-cluster=false no-quorum-policy=stop \
    cluster-recheck-interval=60 "stonith-action=${STONITH_ACTION:-off}" dc-deadtime=5s
  printf '</cluster_property_set></crm_config>\n'
}

fence_device() { # fence_device ID HOSTS name=value...; HOSTS comma separated, - means ask the agent
  local id=$1 hosts=$2; shift 2
  [ "$hosts" = - ] || set -- "pcmk_host_list=${hosts//,/ }" pcmk_host_check=static-list "$@"
  printf '<primitive id="%s" class="stonith" type="%s"><instance_attributes id="%s-ia">' "$id" "$AGENT_NAME" "$id"
  nvpairs "$id" "$@"
  printf '</instance_attributes><operations><op id="%s-m" name="monitor" interval="60s"/></operations></primitive>\n' "$id"
}

fence_devices() { # prints device ids on descriptor 3, their definitions on standard output
  local id rest
  if [ -z "${FENCE_DEVICES:-}" ]; then
    fence_device st-fixture - ${FENCE_PARAMS:-}
    echo st-fixture >&3
    return
  fi
  while read -r id rest; do
    case $id in '' | \#*) continue ;; esac
    fence_device "$id" $rest
    echo "$id" >&3
  done <"$FENCE_DEVICES"
}

write_cib() {
  local dir=$DIR/cib node controller device count=0 home score
  mkdir -p "$dir"
  crm_config "${STONITH_ENABLED:-true}" >"$dir/crm_config.xml"
  # The first boot starts from this: no fencing before the nodes know each other, quick election.
  printf '<cib crm_feature_set="3.16.1" validate-with="pacemaker-3.9" epoch="1" num_updates="0" admin_epoch="0"><configuration>%s<nodes/><resources/><constraints/></configuration><status/></cib>\n' \
    "$(crm_config false)" >"$dir/seed.xml"
  {
    echo '<resources>'
    for node in $COMPUTE_NODES; do
      printf '<primitive id="%s" class="ocf" provider="pacemaker" type="remote"><instance_attributes id="%s-ia">' "$node" "$node"
      nvpairs "$node" "server=$(address "$node")" "reconnect_interval=${REMOTE_RECONNECT:-60s}"
      printf '</instance_attributes><operations><op id="%s-m" name="monitor" interval="%s" timeout="%s"/></operations></primitive>\n' \
        "$node" "${REMOTE_MONITOR:-30s}" "${REMOTE_TIMEOUT:-20s}"
    done
    fence_devices 3>"$dir/devices"
    echo '</resources>'
  } >"$dir/resources.xml"
  {
    echo '<constraints>'
    # Each remote connection prefers one control node, in turn; the other control nodes may take over.
    for node in $COMPUTE_NODES; do
      home=$(printf '%s\n' $CONTROL_NODES | sed -n "$((count % $(wc -w <<<"$CONTROL_NODES") + 1))p")
      count=$((count + 1))
      for controller in $CONTROL_NODES; do
        score=0; [ "$controller" != "$home" ] || score=200
        printf '<rsc_location id="loc-%s-%s" rsc="%s" node="%s" score="%s"/>\n' "$node" "$controller" "$node" "$controller" "$score"
      done
    done
    while read -r device; do
      for controller in $CONTROL_NODES; do
        printf '<rsc_location id="loc-%s-%s" rsc="%s" node="%s" score="0"/>\n' "$device" "$controller" "$device" "$controller"
      done
    done <"$dir/devices"
    echo '</constraints>'
  } >"$dir/constraints.xml"
}

# The Debian package of pacemaker-remoted conflicts with pacemaker: unpack it, do not install it.
fetch_remoted() {
  local store version
  [ -z "${PACEMAKER_REMOTED:-}" ] || { ln -sfn "$(readlink -f "$PACEMAKER_REMOTED")" "$DIR/pacemaker-remoted"; return; }
  store=${FIXTURE_CACHE:-$DIR}/pacemaker-remote
  if [ ! -x "$store/usr/sbin/pacemaker-remoted" ]; then
    mkdir -p "$store"
    version=$(dpkg-query -W -f='${Version}' pacemaker)
    ( cd "$store" && apt-get -o APT::Sandbox::User=root download "pacemaker-remote=$version" &&
      dpkg -x pacemaker-remote_*.deb . ) >"$DIR/log/fetch.log" 2>&1 ||
      die "cannot fetch pacemaker-remote $version, see $DIR/log/fetch.log (or set PACEMAKER_REMOTED)"
  fi
  ln -sfn "$store/usr/sbin/pacemaker-remoted" "$DIR/pacemaker-remoted"
}

# --- network --------------------------------------------------------------------------------------

net_up() {
  local bridge node
  bridge=$(ns lan)
  ip netns add "$bridge" || die "namespace $bridge exists: choose another FIXTURE_PREFIX"
  touch "$DIR/network" # from here on the namespaces of this prefix are ours to delete
  ip -n "$bridge" link set lo up
  ip -n "$bridge" link add br0 type bridge
  ip -n "$bridge" link set br0 up
  ip -n "$bridge" addr add "$SUBNET.1/24" dev br0
  for node in $(nodes); do
    ip netns add "$(ns "$node")"
    ip -n "$(ns "$node")" link set lo up
    ip link add "p-$node" netns "$bridge" type veth peer name eth0 netns "$(ns "$node")"
    ip -n "$bridge" link set "p-$node" master br0 up
    ip -n "$(ns "$node")" addr add "$(address "$node")/24" dev eth0
    ip -n "$(ns "$node")" link set eth0 up
  done
}

net_down() {
  local node
  [ -e "$DIR/network" ] || return 0
  for node in $(nodes) lan; do
    [ ! -e "/run/netns/$(ns "$node")" ] || ip netns del "$(ns "$node")"
  done
  rm -f "$DIR/network"
}

# --- nodes ----------------------------------------------------------------------------------------

node_start() {
  if pid_of "node-$1" >/dev/null; then return 0; fi
  mkdir -p "$DIR/nodes/$1"
  spawn "node-$1" ip netns exec "$(ns "$1")" \
    unshare --mount --uts --ipc --pid --fork --mount-proc --kill-child "$SELF" _init "$1"
}

node_kill() { # returns when nothing of the node runs any more: its process 1 ends last
  local pid
  if pid=$(pid_of "node-$1"); then pid=$(child_of "$pid"); fi
  stop "node-$1" KILL 2
  if [ -n "$pid" ]; then wait_until 10 gone "$pid"; fi
}
gone() { ! proc_start "$1" >/dev/null; }

# Process 1 of a node. All paths the daemons write are private to it; logs go to the scratch folder.
node_init() {
  local node=$1 dir
  hostname "$node"
  mount --make-rprivate /
  for dir in /var/lib/pacemaker /var/lib/corosync /etc/corosync /etc/pacemaker /run /dev/shm; do
    mkdir -p "$dir"
    mount -t tmpfs tmpfs "$dir"
  done
  mount --bind "$DIR/nodes/$node" /var/log
  mkdir -p /var/lib/pacemaker/{cib,pengine,blackbox,cores} /var/log/{pacemaker,corosync} /run/{crm,resource-agents,sbin}
  # Pacemaker only looks in /usr/sbin for fence agents: give the node its own copy of that folder.
  mount --bind /usr/sbin /run/sbin
  mount -t tmpfs tmpfs /usr/sbin
  ln -s /run/sbin/* /usr/sbin/
  ln -sfn "$AGENT" "/usr/sbin/$AGENT_NAME"
  ln -sfn "$DIR/pacemaker-remoted" /usr/sbin/pacemaker-remoted
  cp "$DIR/corosync.conf" /etc/corosync/
  install -o root -g haclient -m 640 "$DIR/authkey" /etc/pacemaker/authkey
  cp "$DIR/cib/seed.xml" /var/lib/pacemaker/cib/cib.xml
  chmod 600 /var/lib/pacemaker/cib/cib.xml
  chown -R hacluster:haclient /var/lib/pacemaker /var/log/pacemaker /run/crm
  chmod 750 /var/lib/pacemaker/*
  export PCMK_logfile=/var/log/pacemaker/pacemaker.log FIXTURE_DIR
  trap : TERM
  case $node in
    ctl*)
      corosync -f >/var/log/corosync.out 2>&1 &
      wait_until 5 corosync-quorumtool -s >/dev/null 2>&1
      pacemakerd >/var/log/pacemakerd.out 2>&1 & ;;
    *)
      pacemaker-remoted >/var/log/pacemaker-remoted.out 2>&1 &
      if [ -n "$NODE_BOOT" ]; then "$NODE_BOOT" "$node" >/var/log/boot.out 2>&1; fi ;;
  esac
  SECONDS=0 # process 1 also collects orphans; it outlives neither its unshare nor the time limit
  while [ "$SECONDS" -lt "$FIXTURE_TTL" ]; do sleep 60 & wait $!; done
}

node_exec() {
  local node=$1 pid; shift
  if [ "$node" = lan ]; then exec timeout "${EXEC_TIMEOUT:-15}" ip netns exec "$(ns lan)" "$@"; fi
  known "$node"
  if ! pid=$(pid_of "node-$node") || ! pid=$(child_of "$pid"); then log "$node is off"; return 69; fi
  timeout "${EXEC_TIMEOUT:-15}" nsenter -t "$pid" --mount --uts --ipc --net --pid -- "$@"
}

# --- the power switch the kit's fence agent talks to ----------------------------------------------

switch_loop() {
  local id action node rc
  exec 3<>"$DIR/fence/requests"
  while read -r id action node <&3; do
    rc=1
    if [ "$action" = status ]; then
      rc=2; if pid_of "node-$node" >/dev/null; then rc=0; fi
    elif [ -e "$DIR/fence/deny/$node" ]; then
      printf '%s %s %s denied\n' "$(now_utc)" "$action" "$node" >>"$DIR/fence/log"
    elif is_node "$node"; then
      case $action in off | reboot) node_kill "$node"; rc=0 ;; esac
      case $action in on | reboot) node_start "$node"; rc=0 ;; esac
      printf '%s %s %s done\n' "$(now_utc)" "$action" "$node" >>"$DIR/fence/log"
    fi
    printf '%s\n' "$rc" >"$DIR/fence/replies/$id"
  done
}

power() {
  known "$1"
  case ${2:-status} in
    on) node_start "$1" ;;
    off) node_kill "$1" ;;
    status) if pid_of "node-$1" >/dev/null; then echo on; else echo off; fi ;;
    *) usage_error "power NODE on|off|status" ;;
  esac
}

# --- looking at the cluster -----------------------------------------------------------------------

each_control() { # runs a command in control nodes until one succeeds, and prints that one's output
  local node out
  for node in $CONTROL_NODES; do
    if out=$(EXEC_TIMEOUT=10 node_exec "$node" "$@" 2>/dev/null); then printf '%s\n' "$out"; return 0; fi
  done
  return 1
}

monitor_xml() { each_control crm_mon --output-as=xml; }

attribute() { sed -n "s/.* $1=\"\([^\"]*\)\".*/\1/p"; } # of the tag on standard input

node_tag() { grep -m1 "<node name=\"$1\".* online="; }

is_state() { # is_state NODE STATE
  local xml tag fenced
  case $2 in
    on) pid_of "node-$1" >/dev/null; return ;;
    off) ! pid_of "node-$1" >/dev/null; return ;;
  esac
  xml=$(monitor_xml) || return 1
  tag=$(node_tag "$1" <<<"$xml") || return 1
  case $2 in
    up)
      [ "$(attribute online <<<"$tag")" = true ] && [ "$(attribute pending <<<"$tag")" = false ] || return 1
      case $1 in cmp*) grep "<resource id=\"$1\"" <<<"$xml" | grep -q ' role="Started"' ;; esac ;;
    lost) [ "$(attribute online <<<"$tag")" = false ] && [ "$(attribute unclean <<<"$tag")" = true ] ;;
    clean-offline) [ "$(attribute online <<<"$tag")" = false ] && [ "$(attribute unclean <<<"$tag")" = false ] ;;
    fenced)
      fenced=$(grep "<fence_event" <<<"$xml" | grep -m1 " target=\"$1\"") || return 1
      [ "$(attribute status <<<"$fenced")" = success ] && [ "$(attribute unclean <<<"$tag")" = false ] ;;
    *) usage_error "unknown state: $2" ;;
  esac
}

quorate() { monitor_xml | grep -q 'with_quorum="true"'; }

all_up() { # all_up NODE...: one look at the cluster for many nodes
  local node xml tag
  xml=$(monitor_xml) && grep -q 'with_quorum="true"' <<<"$xml" || return 1
  for node in "$@"; do
    tag=$(node_tag "$node" <<<"$xml") || return 1
    case $tag in *' online="true"'*' pending="false"'*) ;; *) return 1 ;; esac
    case $node in cmp*) grep "<resource id=\"$node\"" <<<"$xml" | grep -q ' role="Started"' || return 1 ;; esac
  done
}

snap() {
  monitor_xml >"$1.mon.xml" && each_control cibadmin -Q >"$1.cib.xml"
}

status() {
  local node xml tag good=0
  xml=$(monitor_xml) || xml=
  printf '%-6s %-14s %-5s %-5s %-6s %-7s %-7s\n' NODE ADDRESS POWER LINK FENCE ONLINE UNCLEAN
  for node in $(nodes); do
    tag=$(node_tag "$node" <<<"$xml") || tag=
    printf '%-6s %-14s %-5s %-5s %-6s %-7s %-7s\n' "$node" "$(address "$node")" "$(power "$node")" \
      "$(if ip -n "$(ns lan)" link show "p-$node" 2>/dev/null | grep -q '[<,]UP[,>]'; then echo up; else echo down; fi)" \
      "$(if [ -e "$DIR/fence/deny/$node" ]; then echo deny; else echo allow; fi)" \
      "$(attribute online <<<"$tag")" "$(attribute unclean <<<"$tag")"
    case $tag in *' online="true"'*) ;; *) good=1 ;; esac
  done
  printf 'quorum %s\n' "$(grep -m1 -o 'with_quorum="[a-z]*"' <<<"$xml" || echo unknown)"
  grep -q 'with_quorum="true"' <<<"$xml" || good=1
  return "$good"
}

# --- up and down ----------------------------------------------------------------------------------

configure() {
  local part
  for part in crm_config resources constraints; do
    each_control cibadmin --replace -o "$part" --xml-file "$DIR/cib/$part.xml" >/dev/null || return 1
  done
  [ -z "${ALERT_AGENT:-}" ] ||
    each_control cibadmin --modify --allow-create -o alerts --xml-text \
      "<alerts><alert id=\"alert\" path=\"$ALERT_AGENT\"><select><select_nodes/><select_fencing/></select></alert></alerts>" >/dev/null
}

prepare() {
  need_root
  if [ "${1:-}" = --install ]; then apt_install $PACKAGES || die "package installation failed"; fi
  need_tools "$PACKAGES" corosync pacemakerd crm_mon cibadmin ip unshare nsenter setsid
  scratch_new
  case $FIXTURE_DIR in
    /run/* | /dev/shm/* | /var/log/* | /usr/sbin/*) die "the nodes hide $FIXTURE_DIR: choose another folder" ;;
  esac
  [ ! -e "$DIR/proc/reaper" ] || die "a cluster is already up in $FIXTURE_DIR"
  setup
  fetch_remoted
  mkdir -p "$DIR/fence/deny" "$DIR/fence/replies"
  rm -f "$DIR/fence/requests"
  mkfifo -m 600 "$DIR/fence/requests"
  nodes >"$DIR/fence/targets"
  head -c 512 /dev/urandom >"$DIR/authkey"
  write_corosync_conf
  net_up
  reaper_start "$SELF"
  touch "$DIR/prepared"
}

up() {
  local node
  if [ -n "${FIXTURE_DIR:-}" ] && [ -e "$FIXTURE_DIR/$KIT/prepared" ]; then load; else prepare "$@"; fi
  rm -f "$DIR/prepared"
  trap 'log "up failed; logs stay in $DIR"; down' EXIT
  setup # again: up may name another fence agent than prepare did
  write_cib
  spawn switch "$SELF" _switch
  for node in $(nodes); do node_start "$node"; done
  wait_until 90 all_up $CONTROL_NODES || die "control nodes did not form a cluster"
  log "quorate after $SECONDS s"
  configure || die "configuration refused"
  wait_until 90 all_up $CONTROL_NODES $COMPUTE_NODES || die "computes did not come online"
  log "computes online after $SECONDS s; FIXTURE_DIR=$FIXTURE_DIR"
  trap - EXIT
  print_env
}

down() {
  local node
  stop reaper KILL
  stop switch KILL
  for node in $(nodes); do node_kill "$node"; done
  net_down
  if [ "${1:-}" = --purge ]; then purge; fi
}

verb=${1:-}
[ $# -eq 0 ] || shift
case $verb in
  up) up "$@" ;;
  prepare) prepare "$@"; print_env ;;
  down) load; down "$@" ;;
  start) load; power "${1:-}" on ;;
  kill) load; power "${1:-}" off ;;
  power) load; power "$@" ;;
  cut) load; known "${1:-}"; ip -n "$(ns lan)" link set "p-$1" down ;;
  heal) load; known "${1:-}"; ip -n "$(ns lan)" link set "p-$1" up ;;
  deny) load; known "${1:-}"; touch "$DIR/fence/deny/$1" ;;
  allow) load; known "${1:-}"; rm -f "$DIR/fence/deny/$1" ;;
  exec) load; node_exec "$@" ;;
  wait) load; known "${1:-}"; wait_until "${3:-60}" is_state "$1" "${2:-up}" || die "$1 not ${2:-up} within ${3:-60} s" ;;
  snap) load; snap "${1:?FILE}" ;;
  status) load; status ;;
  _init) load; node_init "$1" ;;
  _switch) load; switch_loop ;;
  *) sed -n '3,/^$/s/^# \{0,1\}//p' "$SELF" >&2; exit 64 ;;
esac
