#!/bin/bash
# cloud.sh CMD... : tools/cloud.py (show, heal, wipe, notify, evacuate, segment, token, boot)
# shellcheck source=devstack/minicloud/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC1091
. "$MC_RUN/openrc"
mcpy cloud.py "$@"
