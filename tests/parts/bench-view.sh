#!/usr/bin/env bash
# What operators look at costs in a region of 1,000 hosts and 50,000 instances: who watches, commands, the API, the web board in Debian's Chromium.
# Exit 1 if a target is missed. On SQLite; TACHI_BENCH_VIEW_MARIADB=yes does it again on MariaDB, TACHI_BENCH_VIEW_HOSTS is another size.
# A quarter of an hour each, most of it until every host's room has been seen. The figures are left in bench-view.json and
# bench-view-mariadb.json of the target folder.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
# shellcheck source=tests/lib/python.sh
. "$REPO/tests/lib/python.sh"
# shellcheck source=tests/bench/servers.sh
. "$REPO/tests/bench/servers.sh"
binary="${TACHI_BIN:-$TARGET/${TACHI_BENCH_PROFILE:-dist}/tachi}"
[ -x "$binary" ] || die "there is no $binary: tests/parts/build-dist.sh builds it"
apt_need chromium chromium
python="$(python_environment board "$REPO/tests/board/requirements.txt" "$REPO/tests/board/constraints.txt")/bin/python"
measure() {
  script_counted "$python" "$REPO/tests/bench/view.py" --tachi "$binary" --hosts "${TACHI_BENCH_VIEW_HOSTS:-1000}" --json "$TARGET/$1" "${@:2}"
}
failed=0
measure bench-view.json || failed=1
if [ "${TACHI_BENCH_VIEW_MARIADB:-no}" = yes ]; then
  bench_servers
  measure bench-view-mariadb.json --mariadb "$TACHI_TEST_MYSQL_URL" || failed=1
fi
exit "$failed"
