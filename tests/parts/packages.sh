#!/usr/bin/env bash
# The packages: what linters say, and what happens in a Debian that boots. Root; makes its Debian once (some minutes). Of packages for another
# processor (TACHI_PACKAGES) what can be seen without a boot.
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
apt_need rpmlint rpmlint
apt_need readelf binutils
apt_need strip binutils
apt_need man man-db
apt_need zsh zsh
apt_need fish fish
mkdir -p "$DEPLOY_CACHE"
work="$(mktemp -d "$DEPLOY_CACHE/packages.XXXXXX")"
trap 'rm -rf "$work"' EXIT

# What was built for the tests, without what only a debugger reads; TACHI_PACKAGES takes finished packages instead.
DEPLOY_PACKAGES="$work/out"
export DEPLOY_PACKAGES
native="$(dpkg --print-architecture)"
others=()
if [ -n "${TACHI_PACKAGES:-}" ]; then
  mkdir -p "$DEPLOY_PACKAGES/next"
  cp "$TACHI_PACKAGES"/*_"$native".deb "$TACHI_PACKAGES"/*."$(uname -m)".rpm "$DEPLOY_PACKAGES"
  if [ -d "$TACHI_PACKAGES/next" ]; then
    cp "$TACHI_PACKAGES"/next/*_"$native".deb "$TACHI_PACKAGES"/next/*."$(uname -m)".rpm "$DEPLOY_PACKAGES/next"
  else
    mkdir "$work/bin"
    for file in "$DEPLOY_PACKAGES"/*.deb; do dpkg-deb -x "$file" "$work/unpacked"; done
    cp "$work"/unpacked/usr/bin/tachi "$work"/unpacked/usr/bin/tachi-monitor "$work/bin"
    "$REPO/packaging/build" --binaries "$work/bin" --out "$DEPLOY_PACKAGES/next" --package-version 99.0.0
  fi
  while IFS= read -r file; do others+=("$file"); done < <(find "$TACHI_PACKAGES" -maxdepth 1 -name '*.deb' ! -name "*_$native.deb")
else
  mkdir "$work/bin"
  strip -o "$work/bin/tachi" "$TACHI"
  strip -o "$work/bin/tachi-monitor" "$MONITOR"
  # Built for this machine's C library, which is the Debian's.
  # They say the version of Cargo.toml, and no commit.
  "$REPO/packaging/build" --binaries "$work/bin" --glibc 2.36 --out "$DEPLOY_PACKAGES" --package-version "$("$TACHI" --version | cut -d ' ' -f 2)"
  "$REPO/packaging/build" --binaries "$work/bin" --glibc 2.36 --out "$DEPLOY_PACKAGES/next" --package-version 99.0.0
fi

failed=0
check "lintian finds no error" lintian --allow-root --fail-on error "$DEPLOY_PACKAGES"/*.deb
script_counted "$REPO/tests/deploy/unpacked.sh" "$DEPLOY_PACKAGES"/*.deb || failed=1
if [ "${#others[@]}" -gt 0 ]; then
  apt_need qemu-aarch64 qemu-user
  [ -d /usr/aarch64-linux-gnu/lib ] || apt_need "no such program" libc6-arm64-cross libgcc-s1-arm64-cross
  check "lintian finds no error in those for another processor" lintian --allow-root --fail-on error "${others[@]}"
  script_counted "$REPO/tests/deploy/unpacked.sh" "${others[@]}" || failed=1
fi
check "rpmlint finds no error" rpmlint --config "$REPO/tests/deploy/rpmlint.toml" "$DEPLOY_PACKAGES"/*.rpm
rpm_root="$work/rpm-root"
mkdir -p "$rpm_root"
arch="$(uname -m)"
check "rpm installs both" rpm --root "$rpm_root" --noscripts --nodeps -i "$DEPLOY_PACKAGES"/*."$arch".rpm
check "rpm finds its files as they were" rpm --root "$rpm_root" --noscripts -V --nodeps --nouser --nogroup tachi tachi-monitors
check "rpm knows the configuration" sh -c "rpm --root '$rpm_root' -qc tachi | grep -qx /etc/logrotate.d/tachi"
check "rpm's scripts are shell" sh -c "rpm --root '$rpm_root' -q --scripts tachi | sed '/scriptlet/d' | sh -n"
check "rpm removes both" rpm --root "$rpm_root" --noscripts -e tachi tachi-monitors
check "and leaves nothing" sh -c "! find '$rpm_root/usr/bin' '$rpm_root/usr/lib' -name '*tachi*' | grep ."

# taken_over ROOT : dpkg itself, which removes theirs while it unpacks ours; all that ours bring is there afterwards
taken_over() {
  local root unpacked="$work/unpacked" file missing=0
  root="$(mktemp -d "$DEPLOY_CACHE/dpkg.XXXXXX")"
  cp -a --reflink=auto "${1:?no root}/." "$root/"
  cp "$DEPLOY_PACKAGES"/*.deb "$root/tmp/"
  TMPDIR=/tmp chroot "$root" sh -ec 'dpkg -i /tmp/tachi_*.deb /tmp/tachi-monitors_*.deb' || missing=1
  rm -rf "$unpacked"
  for file in "$DEPLOY_PACKAGES"/*.deb; do dpkg-deb -x "$file" "$unpacked"; done
  while IFS= read -r file; do
    if [ ! -L "$unpacked/$file" ] && ! cmp -s "$unpacked/$file" "$root/$file"; then
      printf 'lost or not ours: %s\n' "$file"
      missing=1
    fi
  done < <(cd "$unpacked" && find . ! -type d -printf '%P\n')
  if chroot "$root" dpkg-divert --list '*masakari*' | grep .; then missing=1; fi
  rm -rf "$root"
  return "$missing"
}
for DEPLOY_SUITE in ${TACHI_DEPLOY_SUITES:-bookworm trixie}; do
  bare="$(bare_debian)"
  case "$DEPLOY_SUITE" in
    jammy | noble) ;;
    *)
      check "$DEPLOY_SUITE: piuparts: installed, removed, purged, nothing is left" piuparts --existing-chroot "$bare" \
        --distribution "$DEPLOY_SUITE" --no-upgrade-test --skip-logrotatefiles-test --warn-on-leftovers-after-purge \
        --ignore-regex '/etc/(passwd|group|shadow|gshadow)-?' "$DEPLOY_PACKAGES"/*.deb
      ;;
  esac
  # Assigned first: an error in an argument does not stop the part, and an empty root would be this machine's.
  masakari="$(debian_with_masakari)"
  check "$DEPLOY_SUITE: dpkg -i over Debian's Masakari loses nothing of ours" taken_over "$masakari"
  say "in a booted $DEPLOY_SUITE: fresh"
  script_counted in_booted "$bare" "$REPO/tests/deploy/fresh.sh" 400 || failed=1
  say "in a booted $DEPLOY_SUITE: the process monitor's polkit rule"
  script_counted in_booted "$bare" "$REPO/tests/deploy/polkit.sh" 300 || failed=1
  say "in a booted $DEPLOY_SUITE: in place of Debian's Masakari, and back"
  script_counted in_booted "$masakari" "$REPO/tests/deploy/switch.sh" 400 || failed=1
done
# The last Debian with the polkit of Ubuntu 22.04 (0.105), which reads .pkla files only.
DEPLOY_SUITE=bullseye
say "in a booted $DEPLOY_SUITE: the process monitor's polkit rule"
bare="$(bare_debian)"
script_counted in_booted "$bare" "$REPO/tests/deploy/polkit.sh" 300 || failed=1
DEPLOY_SUITE=bookworm
say "in a booted $DEPLOY_SUITE: the rpm packages, with their scripts"
rpm="$(debian_with_rpm)"
script_counted in_booted "$rpm" "$REPO/tests/deploy/rpm.sh" 400 || failed=1
checks_done && [ "$failed" -eq 0 ]
