#!/bin/bash
# boot.sh HOST COUNT [--ha] : COUNT servers ACTIVE on the fake compute HOST; --ha sets metadata HA_Enabled=True
# shellcheck source=devstack/minicloud/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC1091
. "$MC_RUN/openrc"
mcpy cloud.py boot "$@"
