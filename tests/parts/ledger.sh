#!/usr/bin/env bash
# The checker of the region's guests finds what it is there to find: two real guests on one disk, and ledgers that were spoilt on purpose.
# shellcheck source=tests/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/common.sh"
# shellcheck source=tests/lib/script-counts.sh
. "$REPO/tests/lib/script-counts.sh"
"$REPO/tests/libvirt/install.sh"
"$REPO/tests/region/guest.sh" "$CACHE/region/guest"
script_counted python3 "$REPO/tests/region/spoilt.py" "$CACHE/region/guest"
