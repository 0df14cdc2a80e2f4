#!/usr/bin/env bash
# What measures time: answers within a second, how many hosts are fenced at once, three engines as processes of their own that are killed
# and stopped all along a recovery, with the database's server killed in the middle of one. On SQLite and on MariaDB or PostgreSQL, by turns from commit to
# commit; in --long on all three. Nothing runs beside it but the part `libvirt`, which waits most of the time.
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
  local start=$SECONDS rc=0
  say "--- $1"
  TACHI_TEST_DATABASE="$1" TACHI_SKIPPED_IS=fine nextest_counted --locked --workspace --success-output final -E "$2" || rc=1
  say "$1: $((SECONDS - start)) s"
  return "$rc"
}
three='package(tachi) & test(/^three::/)'
timed='test(/_in_less_than_a_second$/)'
# What the processes beside printed is shown also if the part is stopped.
trap 'cat "$DATABASES_DIR/three.out" 2>/dev/null || true; stop_databases' EXIT
turn="$(server_of_the_turn)"
if [ "$turn" != postgres ]; then start_mariadb; fi
if [ "$turn" != mysql ]; then start_postgres; fi
on sqlite "$timed | test(/^invariants::forty_hosts_at_once/)" || failed=1
if [ "$turn" != postgres ]; then on mysql "package(tachi-store) & $timed" || failed=1; fi
if [ "$turn" != mysql ]; then on postgres "package(tachi-store) & $timed" || failed=1; fi
# Three engines wait for one another most of the time: the databases take their turns at once.
on sqlite "$three" >"$DATABASES_DIR/three.out" 2>&1 &
sqlite=$!
if [ "$turn" != postgres ]; then on mysql "$three" || failed=1; fi
if [ "$turn" != mysql ]; then on postgres "$three" || failed=1; fi
wait "$sqlite" || failed=1
exit "$failed"
