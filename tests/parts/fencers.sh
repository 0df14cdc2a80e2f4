#!/usr/bin/env bash
# Our devices against ipmitool and ipmi_sim, a Redfish service, Debian's fence agents and the simulated MAAS; the latter also
# against MAAS's own client library.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
cd "$REPO"
apt_need ipmitool ipmitool
apt_need ipmi_sim openipmi
apt_need fence_ipmilan fence-agents
apt_need xmllint libxml2-utils
apt_need openssl openssl
venv="$("$REPO/tests/fencers/venv.sh")"
# With the whole workspace, so that nothing is built with other features than elsewhere.
cargo build --locked --workspace --example probe
script_counted "$venv/bin/python" "$REPO/tests/fencers/run.py" --tachi "$TACHI" --probe "$TARGET/debug/examples/probe" --venv "$venv"
