#!/usr/bin/env bash
# Events: oslo.messaging's own listener gets them from a private RabbitMQ; and what they have to be like is still what
# upstream's code makes.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
# shellcheck source=tests/lib/rabbitmq.sh
. "$REPO/tests/lib/rabbitmq.sh"
upstream="$("$REPO/tests/upstream/venv.sh")"
trap stop_rabbitmq EXIT
start_rabbitmq
rc=0
check "engine/events/tests/upstream.json is what upstream's code makes" \
  "$upstream/bin/python" "$REPO/tests/upstream/events.py" --check "$REPO/engine/events/tests/upstream.json"
checks_done || rc=1
script_counted "$upstream/bin/python" "$REPO/tests/events/run.py" --tachi "$TACHI" --rabbit "$TACHI_TEST_RABBIT_URL" || rc=1
exit "$rc"
