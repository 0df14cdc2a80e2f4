#!/usr/bin/env bash
# The packed charms by their dispatch, on a booted Debian with a real MariaDB and RabbitMQ: deployed, changed, put in place of
# Masakari and back.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
cd "$REPO"
script_counted tests/charms/guest/run.sh units.py
