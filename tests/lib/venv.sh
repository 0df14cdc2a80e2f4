#!/usr/bin/env bash
# venv.sh : makes (once) the Python environment with the unmodified OpenStack clients and prints its path.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
venv="${TACHI_TEST_CACHE:-$REPO/target/test-venv}"
wanted="$(cat "$REPO/tests/client/requirements.txt" "$REPO/tests/client/constraints.txt" | cksum)"
if [ "$(cat "$venv/.stamp" 2>/dev/null)" != "$wanted" ]; then
  apt_need python3 python3 >&2
  if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then apt_need no-such-tool-python3-venv python3-venv >&2; fi
  say "making $venv" >&2
  rm -rf "$venv"
  python3 -m venv "$venv" >&2
  if ! "$venv/bin/pip" install --disable-pip-version-check --no-input --quiet \
    -r "$REPO/tests/client/requirements.txt" -c "$REPO/tests/client/constraints.txt" >&2; then
    die "the OpenStack clients could not be installed from PyPI"
  fi
  printf '%s\n' "$wanted" >"$venv/.stamp"
fi
printf '%s\n' "$venv"
