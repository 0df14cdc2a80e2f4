#!/bin/bash
# In a booted Debian: installed on nothing, configured, upgraded, removed, purged, installed again.
# shellcheck disable=SC2016,SC2086
# shellcheck source=tests/deploy/inside.sh
. /deploy/inside.sh
cd /deploy || exit 1
API=http://127.0.0.1:15868
SERVER="masakari-api masakari-engine"
MONITORS="masakari-host-monitor masakari-instance-monitor"

that "both packages install" install_debs ./tachi_*.deb ./tachi-monitors_*.deb
for unit in $SERVER $MONITORS; do
  that "$unit is enabled" systemctl is-enabled "$unit"
  that "$unit waits for its configuration, and has not failed" equals "$(systemctl show -P ActiveState -P ConditionResult "$unit" | tr '\n' ' ')" "inactive no "
done
for unit in masakari-process-monitor masakari-introspective-instance-monitor tachi-boot-guard; do
  that "$unit is only offered" not systemctl is-enabled "$unit"
done
for user in masakari masakarimonitors; do that "the user $user is there" id "$user"; done
for program in masakari-api masakari-engine masakari-manage masakari-status masakari-hostmonitor masakari-instancemonitor \
  masakari-processmonitor masakari-introspectiveinstancemonitor fence_maas; do
  that "$program is there" sh -c "$program --version || $program -o metadata"
done
that "a newcomer sees it work: tachi demo" timeout 100 tachi demo --hosts 3 --instances 4 --json
that "the manual is there" test -s /usr/share/man/man1/masakari-manage.1.gz

EXAMPLE=/usr/share/doc/tachi/examples/masakari.conf
that "the example for a new installation is strict" equals "$(tachi config show --config-file $EXAMPLE 2>&1 |
  grep -E '^(reporter_binding|normal_without_evidence|mode) = |WARN|ERROR' | sort | tr '\n' ';')" \
  "mode = engine;normal_without_evidence = refuse;reporter_binding = enforce;"

configuration >/etc/masakari/masakari.conf
monitor_configuration >/etc/masakarimonitors/masakarimonitors.conf
chown root:masakari /etc/masakari/masakari.conf
chown root:masakarimonitors /etc/masakarimonitors/masakarimonitors.conf
chmod 640 /etc/masakari/masakari.conf /etc/masakarimonitors/masakarimonitors.conf
# As every guide has it, before a service has run.
that "masakari-manage db sync" su -s /bin/sh masakari -c "masakari-manage db sync"
systemctl start $SERVER $MONITORS masakari-process-monitor masakari-introspective-instance-monitor
that "the API answers" within 30 answers $API/healthcheck
for unit in $SERVER $MONITORS masakari-introspective-instance-monitor; do
  that "$unit runs under its hardening" within 30 active "$unit"
  that "$unit is ready by its own word" equals "$(systemctl show -P Type "$unit")" notify
done
for unit in $SERVER $MONITORS masakari-process-monitor masakari-introspective-instance-monitor tachi-boot-guard; do
  that "this systemd counts $unit as exposed by no more than 1.5" sh -c \
    "systemd-analyze security --no-pager $unit | tail -n 1 | grep -Eo '[0-9]+\.[0-9]' | awk '{ exit !(\$1 <= 1.5) }'"
done
that "and has nothing to say of the units" sh -c '! systemd-analyze verify --man=no /usr/lib/systemd/system/masakari-*.s* \
  /usr/lib/systemd/system/tachi-*.service 2>&1 | grep -E "masakari|tachi"'
that "the names of ours are aliases" systemctl is-active tachi-api tachi-engine tachi-host-monitor
that "a row is written" answers -X POST $API/v1/segments -H 'Content-Type: application/json' -H 'X-Auth-Token: u:p' \
  -d '{"segment":{"name":"one","recovery_method":"auto","service_type":"COMPUTE"}}'

# What the charm does: pause and resume by both names.
for name in masakari-engine tachi-engine; do
  systemctl stop "$name" && systemctl disable masakari-engine && systemctl mask masakari-engine
  that "paused by $name" not active masakari-engine
  systemctl unmask masakari-engine
  that "resumed by $name" sh -c "systemctl enable masakari-engine && systemctl start $name"
  that "and it runs" within 30 active masakari-engine
done
# A unit that exits repeatedly and is restarted is never "dead".
printf 'nonsense\n' >>/etc/masakari/masakari.conf
systemctl --no-block restart masakari-engine
sleep 12
state="$(systemctl show -P ActiveState masakari-engine)"
sed -i '$d' /etc/masakari/masakari.conf
that "after seven failed starts it still tries" equals "$state" activating
that "and comes when it can" within 30 active masakari-engine

before="$(systemctl show -P MainPID masakari-api)"
if [ -d next ]; then
  that "the next build installs over it" install_debs ./next/tachi_*.deb ./next/tachi-monitors_*.deb
  that "the API was restarted" not equals "$(systemctl show -P MainPID masakari-api)" "$before"
  that "the API answers again" within 30 answers $API/healthcheck
  that "the row is still there" sh -c "curl -s $API/v1/segments -H 'X-Auth-Token: u:p' | grep -q '\"one\"'"
  that "the previous build installs over that" install_debs ./tachi_*.deb ./tachi-monitors_*.deb
  that "and it answers" within 30 answers $API/healthcheck
fi

that "both are removed" apt-get remove -y tachi tachi-monitors
that "nothing runs" not pgrep -x 'tachi|tachi-monitor'
that "the configuration stays" test -s /etc/masakari/masakari.conf
that "the database stays" sh -c 'ls /var/lib/tachi/*.sqlite* /var/lib/tachi/*.db 2>/dev/null | grep -q .'
that "installed again" install_debs ./tachi_*.deb ./tachi-monitors_*.deb
that "it runs as before" within 30 answers $API/healthcheck
that "with its rows" sh -c "curl -s $API/v1/segments -H 'X-Auth-Token: u:p' | grep -q '\"one\"'"
that "both are purged" apt-get purge -y tachi tachi-monitors
that "what they made is gone" sh -c '! ls -d /var/lib/tachi /var/lib/tachi-monitor /var/lib/masakari /etc/logrotate.d/tachi* /etc/systemd/system/tachi-* /etc/systemd/system/*/masakari-* 2>/dev/null | grep .'
that "what the operator made is not" test -s /etc/masakari/masakari.conf
ended
