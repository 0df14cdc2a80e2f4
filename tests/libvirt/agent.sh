#!/usr/bin/env bash
# agent.sh FOLDER : makes a kernel and an initial file system in which a real guest agent answers, from Debian's packages, none of
# which is installed. Done once per folder.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
folder="$1"
if [ -s "$folder/vmlinuz" ] && [ -s "$folder/initrd" ]; then exit 0; fi
apt_need cpio cpio
mkdir -p "$folder/debs" "$folder/root"
cd "$folder/debs"
kernel="$(apt-cache depends linux-image-cloud-amd64 | awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ { print $2; exit }')"
[ -n "$kernel" ] || die "apt knows no kernel for clouds"
apt-get -q download "$kernel" busybox-static qemu-guest-agent libc6 libglib2.0-0 libpcre2-8-0 libudev1 liburing2 libnuma1
for deb in *.deb; do dpkg -x "$deb" "$folder/root"; done
cd "$folder"
cp root/boot/vmlinuz-* vmlinuz
mkdir -p initrd.d/bin initrd.d/lib64 initrd.d/lib/x86_64-linux-gnu initrd.d/proc initrd.d/sys initrd.d/dev initrd.d/run initrd.d/mod
cp root/bin/busybox initrd.d/bin/
cp root/usr/sbin/qemu-ga initrd.d/bin/
cp -L root/lib64/ld-linux-x86-64.so.2 initrd.d/lib64/
for library in $(LD_LIBRARY_PATH="$folder/root/lib/x86_64-linux-gnu:$folder/root/usr/lib/x86_64-linux-gnu" ldd root/usr/sbin/qemu-ga |
  awk '$2 == "=>" { print $1 }'); do
  found="$(find root/lib root/usr/lib -name "$library" | head -n 1)"
  [ -n "$found" ] || die "no package holds $library"
  cp -L "$found" initrd.d/lib/x86_64-linux-gnu/
done
# In this order: each needs the ones before.
modules=(virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_console)
for module in "${modules[@]}"; do
  found="$(find root/lib/modules -name "$module.ko*" | head -n 1)"
  # Built into the kernel, if it is no file.
  if [ -n "$found" ]; then cp "$found" "initrd.d/mod/"; fi
done
cat >initrd.d/init <<X
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /var/run
for m in ${modules[*]}; do [ -e /mod/\$m.ko ] && insmod /mod/\$m.ko; done
until [ -n "\$port" ]; do
  for p in /sys/class/virtio-ports/*; do
    [ "\$(cat \$p/name 2>/dev/null)" = org.qemu.guest_agent.0 ] && port=\${p##*/}
  done
  usleep 100000
done
qemu-ga -m virtio-serial -p /dev/\$port
X
chmod 755 initrd.d/init
(cd initrd.d && find . | cpio -o -H newc --quiet | gzip -1) >initrd
rm -rf debs root initrd.d
