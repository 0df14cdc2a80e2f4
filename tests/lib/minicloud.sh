# shellcheck shell=bash
# minicloud_up NUMBER : starts that minicloud of four hypervisors unless it is up. tests/run stops the ones that it started:
# it reads this list at its end, also after a failure.
minicloud_up() {
  local pid
  # shellcheck source=devstack/minicloud/minicloud.env
  pid="$(export MC_NUMBER="$1"; . "$REPO/devstack/minicloud/minicloud.env"; cat "$MC_RUN/pids/nova-api.pid" 2>/dev/null || true)"
  if [ -z "$pid" ] || [ ! -d "/proc/$pid" ]; then echo "$1" >>"${TACHI_TEST_RUN_DIR:-/tmp}/miniclouds-started"; fi
  MC_NUMBER="$1" "$REPO/devstack/minicloud/up.sh" 4
}
