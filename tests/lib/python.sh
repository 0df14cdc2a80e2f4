# shellcheck shell=bash
# python_environment NAME REQUIREMENTS CONSTRAINTS : creates (once per machine) a Python environment and prints its path. Sourced after
# common.sh. It outlives the clone, and its modules are compiled once: otherwise a test that starts `openstack` would compile a thousand of them.
# uv creates it from a cache that all environments of this machine share, with pip's index options.

# The version of uv, from PyPI.
UV_VERSION=0.13.9

# uv_installed : prints the path of uv, which is installed in the cache
uv_installed() {
  local folder="$CACHE/tools/uv-$UV_VERSION" making
  if [ ! -x "$folder/bin/uv" ]; then
    mkdir -p "$CACHE/tools"
    exec {making}>"$folder.making"
    flock "$making"
    if [ ! -x "$folder/bin/uv" ]; then
      apt_need python3 python3 >&2
      # Some packages have no wheel and are built with Python's headers.
      if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then apt_need no-such-tool-python3-venv python3-venv python3-dev >&2; fi
      rm -rf "$folder"
      python3 -m venv "$folder" >&2
      if ! "$folder/bin/pip" install --disable-pip-version-check --no-input --quiet "uv==$UV_VERSION" >&2; then
        die "uv $UV_VERSION could not be installed from PyPI"
      fi
      fi
    exec {making}>&-
  fi
  printf '%s\n' "$folder/bin/uv"
}

python_environment() {
  local name="$1" requirements="$2" constraints="$3" folder uv index=() making
  folder="$CACHE/python/$name-$({ cat "$requirements" "$constraints"; echo "$UV_VERSION"; python3 -V; } 2>/dev/null | sha256sum | cut -c 1-16)"
  mkdir -p "$CACHE/python"
  # Another part may be creating it concurrently.
  exec {making}>"$CACHE/python/$name.making"
  flock "$making"
  if [ ! -e "$folder/.made" ]; then
    uv="$(uv_installed)"
    say "making $folder" >&2
    export UV_CACHE_DIR="$CACHE/uv" UV_NATIVE_TLS=true UV_NO_CONFIG=1
    if [ -n "${PIP_INDEX_URL:-}" ]; then index+=(--index-url "$PIP_INDEX_URL"); fi
    if [ -n "${PIP_FIND_LINKS:-}" ]; then index+=(--find-links "$PIP_FIND_LINKS"); fi
    rm -rf "$folder"
    "$uv" venv --quiet --seed "${index[@]}" --python "$(command -v python3)" "$folder" >&2
    if ! "$uv" pip install --quiet --compile-bytecode "${index[@]}" --python "$folder/bin/python" -r "$requirements" -c "$constraints" >&2; then
      die "could not install $requirements from PyPI"
    fi
  fi
  touch "$folder" "$folder/.made"
  find "$CACHE/python" -mindepth 1 -maxdepth 1 -name "$name-*" -mtime +14 -exec rm -rf {} +
  exec {making}>&-
  printf '%s\n' "$folder"
}
