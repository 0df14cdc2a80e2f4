#!/bin/bash
# Installs everything the minicloud needs (idempotent). Debian 12, root, Python >= 3.11.
# shellcheck source=devstack/minicloud/lib.sh
. "$(dirname "$0")/lib.sh"

APT="mariadb-server rabbitmq-server memcached curl jq python3-venv python3-dev gcc libffi-dev"
missing=()
for p in $APT; do dpkg -s "$p" >/dev/null 2>&1 || missing+=("$p"); done
if [ ${#missing[@]} -gt 0 ]; then
  say "apt-get install ${missing[*]}"
  # keep the packages from starting their own daemons
  made=0
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d; made=1
  fi
  apt-get update >"$LOGS/apt.log" 2>&1
  DEBIAN_FRONTEND=noninteractive apt-get install -y "${missing[@]}" >>"$LOGS/apt.log" 2>&1 \
    || { tail -n 20 "$LOGS/apt.log"; die "apt-get failed"; }
  [ $made = 1 ] && rm -f /usr/sbin/policy-rc.d
fi

venv() { # NAME STAMP PACKAGES...
  local name="$1" v="$MC_ROOT/venv-$1"; shift
  local stamp="$v/.stamp" want="$*"
  [ -x "$v/bin/python" ] || python3 -m venv "$v"
  if [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]; then say "venv-$name: already there"; return; fi
  say "venv-$name: pip install $want"
  "$v/bin/pip" install "$@" >"$LOGS/pip-$name.log" 2>&1 \
    || { tail -n 20 "$LOGS/pip-$name.log"; die "pip failed for $name"; }
  echo "$want" > "$stamp"
}
COMMON=(pymysql python-memcached pymemcache uwsgi)
venv keystone "keystone==$KEYSTONE_VERSION" "${COMMON[@]}"
venv glance   "glance==$GLANCE_VERSION" "${COMMON[@]}"
venv nova     "nova==$NOVA_VERSION" "openstack-placement==$PLACEMENT_VERSION" "${COMMON[@]}"
# the same clients, at the same versions, as the client tests
CLIENT="$(cd "$MC_DIR/../../tests/client" && pwd)"
venv client   -r "$CLIENT/requirements.txt" -c "$CLIENT/constraints.txt" osc-placement aiohttp pymysql
for v in keystone glance nova client; do
  "$MC_ROOT/venv-$v/bin/pip" freeze 2>/dev/null > "$MC_RUN/freeze-$v.txt"
done
say "installed: $(grep -hiE '^(keystone|glance|nova|openstack-placement|openstacksdk|python-openstackclient|python-masakariclient)==' "$MC_RUN"/freeze-*.txt | sort -u | tr '\n' ' ')"
