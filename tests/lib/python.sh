# shellcheck shell=bash
# python_environment FOLDER REQUIREMENTS CONSTRAINTS : makes (once) a Python environment and prints its path. Sourced after common.sh.
python_environment() {
  local folder="$1" requirements="$2" constraints="$3" wanted
  wanted="$(cat "$requirements" "$constraints" | cksum)"
  # Another part may be making it just now.
  mkdir -p "$(dirname "$folder")"
  local making
  exec {making}>"$folder.making"
  flock "$making"
  if [ "$(cat "$folder/.stamp" 2>/dev/null)" != "$wanted" ]; then
    apt_need python3 python3 >&2
    # Some packages bring no wheel, and are built against Python's headers.
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then apt_need no-such-tool-python3-venv python3-venv python3-dev >&2; fi
    say "making $folder" >&2
    rm -rf "$folder"
    python3 -m venv "$folder" >&2
    if ! "$folder/bin/pip" install --disable-pip-version-check --no-input --quiet -r "$requirements" -c "$constraints" >&2; then
      die "what $requirements names could not be installed from PyPI"
    fi
    printf '%s\n' "$wanted" >"$folder/.stamp"
  fi
  exec {making}>&-
  printf '%s\n' "$folder"
}
