#!/usr/bin/env bash
# The whole API as its specification has it: against `tachi api` on every database.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
# shellcheck source=tests/lib/databases.sh
. "$REPO/tests/lib/databases.sh"
trap stop_databases EXIT
start_mariadb
start_postgres
rc=0
for database in sqlite mysql postgres; do
  say "--- tachi api on $database"
  TACHI_TEST_DATABASE="$database" script_counted "$REPO/tests/conformance/run.sh" || rc=1
done
exit "$rc"
