#!/usr/bin/env bash
# run.sh BINARIES : packaging/images builds the same bytes twice; each image starts in a container (systemd-nspawn) with a root that cannot be
# written to, as its own user and without a capability: the API answers, a monitor serves its health.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
repo="$(cd "$here/../.." && pwd)"
[ $# -eq 1 ] || { sed -n '2,3s/^# //p' "${BASH_SOURCE[0]}"; exit 2; }
work="$(mktemp -d)"
container=""
# shellcheck disable=SC2317 # called by the trap
clean_up() {
  if [ -n "$container" ]; then stop; fi
  rm -rf "$work"
}
stop() {
  kill -TERM "$container" 2>/dev/null || true
  wait "$container" 2>/dev/null || true
  container=""
}
trap clean_up EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
passed=0 failed=0
# is NAME WANTED GOT
is() {
  if [ "$2" = "$3" ]; then
    echo "ok      $1"
    passed=$((passed + 1))
  else
    printf "FAILED  %s: wanted '%s', got '%s'\n" "$1" "$2" "$3"
    failed=$((failed + 1))
    if [ -s "$work/log" ]; then tail -n 20 "$work/log"; fi
  fi
}

mkdir "$work/downloads"
# Whatever is committed meanwhile.
export SOURCE_DATE_EPOCH=1700000000
for turn in first second; do
  started=$SECONDS
  # What the builder keeps from others is no matter of the image's.
  if [ "$turn" = second ]; then umask 077; fi
  "$repo/packaging/images" --binaries "$1" --output "$work/$turn" --downloads "$work/downloads" --version 0.0.1
  echo "measured  $turn build: $((SECONDS - started)) s"
done
umask 022
arch="$(dpkg --print-architecture)"
for name in tachi tachi-monitor; do
  is "$name: the same bytes twice" "$(sha256sum <"$work/first/$name-0.0.1-$arch.oci.tar")" "$(sha256sum <"$work/second/$name-0.0.1-$arch.oci.tar")"
  echo "measured  $name: $(du -m "$work/first/$name-0.0.1-$arch.oci.tar" | cut -f1) MB packed"
done
rm -rf "$work/second"

for name in tachi tachi-monitor; do
  skopeo copy --quiet "oci-archive:$work/first/$name-0.0.1-$arch.oci.tar" "oci:$work/$name:v"
  umoci unpack --image "$work/$name:v" "$work/$name.bundle" >/dev/null
  root="$work/$name.bundle/rootfs"
  is "$name: user, entry point, version" "42485:42485 /usr/bin/$name 0.0.1" "$(skopeo inspect --config "oci:$work/$name:v" |
    python3 -c 'import json, sys
c = json.load(sys.stdin)["config"]
assert {"XDG_STATE_HOME=/var/lib", "MALLOC_ARENA_MAX=2", "MALLOC_TRIM_THRESHOLD_=131072"} <= set(c["Env"]), c["Env"]
print(c["User"], " ".join(c["Entrypoint"]), c["Labels"]["org.opencontainers.image.version"])')"
  is "$name: no shell, nothing that runs as another user" "" \
    "$(find "$root" \( -name 'sh' -o -name 'bash' -o -name 'dash' -o -perm /6000 \) -print)"
  is "$name: nothing but its state is the user's" "/var/lib/tachi /var/lib/tachi-monitor " \
    "$(cd "$root" && find . -user 42485 -printf '/%P\n' | sort | tr '\n' ' ')"
  is "$name: each package of Debian's that is in it is told, with its licence" "libc6 libgcc-s1 " "$(cd "$root" && for one in var/lib/dpkg/status.d/*; do
    if ! grep -q "^Version: " "$one" || ! [ -s "usr/share/doc/${one##*/}/copyright" ]; then echo "${one##*/} is not"; fi
    case "$one" in */libc6 | */libgcc-s1) printf '%s ' "${one##*/}" ;; esac
  done)"
  is "$name: and which Debian" "$(grep "^VERSION=" /etc/os-release)" "$(grep "^VERSION=" "$root/etc/os-release")"
  rm -rf "${work:?}/$name" "$work/first/$name-0.0.1-$arch.oci.tar"
  # nspawn looks the user up with a program of the container; this image has none.
  cp "$(command -v getent)" "$root/usr/bin/getent"
done
is "tachi: Masakari's names" "masakari-api masakari-engine masakari-manage masakari-status " \
  "$(find "$work/tachi.bundle/rootfs/usr/bin" -lname tachi -printf '%f\n' | sort | tr '\n' ' ')"

# start NAME COMMAND... : in the background, on this machine's loopback
start() {
  local name="$1"
  shift
  systemd-nspawn --quiet --register=no --keep-unit --console=pipe --directory="$work/$name.bundle/rootfs" --read-only --user=masakari \
    --setenv=XDG_STATE_HOME=/var/lib --timezone=off --resolv-conf=off --bind-ro="$work/etc:/etc/masakari" --drop-capability=all --no-new-privileges=yes \
    --tmpfs="/var/lib/$name:uid=42485,gid=42485,mode=0700" --tmpfs=/tmp --kill-signal=SIGTERM -- "$@" >"$work/log" 2>&1 </dev/null &
  container=$!
}
# answers URL : the first status that is none of a start
answers() {
  local status="" end=$((SECONDS + 60))
  while [ "$SECONDS" -lt "$end" ]; do
    status="$(curl --noproxy '*' -s -o "$work/body" -m 5 -w '%{http_code}' "$1" || true)"
    if [ "$status" != 000 ]; then break; fi
    sleep 0.2
  done
  printf '%s\n' "$status"
}
# standing PROGRAM : its user, capabilities and whether it may gain any, as the kernel says
standing() {
  local pid
  for pid in $(pgrep -x "$1"); do
    if [ "$(readlink "/proc/$pid/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ] && grep -qs "^Uid:.42485" "/proc/$pid/status"; then
      awk '/^Uid:/ { u = $2 } /^CapEff:/ { c = $2 } /^NoNewPrivs:/ { n = $2 } END { print u, c, n }' "/proc/$pid/status"
      return
    fi
  done
  echo "no $1 of user 42485 among $(pgrep -a "$1" | tr '\n' ';')"
}

mkdir "$work/etc"
chmod 755 "$work" "$work/etc"
cat >"$work/etc/masakari.conf" <<'C'
[DEFAULT]
auth_strategy = noauth2
masakari_api_listen = 127.0.0.1
masakari_api_listen_port = 15891
os_privileged_user_auth_url = http://127.0.0.1:15890/v3
os_privileged_user_name = nova
os_privileged_user_password = nothing
os_privileged_user_tenant = service
[database]
connection = sqlite:////var/lib/tachi/tachi.sqlite
C
start tachi /usr/bin/tachi api --config-file /etc/masakari/masakari.conf
is "the API answers" 200 "$(answers http://127.0.0.1:15891/healthcheck)"
is "as its user, without a capability" "42485 0000000000000000 1" "$(standing tachi)"
is "and serves what is in its database" '{"segments":[]}' "$(curl --noproxy '*' -s http://127.0.0.1:15891/v1/segments)"
stop

cat >"$work/etc/monitors.conf" <<'C'
[api]
auth_url = http://127.0.0.1:15890/v3
username = masakari-monitor
password = nothing
project_name = service
[monitor]
process_listen = 127.0.0.1:15892
[process]
process_list_path = /etc/masakari/list.yaml
C
: >"$work/etc/list.yaml"
start tachi-monitor /usr/bin/tachi-monitor process --config-file /etc/masakari/monitors.conf
# There is no Keystone: it runs and says so.
is "a monitor serves its health" 503 "$(answers http://127.0.0.1:15892/healthz)"
is "and says what is wrong" login "$(python3 -c 'import json, sys
print(" ".join(json.load(open(sys.argv[1]))["parts"]))' "$work/body")"
is "as its user, without a capability too" "42485 0000000000000000 1" "$(standing tachi-monitor)"
stop

# called NAME PROGRAM... : what a program of the image prints
called() {
  local name="$1"
  shift
  timeout 30 systemd-nspawn --quiet --register=no --keep-unit --console=pipe --directory="$work/$name.bundle/rootfs" --read-only --user=masakari \
    --timezone=off --resolv-conf=off -- "$@" 2>&1 </dev/null || true
}
is "ipmitool runs" "ipmitool version" "$(called tachi /usr/bin/ipmitool -V | grep -o '^ipmitool version')"
is "crm_mon runs" "Pacemaker" "$(called tachi-monitor /usr/bin/crm_mon --version | grep -o '^Pacemaker')"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
