#!/usr/bin/env bash
# The store's whole suite, and those of API, engines and commands in processes of their own, on MariaDB and on PostgreSQL; the part
# `unit` runs both on SQLite.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/cargo-counts.sh
. "$REPO/tests/lib/cargo-counts.sh"
# shellcheck source=tests/lib/databases.sh
. "$REPO/tests/lib/databases.sh"
cd "$REPO"
trap stop_databases EXIT
start_mariadb
start_postgres
uses='(package(tachi-store) + (package(tachi) & test(/^(processes|operator)::/)))'
timed='test(/_in_less_than_a_second$/)'
# on DATABASE FILTER : `--workspace`, so that nothing is built twice; the filter leaves those that use the database
on() {
  local start=$SECONDS rc=0
  say "--- $1"
  TACHI_TEST_DATABASE="$1" TACHI_SKIPPED_IS=fine nextest_counted --locked --workspace -E "$2" || rc=1
  say "$1: $((SECONDS - start)) s"
  return "$rc"
}
failed=0
# What is timed is to be seen undisturbed. That builds everything, too.
for database in mysql postgres; do on "$database" "$uses & $timed" || failed=1; done
# Most of the others wait, for the disk and for one another: both at once.
on mysql "$uses - $timed" >"$DATABASES_DIR/mysql.out" 2>&1 &
mysql=$!
on postgres "$uses - $timed" || failed=1
wait "$mysql" || failed=1
cat "$DATABASES_DIR/mysql.out"
exit "$failed"
