#!/usr/bin/env bash
# The description of the API that is kept is the one this binary makes, and it is OpenAPI 3.1.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/python.sh
. "$REPO/tests/lib/python.sh"
venv="$(python_environment schemathesis \
  "$REPO/tests/schemathesis/requirements.txt" "$REPO/tests/schemathesis/constraints.txt")"

kept() { diff "$REPO/docs/$1" <("$TACHI" openapi --format "$2") | head -n 20; }
check "docs/openapi.json is what 'tachi openapi' prints" kept openapi.json json
check "docs/api.md is what 'tachi openapi --format markdown' prints" kept api.md markdown
check "docs/openapi.json is valid OpenAPI 3.1" \
  "$venv/bin/openapi-spec-validator" --errors all --schema 3.1 "$REPO/docs/openapi.json"
checks_done
