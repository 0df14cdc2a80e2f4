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
# `--workspace`, so that nothing is built twice; the filter leaves those that use the database.
suite=(--locked --workspace -E 'package(tachi-store) + (package(tachi) & test(/^(processes|operator)::/))')
cargo nextest run --config-file "$REPO/tests/nextest.toml" "${suite[@]}" --no-run || die "the tests cannot be built"
# on DATABASE : most of it waits for the disk and for one another, so both run at once
on() {
  local start=$SECONDS rc=0
  say "--- $1"
  TACHI_TEST_DATABASE="$1" TACHI_SKIPPED_IS=fine nextest_counted "${suite[@]}" || rc=1
  say "$1: $((SECONDS - start)) s"
  return "$rc"
}
failed=0
on mysql >"$DATABASES_DIR/mysql.out" 2>&1 &
mysql=$!
on postgres || failed=1
wait "$mysql" || failed=1
cat "$DATABASES_DIR/mysql.out"
exit "$failed"
