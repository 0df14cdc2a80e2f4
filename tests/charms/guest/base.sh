#!/usr/bin/env bash
# base.sh : makes (once) a Debian with MariaDB, RabbitMQ and haproxy, and the packages of Masakari and Pacemaker in apt's cache,
# so that a guest without a network can install them; prints its folder.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../lib/common.sh"
base="${TACHI_CHARMS_GUEST:-$TARGET/charms-guest}/base"
wanted="$(cksum <"${BASH_SOURCE[0]}")"
if [ "$(cat "$base/.stamp" 2>/dev/null)" != "$wanted" ]; then
  apt_need debootstrap debootstrap >&2
  apt_need systemd-nspawn systemd-container >&2
  say "making $base" >&2
  rm -rf "$base"
  mkdir -p "$(dirname "$base")"
  debootstrap --variant=minbase \
    --include=systemd,systemd-sysv,dbus,iproute2,ca-certificates,python3,mariadb-server,rabbitmq-server,haproxy,openssl,procps,sudo,adduser,libpam-systemd \
    bookworm "$base" http://deb.debian.org/debian >&2
  cp /etc/resolv.conf "$base/etc/resolv.conf"
  printf 'deb http://deb.debian.org/debian bookworm main\n' >"$base/etc/apt/sources.list"
  TMPDIR=/tmp chroot "$base" apt-get update -q >&2
  # Each charm's by themselves: what one drags in would spare another what it needs alone.
  for packages in "masakari-api masakari-engine python3-sqlalchemy-utils" "masakari-host-monitor masakari-instance-monitor" \
    "pacemaker-remote pcs resource-agents corosync"; do
    # shellcheck disable=SC2086
    TMPDIR=/tmp chroot "$base" apt-get install -y --no-install-recommends --download-only $packages >&2
  done
  # Masakari's packages ask their questions of nobody; a guest has no network to ask names of.
  printf 'nameserver 127.0.0.1\n' >"$base/etc/resolv.conf"
  printf '127.0.0.1 localhost\n127.0.1.1 masakari-0.example masakari-0\n' >"$base/etc/hosts"
  printf 'masakari-0\n' >"$base/etc/hostname"
  printf '%s\n' "$wanted" >"$base/.stamp"
fi
printf '%s\n' "$base"
