#!/usr/bin/env bash
# `tachi api` and the masakari API from PyPI beside each other: Keystone mode, one MariaDB server. Exit 1 if a target is missed.
# TACHI_BENCH_SECONDS is how long each measurement takes (20); the figures are left in target/bench.json.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
# shellcheck source=tests/lib/databases.sh
. "$REPO/tests/lib/databases.sh"
# shellcheck source=tests/lib/rabbitmq.sh
. "$REPO/tests/lib/rabbitmq.sh"
clean_up() {
  stop_rabbitmq
  stop_databases
}
trap clean_up EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
apt_need wrk wrk
venv="$("$REPO/tests/lib/venv.sh")"
peer="$("$REPO/tests/bench/venv.sh")"
start_mariadb
start_rabbitmq
script_counted "$venv/bin/python" "$REPO/tests/bench/bench.py" --tachi "${TACHI_BIN:-$TARGET/release/tachi}" --peer "$peer" \
  --mariadb "$TACHI_TEST_MYSQL_URL" --rabbit "$TACHI_TEST_RABBIT_URL" --seconds "${TACHI_BENCH_SECONDS:-20}" \
  --json "$TARGET/bench.json"
