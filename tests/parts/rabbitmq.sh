#!/usr/bin/env bash
# A private RabbitMQ: the bus's own tests against it, and API, engines and upstream's own services around it while it is
# killed, silent, short of memory, or spoken to by TLS.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/cargo-counts.sh
. "$REPO/tests/lib/cargo-counts.sh"
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
need_nextest
start_mariadb
start_rabbitmq
failed=0
TACHI_SKIPPED_IS=fine nextest_counted --locked --workspace --test broker || failed=1
script_counted "$clients/bin/python" "$REPO/tests/rabbitmq/run.py" --tachi "$TACHI" --upstream "$upstream" || failed=1
exit "$failed"
