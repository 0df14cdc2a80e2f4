#!/usr/bin/env bash
# debs.sh FOLDER : the debs tachi and tachi-monitors for the guest, made by packaging/build of the binaries as they are in the
# target folder, stripped, for the glibc of the guest. TACHI_DEBS names a folder with others, which are taken instead.
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
binaries="$(mktemp -d)"
trap 'rm -rf "$binaries"' EXIT
for binary in "$TACHI" "$MONITOR"; do strip -o "$binaries/${binary##*/}" "$binary"; done
"$REPO/packaging/build" --binaries "$binaries" --glibc 2.36 --kind deb --out "$out" >&2
