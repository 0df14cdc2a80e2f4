#!/usr/bin/env bash
# The whole API as its specification has it: against `tachi api` on SQLite and on MariaDB or PostgreSQL, by turns from commit to commit; in
# --long on all three.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
# shellcheck source=tests/lib/databases.sh
. "$REPO/tests/lib/databases.sh"
trap stop_databases EXIT
databases=(sqlite)
turn="$(server_of_the_turn)"
if [ "$turn" != postgres ]; then
  start_mariadb
  databases+=(mysql)
fi
if [ "$turn" != mysql ]; then
  start_postgres
  databases+=(postgres)
fi
rc=0
for database in "${databases[@]}"; do
  say "--- tachi api on $database"
  TACHI_TEST_DATABASE="$database" script_counted "$REPO/tests/conformance/run.sh" || rc=1
done
exit "$rc"
