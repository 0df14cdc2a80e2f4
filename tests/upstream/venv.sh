#!/usr/bin/env bash
# venv.sh : makes (once) the Python environment with the `masakari` package and prints its path. More packages can be named:
# `venv.sh uWSGI==2.0.31`.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
here="$REPO/tests/upstream"
venv="${TACHI_UPSTREAM_CACHE:-$REPO/target/upstream-venv}"
python=python3
if have python3.11; then python=python3.11; fi
wanted="$(cat "$here/requirements.txt" "$here/constraints.txt" | cksum)"
if [ "$(cat "$venv/.stamp" 2>/dev/null)" != "$wanted" ]; then
  apt_need "$python" python3 >&2
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then apt_need no-such-tool-python3-venv python3-venv >&2; fi
  say "making $venv" >&2
  rm -rf "$venv"
  "$python" -m venv "$venv" >&2
  if ! "$venv/bin/pip" install --disable-pip-version-check --no-input --quiet \
    -r "$here/requirements.txt" -c "$here/constraints.txt" >&2; then
    die "the masakari package could not be installed from PyPI"
  fi
  printf '%s\n' "$wanted" >"$venv/.stamp"
fi
for more in "$@"; do
  if ! "$venv/bin/pip" show --quiet "${more%%==*}" 2>/dev/null; then
    "$venv/bin/pip" install --disable-pip-version-check --no-input --quiet "$more" -c "$here/constraints.txt" >&2 ||
      die "$more could not be installed from PyPI"
  fi
done
printf '%s\n' "$venv"
