#!/usr/bin/env bash
# The packages: what linters say, and what happens in a Debian that boots. Root; makes its Debian once (some minutes).
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
# shellcheck source=tests/deploy/root.sh
. "$REPO/tests/deploy/root.sh"
[ "$(id -u)" -eq 0 ] || die "packages are installed as root"
deploy_tools
apt_need lintian lintian
apt_need piuparts piuparts
apt_need rpm rpm
apt_need strip binutils
mkdir -p "$DEPLOY_CACHE"
work="$(mktemp -d "$DEPLOY_CACHE/packages.XXXXXX")"
trap 'rm -rf "$work"' EXIT

# What was built for the tests, without what only a debugger reads; TACHI_PACKAGES takes finished packages instead.
DEPLOY_PACKAGES="${TACHI_PACKAGES:-$work/out}"
export DEPLOY_PACKAGES
if [ -z "${TACHI_PACKAGES:-}" ]; then
  mkdir "$work/bin"
  strip -o "$work/bin/tachi" "$TACHI"
  strip -o "$work/bin/tachi-monitor" "$MONITOR"
  # Built for this machine's C library, which is the Debian's.
  "$REPO/packaging/build" --binaries "$work/bin" --glibc 2.36 --out "$DEPLOY_PACKAGES"
  "$REPO/packaging/build" --binaries "$work/bin" --glibc 2.36 --out "$DEPLOY_PACKAGES/next" --kind deb --package-version 99.0.0
fi

check "lintian finds no error" lintian --allow-root --fail-on error "$DEPLOY_PACKAGES"/*.deb
rpm_root="$work/rpm-root"
mkdir -p "$rpm_root"
arch="$(uname -m)"
check "rpm installs both" rpm --root "$rpm_root" --noscripts --nodeps -i "$DEPLOY_PACKAGES"/*."$arch".rpm
check "rpm finds its files as they were" rpm --root "$rpm_root" --noscripts -V --nodeps --nouser --nogroup tachi tachi-monitors
check "rpm knows the configuration" sh -c "rpm --root '$rpm_root' -qc tachi | grep -qx /etc/logrotate.d/tachi"
check "rpm's scripts are shell" sh -c "rpm --root '$rpm_root' -q --scripts tachi | sed '/scriptlet/d' | sh -n"
check "rpm removes both" rpm --root "$rpm_root" --noscripts -e tachi tachi-monitors
check "and leaves nothing" sh -c "! find '$rpm_root/usr/bin' '$rpm_root/usr/lib' -name '*tachi*' | grep ."

bare="$(bare_debian)"
check "piuparts: installed, removed, purged, nothing is left" piuparts --existing-chroot "$bare" --distribution "$DEPLOY_SUITE" \
  --no-upgrade-test --skip-logrotatefiles-test --warn-on-leftovers-after-purge --ignore-regex '/etc/(passwd|group|shadow|gshadow)-?' \
  "$DEPLOY_PACKAGES"/*.deb

failed=0
script_counted in_booted "$bare" "$REPO/tests/deploy/fresh.sh" 400 || failed=1
script_counted in_booted "$(debian_with_masakari)" "$REPO/tests/deploy/switch.sh" 400 || failed=1
checks_done && [ "$failed" -eq 0 ]
