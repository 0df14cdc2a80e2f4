#!/usr/bin/env bash
# guest.sh FOLDER : makes vmlinuz, initrd and disk (raw, empty) of the guest that keeps a ledger (guest.c), from Debian's kernel for
# clouds, which is not installed. Done once per folder and guest.c.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
here="$REPO/tests/region"
folder="$1"
if [ -s "$folder/initrd" ] && cmp -s "$here/guest.c" "$folder/guest.c"; then exit 0; fi
apt_need cc gcc libc6-dev
apt_need cpio cpio
mkdir -p "$folder"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
kernel="$(apt-cache depends linux-image-cloud-amd64 | awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ { print $2; exit }')"
[ -n "$kernel" ] || die "apt knows no kernel for clouds (linux-image-cloud-amd64)"
apt-get -q -o APT::Sandbox::User=root download "$kernel"
dpkg -x ./*.deb root
mkdir -p initrd.d/mod
cc -O2 -Wall -Wextra -Werror -static -o initrd.d/init "$here/guest.c"
number=0
# In this order: each needs the ones before. What is built into the kernel is no file.
for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk; do
  found="$(find root/lib/modules -name "$module.ko" | head -n 1)"
  if [ -n "$found" ]; then cp "$found" "initrd.d/mod/$number.ko" && number=$((number + 1)); fi
done
(cd initrd.d && find . | cpio -o -H newc --quiet | gzip -1) >initrd
cp root/boot/vmlinuz-* "$folder/vmlinuz"
cp "$here/guest.c" "$folder/"
truncate -s 64M "$folder/disk"
cp initrd "$folder/initrd"
