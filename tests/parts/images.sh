#!/usr/bin/env bash
# The container images: built twice, and started.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
apt_need buildah buildah
apt_need skopeo skopeo
apt_need umoci umoci
apt_need strip binutils
apt_need systemd-nspawn systemd-container
apt-get -q update >/dev/null
script_counted "$REPO/tests/images/run.sh" "$(dirname "$TACHI")"
