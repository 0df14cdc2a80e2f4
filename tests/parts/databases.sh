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
failed=0
# `--workspace`, so that nothing is built twice; the filter leaves those that use the database.
for database in mysql postgres; do
  say "--- $database"
  start=$SECONDS
  TACHI_TEST_DATABASE="$database" TACHI_SKIPPED_IS=fine nextest_counted --locked --workspace \
    -E 'package(tachi-store) + (package(tachi) & test(/^(processes|operator)::/))' || failed=1
  say "$database: $((SECONDS - start)) s"
done
exit "$failed"
