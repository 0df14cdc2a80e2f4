# shellcheck shell=bash
# Sourced by tests/run and by every part. A part is a script of its own, so that `set -e` holds inside it and
# so that it can be run alone: `tests/parts/clippy.sh`.
set -euo pipefail

REPO="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
TARGET="${CARGO_TARGET_DIR:-$REPO/target}"
case "$TARGET" in /*) ;; *) TARGET="$REPO/$TARGET" ;; esac
# The file for a part's counts, which tests/run adds up. A part that runs alone only prints them.
RESULTS="${TACHI_TEST_RESULTS:-/dev/null}"
TACHI="${TACHI_BIN:-$TARGET/debug/tachi}"
MONITOR="${TACHI_MONITOR_BIN:-$TARGET/debug/tachi-monitor}"
# The cache across runs and clones: built third-party crates, and the inputs with which parts have passed.
CACHE="${TACHI_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/tachi}"
export REPO TARGET TACHI MONITOR CACHE

# No incremental state in CI: it costs disk and link time and is never read a second time. Nor the many codegen units that it needs: with
# 16 a crate takes a fifth less. No line numbers in backtraces either: a panic reports its own line.
if [ "${CI:-}" = true ]; then
  export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_CODEGEN_UNITS=16 CARGO_PROFILE_DEV_DEBUG=0
fi
if [ ! -t 1 ]; then export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"; fi

say() { printf '%s\n' "$*"; }
loud() { printf '\n!!! %s\n\n' "$*" >&2; }
die() { loud "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# count PASSED FAILED
count() { printf '%s %s\n' "$1" "$2" >>"$RESULTS"; }

# check NAME COMMAND... : one test; its output is shown only when it fails.
CHECKS_FAILED=0
check() {
  local name="$1" out
  shift
  if out="$("$@" 2>&1)"; then
    say "ok      $name"
    count 1 0
  else
    say "FAILED  $name"
    printf '%s\n' "$out" | sed 's/^/        /'
    count 0 1
    CHECKS_FAILED=$((CHECKS_FAILED + 1))
  fi
}
checks_done() { [ "$CHECKS_FAILED" -eq 0 ]; }

# Each caller of apt-get holds this lock, because parts run concurrently. Services that a package starts do not inherit it.
APT_LOCK="${TMPDIR:-/tmp}/tachi-tests.apt"

# apt_need COMMAND PACKAGE... : installs the packages unless COMMAND is there.
apt_need() {
  local tool="$1"
  shift
  if have "$tool"; then return 0; fi
  if ! have apt-get || [ "$(id -u)" -ne 0 ]; then die "$tool is missing and can only be installed on Debian as root: $*"; fi
  say "installing $*"
  local log
  log="$(mktemp)"
  # shellcheck disable=SC2016 # expanded by that shell
  if ! flock -o "$APT_LOCK" bash -c \
    'apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"' apt "$@" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "apt-get could not install $*"
  fi
  rm -f "$log"
}

# The tested commit, or zeros. Samples are seeded with it, so that failures are reproducible.
commit_id() { git -C "$REPO" rev-parse HEAD 2>/dev/null || printf '%040d' 0; }

strip_colour() { sed $'s/\x1b\\[[0-9;]*[A-Za-z]//g'; }
