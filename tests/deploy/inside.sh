# shellcheck shell=bash
# Sourced by the scripts that run inside a booted Debian.
set -u
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin
PASSED=0 FAILED=0

# that NAME COMMAND... : one test
that() {
  local name="$1" out
  shift
  if out="$("$@" 2>&1)"; then
    echo "ok      $name"
    PASSED=$((PASSED + 1))
  else
    echo "FAILED  $name"
    printf '%s\n' "$out" | tail -n 30 | sed 's/^/        /'
    FAILED=$((FAILED + 1))
  fi
}
not() { ! "$@"; }
equals() { [ "$1" = "$2" ] || { echo "$1, not $2"; return 1; }; }
active() { systemctl is-active "$1"; }
# within SECONDS COMMAND...
within() {
  local end=$(($(date +%s) + $1))
  shift
  until "$@"; do
    if [ "$(date +%s)" -ge "$end" ]; then "$@"; return; fi
    sleep 0.2
  done
}
answers() { curl --silent --fail --max-time 5 "$@" >/dev/null; }
install_debs() { apt-get install -y --allow-downgrades --no-install-recommends "$@"; }
state_of() { dpkg-query -W -f '${db:Status-Status}' "$1"; }

ended() {
  echo "$PASSED passed, $FAILED failed"
  [ "$FAILED" -eq 0 ]
}

# A configuration that starts everything: Keystone is not queried before the first request.
configuration() {
  cat <<'X'
[DEFAULT]
auth_strategy = noauth2
masakari_api_listen = 127.0.0.1
os_privileged_user_name = nova
os_privileged_user_password = secret
os_privileged_user_tenant = services
os_privileged_user_auth_url = http://127.0.0.1:1/v3
X
}
monitor_configuration() {
  cat <<'X'
[api]
auth_url = http://127.0.0.1:1/v3
username = masakari
password = secret
project_name = services
user_domain_name = Default
project_domain_name = Default
X
}
