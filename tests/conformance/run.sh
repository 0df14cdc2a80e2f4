#!/usr/bin/env bash
# run.sh [--upstream] [PYTEST ARGUMENTS...] : the conformance tests against `tachi api`, on the database that
# TACHI_TEST_DATABASE names (sqlite, mysql, postgres; see tests/lib/databases.sh for servers).
# --upstream: those of what is kept against Masakari's own API out of PyPI, which shows that the tests tell the truth.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
if [ "${1:-}" = --upstream ]; then
  shift
  export TACHI_CONFORMANCE_TARGET=upstream TACHI_TEST_DATABASE=sqlite
  TACHI_UPSTREAM_VENV="${TACHI_UPSTREAM_VENV:-$("$REPO/tests/upstream/venv.sh")}"
  export TACHI_UPSTREAM_VENV
fi
venv="$("$REPO/tests/lib/venv.sh")"
folder="$(mktemp -d "${TACHI_TEST_RUN_DIR:-${TMPDIR:-/tmp}}/conformance.XXXXXX")"
trap 'rm -rf "$folder"' EXIT
export TACHI PYTHONDONTWRITEBYTECODE=1
rc=0
"$venv/bin/python" -m pytest --rootdir "$REPO/tests/conformance" -c "$REPO/tests/conformance/pytest.ini" \
  --basetemp "$folder/tests" --junitxml "$folder/report.xml" "$REPO/tests/conformance" "$@" || rc=$?
"$venv/bin/python" - "$folder/report.xml" <<'PY' || rc=1
import sys
import xml.etree.ElementTree as tree
try:
    suite = tree.parse(sys.argv[1]).getroot().find("testsuite")
except (OSError, tree.ParseError):
    print("0 passed, 1 failed")  # Not one test ran.
    sys.exit(1)
total = int(suite.get("tests"))
bad = sum(int(suite.get(kind)) for kind in ("failures", "errors", "skipped"))  # What was skipped did not run.
print("%d passed, %d failed" % (total - bad, bad))
sys.exit(1 if bad or not total else 0)
PY
exit "$rc"
