#!/usr/bin/env bash
# The host monitor on a real Pacemaker cluster: twenty rounds of each kind, and the API away for ten minutes.
TACHI_PACEMAKER_LONG=true exec bash "$(dirname "${BASH_SOURCE[0]}")/pacemaker.sh"
