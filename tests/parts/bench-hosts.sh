#!/usr/bin/env bash
# How costs grow with 10, 100 and 1,000 hosts: five engines on MariaDB, then on a Galera cluster of three, a fifth of the hosts lost and approved.
# Exit 1 if a target is missed. TACHI_BENCH_HOSTS names other sizes; the figures are left in bench-hosts.json and bench-hosts-galera.json of the
# target folder.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
# shellcheck source=tests/bench/servers.sh
. "$REPO/tests/bench/servers.sh"
# shellcheck source=tests/bench/galera.sh
. "$REPO/tests/bench/galera.sh"
bench_servers
measure() {
  script_counted "$PYTHON" "$REPO/tests/bench/hosts.py" --tachi "$BINARY" --mariadb "$1" --hosts "${TACHI_BENCH_HOSTS:-10,100,1000}" --json "$TARGET/$2"
}
failed=0
measure "$TACHI_TEST_MYSQL_URL" bench-hosts.json || failed=1
start_galera
measure "$TACHI_TEST_GALERA_URLS" bench-hosts-galera.json || failed=1
exit "$failed"
