# shellcheck shell=bash
# What the benchmark and the profile need. Sourced after common.sh: bench_servers sets PYTHON and BINARY, starts MariaDB, and
# stops at the end of the script whatever was started.
# shellcheck source=tests/lib/databases.sh
. "$REPO/tests/lib/databases.sh"
# shellcheck source=tests/lib/rabbitmq.sh
. "$REPO/tests/lib/rabbitmq.sh"

bench_servers() {
  BINARY="${TACHI_BIN:-$TARGET/${TACHI_BENCH_PROFILE:-dist}/tachi}"
  [ -x "$BINARY" ] || die "there is no $BINARY: tests/parts/build-dist.sh builds it"
  trap bench_clean_up EXIT
  trap 'exit 143' TERM
  trap 'exit 130' INT
  apt_need wrk wrk
  PYTHON="$("$REPO/tests/lib/venv.sh")/bin/python"
  export PYTHON BINARY
  start_mariadb
}

bench_clean_up() {
  stop_rabbitmq
  stop_databases
}
