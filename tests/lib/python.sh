# shellcheck shell=bash
# python_environment FOLDER REQUIREMENTS CONSTRAINTS : makes (once) a Python environment and prints its path. Sourced after common.sh.
# uv makes it, out of a cache that all environments of this machine share; what pip is told of its index uv is told, too.

# The version of uv, from PyPI.
UV_VERSION=0.13.9

# uv_installed : prints the path of uv, which is installed beside what else outlives a clone
uv_installed() {
  local folder="$CACHE/tools/uv-$UV_VERSION" making
  if [ ! -x "$folder/bin/uv" ]; then
    mkdir -p "$CACHE/tools"
    exec {making}>"$folder.making"
    flock "$making"
    if [ ! -x "$folder/bin/uv" ]; then
      apt_need python3 python3 >&2
      # Some packages bring no wheel, and are built against Python's headers.
      if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then apt_need no-such-tool-python3-venv python3-venv python3-dev >&2; fi
      rm -rf "$folder"
      python3 -m venv "$folder.new" >&2
      if ! "$folder.new/bin/pip" install --disable-pip-version-check --no-input --quiet "uv==$UV_VERSION" >&2; then
        die "uv $UV_VERSION could not be installed from PyPI"
      fi
      mv "$folder.new" "$folder"
    fi
    exec {making}>&-
  fi
  printf '%s\n' "$folder/bin/uv"
}

python_environment() {
  local folder="$1" requirements="$2" constraints="$3" wanted uv index=()
  wanted="$(cat "$requirements" "$constraints" | cksum) $UV_VERSION"
  # Another part may be making it just now.
  mkdir -p "$(dirname "$folder")"
  local making
  exec {making}>"$folder.making"
  flock "$making"
  if [ "$(cat "$folder/.stamp" 2>/dev/null)" != "$wanted" ]; then
    uv="$(uv_installed)"
    say "making $folder" >&2
    rm -rf "$folder"
    export UV_CACHE_DIR="$CACHE/uv" UV_NATIVE_TLS=true UV_NO_CONFIG=1
    if [ -n "${PIP_INDEX_URL:-}" ]; then index+=(--index-url "$PIP_INDEX_URL"); fi
    if [ -n "${PIP_FIND_LINKS:-}" ]; then index+=(--find-links "$PIP_FIND_LINKS"); fi
    "$uv" venv --quiet --seed "${index[@]}" --python "$(command -v python3)" "$folder" >&2
    if ! "$uv" pip install --quiet "${index[@]}" --python "$folder/bin/python" -r "$requirements" -c "$constraints" >&2; then
      die "what $requirements names could not be installed from PyPI"
    fi
    printf '%s\n' "$wanted" >"$folder/.stamp"
  fi
  exec {making}>&-
  printf '%s\n' "$folder"
}
