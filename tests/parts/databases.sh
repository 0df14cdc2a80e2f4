#!/usr/bin/env bash
# The store's suite on MariaDB and on PostgreSQL, and those of API, engines and commands in processes of their own; the part `unit` runs
# all of it on SQLite, and the part `timed` what is timed. Each server has its half, by turns from commit to commit; in --long both have
# all.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/cargo-counts.sh
. "$REPO/tests/lib/cargo-counts.sh"
# shellcheck source=tests/lib/databases.sh
. "$REPO/tests/lib/databases.sh"
cd "$REPO"
trap stop_databases EXIT
need_nextest
start_mariadb
start_postgres
store='package(tachi-store) - test(/_in_less_than_a_second$/)'
processes='package(tachi) & test(/^(processes|operator)::/)'
on() {
  local start=$SECONDS rc=0
  say "--- $1"
  TACHI_TEST_DATABASE="$1" TACHI_SKIPPED_IS=fine nextest_counted --locked --workspace --profile beside "${@:2}" || rc=1
  say "$1: $((SECONDS - start)) s"
  return "$rc"
}
# half DATABASE : the partition of the tests that this server has
half() {
  case "$(server_of_the_turn)" in
    all) printf 'count:1/1' ;;
    "$1") printf 'count:1/2' ;;
    *) printf 'count:2/2' ;;
  esac
}
failed=0
# Most of them wait, for the disk and for one another: both at once. The first builds what there is to build.
on mysql -E "$store" --partition "$(half mysql)" >"$DATABASES_DIR/mysql.out" 2>&1 &
mysql=$!
on postgres -E "$store" --partition "$(half postgres)" || failed=1
wait "$mysql" || failed=1
cat "$DATABASES_DIR/mysql.out"
for database in mysql postgres; do
  say "$database has the partition $(half "$database")"
  on "$database" -E "$processes" --partition "$(half "$database")" || failed=1
done
exit "$failed"
