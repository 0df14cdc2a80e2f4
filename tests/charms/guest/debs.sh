#!/usr/bin/env bash
# debs.sh FOLDER : the debs tachi and tachi-monitors of this build, for the guest: the binaries as they are in the target
# folder, stripped, with the units, users and names of packaging/. TACHI_DEBS names a folder with real ones, which are taken
# instead.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../lib/common.sh"
out="$1"
mkdir -p "$out"
if [ -n "${TACHI_DEBS:-}" ]; then
  cp "$TACHI_DEBS"/tachi_*_amd64.deb "$TACHI_DEBS"/tachi-monitors_*_amd64.deb "$out"
  exit 0
fi
for binary in "$TACHI" "$MONITOR"; do [ -x "$binary" ] || die "build first: $binary is missing"; done
apt_need strip binutils

# stage PACKAGE BINARY NAME... : its tree in $tree
stage() {
  local package="$1" binary="$2" name
  shift 2
  tree="$(mktemp -d)"
  chmod 755 "$tree"
  mkdir -p "$tree"/{DEBIAN,usr/bin,lib/systemd/system,usr/lib/sysusers.d,usr/lib/tmpfiles.d}
  strip -o "$tree/usr/bin/${binary##*/}" "$binary"
  chmod 755 "$tree/usr/bin/${binary##*/}"
  for name in "$@"; do ln -s "${binary##*/}" "$tree/usr/bin/$name"; done
  cp "$REPO/packaging/sysusers.d/$package.conf" "$tree/usr/lib/sysusers.d/"
  if [ -e "$REPO/packaging/tmpfiles.d/$package.conf" ]; then cp "$REPO/packaging/tmpfiles.d/$package.conf" "$tree/usr/lib/tmpfiles.d/"; fi
}

# finish PACKAGE CONFLICTS PROVIDES USER FOLDER
finish() {
  printf 'Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: tests <tests@localhost>\nConflicts: %s\nReplaces: %s\nProvides: %s\nDescription: of the tests\n' \
    "$1" "${TACHI_DEB_VERSION:-0.0.1}" "$2" "$2" "$3" >"$tree/DEBIAN/control"
  cat >"$tree/DEBIAN/postinst" <<POSTINST
#!/bin/sh
set -e
systemd-sysusers $1.conf
[ -d $5 ] || install -d -m 0750 -o root -g $4 $5
if [ -e /usr/lib/tmpfiles.d/$1.conf ]; then systemd-tmpfiles --create $1.conf || true; fi
systemctl --system daemon-reload
POSTINST
  cat >"$tree/DEBIAN/prerm" <<PRERM
#!/bin/sh
set -e
if [ "\$1" = remove ]; then systemctl stop $(cd "$tree/lib/systemd/system" && echo *.service) || true; fi
PRERM
  chmod 755 "$tree/DEBIAN/postinst" "$tree/DEBIAN/prerm"
  dpkg-deb --root-owner-group -Zgzip -z1 --build "$tree" "$out/$1_${TACHI_DEB_VERSION:-0.0.1}_amd64.deb" >/dev/null
  rm -rf "$tree"
}

units="$REPO/packaging/systemd"
stage tachi "$TACHI" masakari-api masakari-engine masakari-manage masakari-status
cp "$units"/masakari-api.service "$units"/masakari-engine.service "$tree/lib/systemd/system/"
theirs="masakari-api, masakari-engine, masakari-common, python3-masakari"
finish tachi "$theirs" "masakari-api, masakari-engine" masakari /etc/masakari
stage tachi-monitors "$MONITOR" masakari-hostmonitor masakari-instancemonitor masakari-processmonitor masakari-introspectiveinstancemonitor
cp "$units"/masakari-*-monitor.service "$units"/tachi-boot-guard.service "$tree/lib/systemd/system/"
theirs="masakari-host-monitor, masakari-instance-monitor, masakari-process-monitor, masakari-introspective-instance-monitor"
finish tachi-monitors "$theirs, masakari-monitors-common, python3-masakari-monitors" "masakari-host-monitor, masakari-instance-monitor" \
  masakarimonitors /etc/masakarimonitors
