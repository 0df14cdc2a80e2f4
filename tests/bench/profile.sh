#!/usr/bin/env bash
# profile.sh [SECONDS] [--post] : where the CPU goes in `tachi api` while GET /v1/segments is asked for, or notifications are
# posted, over 16 connections.
# perf's record is left in the target folder as profile.data.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/bench/servers.sh
. "$REPO/tests/bench/servers.sh"
apt_need perf linux-perf
bench_servers
"$PYTHON" "$REPO/tests/bench/profile.py" --tachi "$BINARY" --mariadb "$TACHI_TEST_MYSQL_URL" --seconds "${1:-15}" \
  --record "$TARGET/profile.data" "${@:2}"
