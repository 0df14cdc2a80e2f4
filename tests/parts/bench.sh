#!/usr/bin/env bash
# `tachi api` and the masakari API from PyPI beside each other: Keystone mode, one MariaDB server. Exit 1 if a target is missed.
# TACHI_BENCH_SECONDS is how long each measurement takes (20); the figures are left in bench.json of the target folder.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
# shellcheck source=tests/bench/servers.sh
. "$REPO/tests/bench/servers.sh"
bench_servers
peer="$("$REPO/tests/bench/venv.sh")"
start_rabbitmq
script_counted "$PYTHON" "$REPO/tests/bench/bench.py" --tachi "$BINARY" --peer "$peer" --mariadb "$TACHI_TEST_MYSQL_URL" \
  --rabbit "$TACHI_TEST_RABBIT_URL" --seconds "${TACHI_BENCH_SECONDS:-20}" --json "$TARGET/bench.json"
