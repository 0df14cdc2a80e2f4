#!/usr/bin/env bash
# The Debian source package: lintian, and the packages that it builds without a network hold what packaging/build's do.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
[ "$(id -u)" -eq 0 ] || die "a build without a network is started as root"
apt_need dpkg-buildpackage dpkg-dev
apt_need dh debhelper
apt_need lintian lintian
apt_need ip iproute2
apt_need readelf binutils
work="$(mktemp -d "$TARGET/source-package.XXXXXX")"
trap 'rm -rf "$work"' EXIT
dsc="$("$REPO/packaging/source-package" --out "$work")"
check "lintian finds no error in the source" lintian --allow-root --fail-on error "$dsc"
dpkg-source --extract "$dsc" "$work/tree" >/dev/null
# The build dependencies are Rust's of a newer Debian; this machine's serve. Optimised it takes half an hour.
built() { (cd "$work/tree" && DEB_BUILD_OPTIONS=noopt unshare -n sh -c 'ip link set lo up; exec dpkg-buildpackage -b -d -us -uc'); }
check "dpkg-buildpackage builds it, without a network" built
mkdir "$work/ours"
"$REPO/packaging/build" --binaries "$work/tree/debian/target/binaries" --glibc 2.999 --kind deb --out "$work/ours" \
  --package-version "$(dpkg-parsechangelog -l "$work/tree/debian/changelog" -S Version | sed 's/-1$//')"
listed() { dpkg-deb -c "$1" | awk '$6 !~ /\/$/ { print /^l/ ? "link" : $1, $6, $8 }' | sort -k 2; }
# dpkg-gencontrol sorts the lists.
field() { dpkg-deb -f "$1" "$2" | sed 's/, /\n/g' | sort; }
for package in tachi tachi-monitors; do
  deb="$(echo "$work/$package"_*.deb)" ours="$(echo "$work/ours/$package"_*.deb)"
  check "$package has the files of packaging/build's" diff <(listed "$ours") <(listed "$deb")
  for field in Architecture Section Conflicts Replaces Provides Recommends Suggests Description; do
    check "$package: $field is the same" diff <(field "$ours" "$field") <(field "$deb" "$field")
  done
  dpkg-deb -e "$ours" "$work/ours-$package"
  dpkg-deb -e "$deb" "$work/deb-$package"
  for script in preinst postinst prerm postrm conffiles; do
    check "$package: $script is the same" diff -B "$work/ours-$package/$script" "$work/deb-$package/$script"
  done
  check "lintian finds no error in $package" lintian --allow-root --fail-on error "$deb"
done
checks_done
