#!/usr/bin/env bash
# Whether every known defect and every rule of the protocol has its tests, every mutation its place, and the code its shape.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
cd "$REPO"
check "every defect and every rule has a test" python3 tests/lib/register.py
check "every mutation has its place" python3 tests/mutations/run.py --check --scratch "$TARGET/mutations"
check "files, types and imports keep their shape" python3 tests/lib/shape.py
check "code and pages are in plain English" python3 tests/lib/english.py
# Optional, because its build takes minutes.
if have typos; then
  spelling() { git ls-files -z | xargs -0 typos --force-exclude; }
  check "words are spelt right" spelling
else
  say "skipped words are spelt right: typos is not installed (cargo install typos-cli --locked)"
fi
checks_done
