#!/usr/bin/env bash
# What the kit needs, without its services being started on this machine.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
if have libvirtd && have virsh && have qemu-system-x86_64; then exit 0; fi
policy=/usr/sbin/policy-rc.d
if [ -e "$policy" ]; then policy=""; else
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
for need in libvirtd:libvirt-daemon-system virsh:libvirt-clients qemu-system-x86_64:qemu-system-x86; do
  apt_need "${need%%:*}" "${need#*:}"
done
