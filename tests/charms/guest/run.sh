#!/usr/bin/env bash
# run.sh SCRIPT [ARGUMENT...] : boots a copy of the base, runs SCRIPT (of this folder) inside as a systemd unit, prints what it
# says, and takes the guest down. The guest has no network but its own loopback.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../lib/common.sh"
script="$*"
here="$REPO/tests/charms/guest"
base="$("$here/base.sh")"
[ "$(id -u)" -eq 0 ] || die "booting a guest needs root"
work="$(mktemp -d "${TACHI_CHARMS_GUEST:-$TARGET/charms-guest}/run.XXXXXX")"
root="$work/root"
pid=""
# shellcheck disable=SC2317
stop() {
  if [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; then
    kill -TERM "$pid" 2>/dev/null || true
    for _ in {1..100}; do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
  fi
  umount "$root" 2>/dev/null || umount -l "$root" 2>/dev/null || true
  if [ -z "${TACHI_KEEP_GUEST:-}" ]; then rm -rf "$work"; else say "kept: $work"; fi
}
trap stop EXIT
mkdir -p "$root" "$work/upper" "$work/work"
mount -t overlay overlay -o "lowerdir=$base,upperdir=$work/upper,workdir=$work/work" "$root"
mkdir -p "$root/test/debs" "$root/test/charms"
"$here/debs.sh" "$root/test/debs"
"$REPO/charms/build" --arch amd64 --debs "$root/test/debs" --out "$root/test/charms"
cp "$here"/*.py "$REPO"/tests/charms/juju/*.py "$here"/*.sql "$root/test/"
strip -o "$root/test/sandbox-tachi" "$TACHI"
: >"$root/test/out"
cat >"$root/etc/systemd/system/charms-test.service" <<UNIT
[Unit]
After=mariadb.service rabbitmq-server.service network.target
Wants=mariadb.service rabbitmq-server.service
[Service]
Type=oneshot
TimeoutStartSec=infinity
Environment=PYTHONUNBUFFERED=1
ExecStart=/bin/sh -c '/usr/bin/python3 /test/$script >/test/out 2>&1; echo "ended \$\$?" >>/test/out; systemctl --no-block exit 0'
[Install]
WantedBy=multi-user.target
UNIT
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../charms-test.service "$root/etc/systemd/system/multi-user.target.wants/charms-test.service"
systemd-nspawn --quiet --register=no --keep-unit --private-network --boot --directory="$root" \
  --setenv=SYSTEMD_LOG_LEVEL=warning >"$work/console.log" 2>&1 </dev/null &
pid=$!
tail -n +1 -f "$root/test/out" --pid="$pid" 2>/dev/null | sed -u '/^ended [0-9]*$/q' &
reader=$!
for ((i = 0; i < ${TACHI_GUEST_SECONDS:-1500} * 5; i++)); do
  if grep -q '^ended [0-9]*$' "$root/test/out" 2>/dev/null || ! kill -0 "$pid" 2>/dev/null; then break; fi
  sleep 0.2
done
wait "$reader" || true
if ! grep -q '^ended 0$' "$root/test/out"; then
  tail -n 20 "$work/console.log"
  exit 1
fi
