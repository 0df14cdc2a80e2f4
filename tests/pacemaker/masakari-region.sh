#!/usr/bin/env bash
# masakari-region.sh TACHI VENV PYTHON CLOUDS : a simulated region whose Instance-HA service is Masakari's own, from PyPI, until it is
# stopped. Runs in the network of the cluster; CLOUDS is written when everything answers.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/databases.sh
. "$REPO/tests/lib/databases.sh"
# shellcheck source=tests/lib/rabbitmq.sh
. "$REPO/tests/lib/rabbitmq.sh"
trap 'stop_databases; stop_rabbitmq' EXIT
trap 'exit 143' TERM
start_mariadb
start_rabbitmq
"$3" "$REPO/tests/pacemaker/masakari_region.py" --tachi "$1" --upstream "$2" --clouds "$4" &
wait "$!"
