#!/usr/bin/env bash
# A cloud that runs Masakari is switched over and back while hosts die.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
# shellcheck source=tests/lib/databases.sh
. "$REPO/tests/lib/databases.sh"
# shellcheck source=tests/lib/rabbitmq.sh
. "$REPO/tests/lib/rabbitmq.sh"
cd "$REPO"
clients="$("$REPO/tests/lib/venv.sh")"
upstream="$("$REPO/tests/upstream/venv.sh")"
trap 'stop_databases; stop_rabbitmq' EXIT
start_mariadb
start_rabbitmq
script_counted "$clients/bin/python" "$REPO/tests/adoption/switch.py" --tachi "$TACHI" --monitor "$MONITOR" \
  --upstream "$upstream" --only "${TACHI_SWITCH_ONLY:-}"
