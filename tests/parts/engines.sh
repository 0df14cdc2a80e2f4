#!/usr/bin/env bash
# Three engines as processes of their own on MariaDB and on PostgreSQL: killed and stopped all along a recovery, and the
# server killed in the middle of one. The part `unit` runs the same on SQLite.
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
failed=0
for database in mysql postgres; do
  say "--- $database"
  start=$SECONDS
  TACHI_TEST_DATABASE="$database" TACHI_SKIPPED_IS=fine nextest_counted --locked --workspace \
    -E 'package(tachi) & test(/^three::/)' --success-output immediate || failed=1
  say "$database: $((SECONDS - start)) s"
done
exit "$failed"
