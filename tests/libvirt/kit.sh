#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A private libvirtd with tiny QEMU guests (no KVM, no operating system in them), in its own mount,
# process and network namespaces: nothing of this machine's libvirt is touched, several can run.
#
#   kit.sh up [--install]     start; prints export lines for eval
#   kit.sh down [--purge]     stop everything; --purge also removes its scratch files
#   kit.sh uri                connection URI (append -ro to the socket for the read-only one)
#   kit.sh stop-daemon [SIGNAL] | start-daemon | restart-daemon      guests live on meanwhile
#   kit.sh freeze [NAME] | thaw [NAME]      stop and continue the daemon, or one guest's QEMU
#   kit.sh domain NAME KIND [--transient] [--foreign] [--agent] [--uuid UUID]   boot a guest; prints its UUID
#   kit.sh kill NAME [SIGNAL] kill the guest's QEMU process (default KILL)
#   kit.sh pid NAME               the guest's QEMU process, as this machine numbers it
#   kit.sh destroy NAME       end the guest through libvirt and forget it
#   kit.sh virsh ARGS...      virsh on this daemon
#   kit.sh events [SECONDS]   print all events with time stamps until killed, or for SECONDS
#
# KIND: halt            runs idle for ever
#       self-poweroff   powers itself off          panic    hits the panic device
#       reboot          resets itself, again and again
#       watchdog-ACTION does not feed its watchdog; ACTION pause poweroff reset shutdown none ...
#       linux           boots the kernel of AGENT_DIR (agent.sh) and runs a guest agent
#       ioerror-POLICY  writes to a full disk; POLICY report stop enospace ignore
# Guests act GUEST_DELAY_MS (2000) after boot; the watchdog always takes 2 s.
# --transient: forgotten when it ends. --foreign: without the metadata that make it an instance of Nova's.
# --agent: with a guest agent's socket that no process in the guest uses.
# Environment of up: FIXTURE_DIR FIXTURE_TTL.

export KIT=libvirt
SELF=$(readlink -f "$0")
# shellcheck source-path=SCRIPTDIR source=../lib/kit.sh
. "$(dirname "$SELF")/../lib/kit.sh"

PACKAGES="libvirt-daemon-system libvirt-clients qemu-system-x86"

uri() { printf 'qemu+unix:///system?socket=%s/sock/libvirt-sock\n' "$DIR"; }
on_daemon() { timeout "${VIRSH_TIMEOUT:-30}" virsh -q -c "$(uri)" "$@"; }

inside() { # runs a command in the kit's namespaces
  local pid
  if ! pid=$(pid_of holder) || ! pid=$(child_of "$pid"); then die "not running"; fi
  nsenter -t "$pid" --mount --pid --net -- "$@"
}

# --- daemon ---------------------------------------------------------------------------------------

write_config() {
  cat >"$DIR/libvirtd.conf" <<CONF
listen_tls = 0
listen_tcp = 0
unix_sock_dir = "$DIR/sock"
unix_sock_group = "root"
unix_sock_ro_perms = "0777"
unix_sock_rw_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "2:file:$DIR/log/libvirtd.log"
CONF
  cat >"$DIR/qemu.conf" <<'CONF'
user = "root"
group = "root"
security_driver = "none"
stdio_handler = "file"
cgroup_controllers = [ ]
namespaces = [ ]
remember_owner = 0
CONF
}

# Process 1 of the namespaces: private copies of every folder libvirt writes to, so that a daemon
# that is stopped and started again finds its domains. It also collects dead QEMU processes.
holder() {
  local dir
  mount --make-rprivate /
  for dir in /run/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt /etc/libvirt; do
    mkdir -p "$dir"
    mount -t tmpfs tmpfs "$dir"
  done
  ip link set lo up 2>/dev/null
  cp "$DIR/qemu.conf" /etc/libvirt/qemu.conf
  mkdir -p /var/lib/libvirt/images
  touch "$DIR/ready"
  trap : TERM
  SECONDS=0
  while [ "$SECONDS" -lt "$FIXTURE_TTL" ]; do sleep 60 & wait $!; done
}

daemon_pid() { cat "$DIR/libvirtd.pid" 2>/dev/null; } # as numbered inside the namespaces
daemon_alive() {
  local pid
  pid=$(daemon_pid) && inside kill -0 "$pid" 2>/dev/null
}
daemon_answers() { VIRSH_TIMEOUT=2 on_daemon version >/dev/null 2>&1; }
daemon_signal() {
  local pid
  pid=$(daemon_pid) || die "the daemon is not running"
  inside kill -"$1" "$pid"
}
daemon_gone() { ! daemon_alive; }

daemon_start() {
  if daemon_alive; then die "the daemon is already running"; fi
  rm -f "$DIR/libvirtd.pid"
  inside setsid -f libvirtd -f "$DIR/libvirtd.conf" -p "$DIR/libvirtd.pid" \
    </dev/null >>"$DIR/log/libvirtd.out" 2>&1
  wait_until 20 daemon_answers || die "libvirtd does not answer, see $DIR/log"
}

daemon_stop() {
  daemon_alive || return 0
  daemon_signal CONT
  daemon_signal "${1:-TERM}"
  wait_until 15 daemon_gone || { daemon_signal KILL; wait_until 5 daemon_gone; }
  rm -f "$DIR/libvirtd.pid"
}

# --- guests: one boot sector each, written byte by byte -------------------------------------------

bytes() { # bytes OFFSET HEX...: writes into the image named by $image
  local offset=$1 hex=''; shift
  for byte in "$@"; do hex+="\\x$byte"; done
  # shellcheck disable=SC2059
  printf "$hex" | dd of="$image" bs=1 seek="$offset" conv=notrunc status=none
}

delay_code() { # BIOS call 15h/86h: wait CX:DX microseconds
  local us=$((${GUEST_DELAY_MS:-2000} * 1000)) hex
  hex=$(printf '%08x' "$us")
  printf 'b9 %s %s ba %s %s b4 86 cd 15' "${hex:2:2}" "${hex:0:2}" "${hex:6:2}" "${hex:4:2}"
}

guest_code() { # machine code by kind; every program ends in an idle loop (hlt; jmp back)
  local idle='f4 eb fd'
  case $1 in
    halt) echo "fa fb $idle" ;;
    self-poweroff) echo "fb $(delay_code) ba 04 06 b8 00 20 ef $idle" ;;         # ACPI sleep state 5
    panic) echo "fb $(delay_code) ba 05 05 b0 01 ee $idle" ;;                    # panic device port
    reboot) echo "fb $(delay_code) b0 fe e6 64 $idle" ;;                         # keyboard controller
    watchdog-*) echo "fb ba 43 04 b0 0e ee $idle" ;;                             # start the 2 s timer
    ioerror-*) echo "fb 31 c0 8e d8 $(delay_code) be 60 7c b8 00 43 b2 80 cd 13 $idle" ;; # disk write
    *) return 1 ;;
  esac
}

linux_domain() { # linux_domain NAME UUID-ELEMENT METADATA
  cat <<XML
<domain type='qemu'>
  <name>$1</name>$2$3
  <memory unit='MiB'>192</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type>
    <kernel>$AGENT_DIR/vmlinuz</kernel><initrd>$AGENT_DIR/initrd</initrd><cmdline>console=ttyS0 quiet panic=-1</cmdline></os>
  <features><acpi/></features>
  <devices>
    <channel type='unix'>
      <source mode='bind' path='/var/lib/libvirt/qemu/$1.other.sock'/><target type='virtio' name='org.example.other'/>
    </channel>
    <channel type='unix'>
      <source mode='bind' path='/var/lib/libvirt/qemu/org.qemu.guest_agent.0.$1.sock'/>
      <target type='virtio' name='org.qemu.guest_agent.0'/>
    </channel>
    <memballoon model='none'/>
  </devices>
</domain>
XML
}

write_image() { # write_image FILE KIND: 1 MiB, sparse
  local image=$1 code
  code=$(guest_code "$2") || usage_error "unknown guest kind: $2"
  rm -f "$image"
  truncate -s 1M "$image"
  # shellcheck disable=SC2086
  bytes 0 $code
  # The disk writer's request: 64 sectors from 1000:0000 to sector 1024, which the file lacks.
  case $2 in ioerror-*) bytes 96 10 00 40 00 00 00 00 10 00 04 00 00 00 00 00 00 ;; esac
  bytes 510 55 aa
}

full_disk() { # full_disk NAME IMAGE: a 16 KiB file system inside the namespaces, filled to the brim
  local dir=/var/lib/libvirt/full-$1
  # shellcheck disable=SC2016
  inside sh -c 'umount "$1" 2>/dev/null; mkdir -p "$1" && mount -t tmpfs -o size=16k tmpfs "$1" &&
    cp --sparse=always "$2" "$1/disk.img"; cat /dev/zero >"$1/filler" 2>/dev/null; true' sh "$dir" "$2"
  printf '%s/disk.img\n' "$dir"
}

tiny_domain() { # from the variables of `domain`
  cat <<XML
<domain type='qemu'>
  <name>$name</name>$uuid$metadata
  <memory unit='MiB'>32</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/></os>
  <features><acpi/></features>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <devices>
    <disk type='file' device='disk'>
      <driver $driver/><source file='$image'/><target dev='hda' bus='ide'/>
    </disk>
    $extra
    <memballoon model='none'/>
  </devices>
</domain>
XML
}

domain() {
  local name=$1 kind=$2 persistent=1 uuid='' image driver="name='qemu' type='raw'" extra='' xml metadata
  metadata="<metadata><nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.1'>"
  metadata+="<nova:name>$name</nova:name></nova:instance></metadata>"
  shift 2
  while [ $# -gt 0 ]; do
    case $1 in
      --transient) persistent= ;;
      --foreign) metadata='' ;;
      --agent) extra+="<channel type='unix'><source mode='bind' path='/var/lib/libvirt/qemu/org.qemu.guest_agent.0.$name.sock'/>"
        extra+="<target type='virtio' name='org.qemu.guest_agent.0'/></channel>" ;;
      --uuid) uuid="<uuid>$2</uuid>"; shift ;;
      *) usage_error "domain: unknown option $1" ;;
    esac
    shift
  done
  xml=$DIR/domains/$name.xml image=$DIR/domains/$name.img
  [ "$kind" = linux ] || write_image "$image" "$kind"
  case $kind in
    panic) extra+="<panic model='isa'/>" ;;
    watchdog-*) extra+="<watchdog model='ib700' action='${kind#watchdog-}'/>" ;;
    ioerror-*) driver+=" error_policy='${kind#ioerror-}'"; image=$(full_disk "$name" "$image") ;;
  esac
  if [ "$kind" = linux ]; then
    linux_domain "$name" "$uuid" "$metadata" >"$xml"
  else
    tiny_domain >"$xml"
  fi
  if [ -n "$persistent" ]; then
    on_daemon define "$xml" >/dev/null || die "cannot define $name"
    on_daemon start "$name" >/dev/null || die "cannot start $name"
  else
    on_daemon create "$xml" >/dev/null || die "cannot create $name"
  fi
  # A guest may be over before we ask, and a transient one is then unknown to libvirt.
  uuid=$(on_daemon domuuid "$name" 2>/dev/null) || return 0
  printf '%s\n' "${uuid%%$'\n'*}"
}

guest_pid() { # as numbered outside of the kit's namespaces: the outer one is named in NSpid
  local pid inner
  inner=$(inside cat "/run/libvirt/qemu/$1.pid" 2>/dev/null) || die "guest $1 is not running"
  for pid in $(pgrep -x qemu-system-x86); do
    if awk -v inner="$inner" '$1 == "NSpid:" && NF == 3 && $3 == inner { found = 1 } END { exit !found }' "/proc/$pid/status" 2>/dev/null &&
      tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -- "guest=$1,"; then
      printf '%s\n' "$pid"
      return
    fi
  done
  die "guest $1 has no process"
}

guest_signal() { # guest_signal NAME SIGNAL
  local pid
  pid=$(inside cat "/run/libvirt/qemu/$1.pid" 2>/dev/null) || die "guest $1 is not running"
  inside kill -"$2" "$pid"
}

# --- verbs ----------------------------------------------------------------------------------------

ready() { [ -e "$DIR/ready" ]; }

up() {
  need_root
  # shellcheck disable=SC2086
  if [ "${1:-}" = --install ]; then apt_install $PACKAGES || die "package installation failed"; fi
  need_tools "$PACKAGES" libvirtd virsh qemu-system-x86_64 unshare nsenter setsid
  scratch_new
  [ ! -e "$DIR/proc/reaper" ] || die "a daemon is already up in $DIR"
  mkdir -p "$DIR/sock" "$DIR/domains"
  rm -f "$DIR/ready" "$DIR/libvirtd.pid"
  write_config
  trap 'log "up failed; logs stay in $DIR"; down' EXIT
  reaper_start "$SELF"
  spawn holder unshare --mount --net --pid --fork --mount-proc --kill-child "$SELF" _holder
  wait_until 10 ready || die "the namespaces did not come up"
  daemon_start
  trap - EXIT
  log "answers after $SECONDS s; FIXTURE_DIR=$FIXTURE_DIR"
  print_env
}

down() {
  stop reaper KILL
  stop holder KILL # takes every process in its namespaces with it
  rm -f "$DIR/libvirtd.pid" "$DIR/ready"
  if [ "${1:-}" = --purge ]; then purge; fi
}

verb=${1:-}
[ $# -eq 0 ] || shift
case $verb in up) ;; *) [ -z "$verb" ] || scratch_old ;; esac
case $verb in
  up) up "$@" ;;
  down) down "$@" ;;
  uri) uri ;;
  stop-daemon) daemon_stop "$@" ;;
  start-daemon) daemon_start ;;
  restart-daemon) daemon_stop "$@"; daemon_start ;;
  freeze) if [ $# -eq 0 ]; then daemon_signal STOP; else guest_signal "$1" STOP; fi ;;
  thaw) if [ $# -eq 0 ]; then daemon_signal CONT; else guest_signal "$1" CONT; fi ;;
  domain) [ $# -ge 2 ] || usage_error "domain NAME KIND"; domain "$@" ;;
  kill) guest_signal "${1:?NAME}" "${2:-KILL}" ;;
  pid) guest_pid "${1:?NAME}" ;;
  destroy) on_daemon destroy "${1:?NAME}"; on_daemon undefine "$1" 2>/dev/null; true ;;
  virsh) on_daemon "$@" ;;
  events) VIRSH_TIMEOUT=${1:-0} on_daemon event --all --loop --timestamp; true ;;
  _holder) holder ;;
  *) sed -n '3,/^$/s/^# \{0,1\}//p' "$SELF" >&2; exit 64 ;;
esac
