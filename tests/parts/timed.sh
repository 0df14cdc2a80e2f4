#!/usr/bin/env bash
# What measures time: answers within a second, how many hosts are fenced at once, three engines as processes of their own that are killed
# and stopped all along a recovery, with the database's server killed in the middle of one. On SQLite and on MariaDB or PostgreSQL, by turns from commit to
# commit; in --long on all three. Nothing runs beside it.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/cargo-counts.sh
. "$REPO/tests/lib/cargo-counts.sh"
# shellcheck source=tests/lib/databases.sh
. "$REPO/tests/lib/databases.sh"
cd "$REPO"
export TACHI_BIN="$TACHI"
need_nextest
failed=0
# on DATABASE FILTER : `--workspace`, so that nothing is built twice
on() {
  local start=$SECONDS
  say "--- $1"
  TACHI_TEST_DATABASE="$1" TACHI_SKIPPED_IS=fine nextest_counted --locked --workspace --success-output final -E "$2" || failed=1
  say "$1: $((SECONDS - start)) s"
}
three='package(tachi) & test(/^three::/)'
timed='test(/_in_less_than_a_second$/)'
on sqlite "($three) | ($timed) | test(/^invariants::forty_hosts_at_once/)"
trap stop_databases EXIT
turn="$(server_of_the_turn)"
if [ "$turn" != postgres ]; then
  start_mariadb
  on mysql "($three) | (package(tachi-store) & $timed)"
fi
if [ "$turn" != mysql ]; then
  start_postgres
  on postgres "($three) | (package(tachi-store) & $timed)"
fi
exit "$failed"
