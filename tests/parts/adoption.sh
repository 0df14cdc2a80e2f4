#!/usr/bin/env bash
# Databases made by upstream's own migrations, at each revision and on each kind of database, are taken over; the
# migrations' own tests run on each kind too.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/cargo-counts.sh
. "$REPO/tests/lib/cargo-counts.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
# shellcheck source=tests/lib/databases.sh
. "$REPO/tests/lib/databases.sh"
cd "$REPO"
clients="$("$REPO/tests/lib/venv.sh")"
upstream="$("$REPO/tests/upstream/venv.sh")"
trap stop_databases EXIT
need_nextest
start_mariadb
start_postgres
failed=0
# `--workspace`, so that nothing is built twice; the filter leaves the tests of the migrations.
TACHI_SKIPPED_IS=fine nextest_counted --locked --workspace -E 'package(tachi-migrations)' || failed=1
script_counted "$clients/bin/python" "$REPO/tests/adoption/run.py" --tachi "$TACHI" --openstack "$clients/bin/openstack" \
  --upstream "$upstream/bin/python" --sample "${TACHI_SAMPLE:-everything}" || failed=1
exit "$failed"
