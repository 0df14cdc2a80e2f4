#!/usr/bin/env bash
# The alerts and the board that are shipped, in a real Prometheus beside a real engine.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
if ! have promtool || ! have prometheus; then
  # Unpacked, not installed: the package would start a server of its own.
  unpacked="$TARGET/prometheus"
  if [ ! -x "$unpacked/usr/bin/promtool" ]; then
    apt_need dpkg-deb dpkg
    mkdir -p "$unpacked"
    log="$(mktemp)"
    # shellcheck disable=SC2016 # expanded by that shell
    if ! flock -o "$APT_LOCK" bash -ec 'apt-get update; cd "$1"; apt-get download prometheus; dpkg-deb -x prometheus_*.deb .' apt \
      "$unpacked" >"$log" 2>&1; then
      tail -n 20 "$log" >&2
      die "apt-get could not download prometheus"
    fi
    rm -f "$log"
  fi
  PATH="$unpacked/usr/bin:$PATH"
fi
venv="$("$REPO/tests/lib/venv.sh")"
script_counted "$venv/bin/python" "$REPO/tests/alerts/run.py" --tachi "$TACHI"
