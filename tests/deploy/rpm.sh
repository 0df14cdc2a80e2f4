#!/bin/bash
# In a booted Debian that has rpm: the rpm packages with their scripts, under a real systemd. What they depend on has other names there, so rpm
# does not look for it. Installed on nothing, configured, upgraded, removed; and put in the place of a package that stands for RDO's.
# shellcheck disable=SC2016,SC2086
# shellcheck source=tests/deploy/inside.sh
. /deploy/inside.sh
cd /deploy || exit 1
API=http://127.0.0.1:15868
SERVER="masakari-api masakari-engine"
MONITORS="masakari-host-monitor masakari-instance-monitor"
OFFERED="masakari-process-monitor masakari-introspective-instance-monitor tachi-boot-guard"
rpm_do() { rpm --force-debian --nodeps "$@"; }

# What RDO's have of interest here: a configuration that an operator changes, and its folder's group.
mkdir -p spec && cat >spec/theirs.spec <<'S'
Name: openstack-masakari-common
Version: 19.0.0
Release: 1
Summary: stands for RDO's
License: ASL 2.0
BuildArch: noarch
Provides: openstack-masakari-monitors
%description
%install
for name in masakari masakarimonitors; do
  mkdir -p %{buildroot}/etc/$name && echo '[DEFAULT]' >%{buildroot}/etc/$name/$name.conf
done
%files
%dir %attr(0750, root, theirs) /etc/masakari
%dir %attr(0750, root, theirs) /etc/masakarimonitors
%config(noreplace) %attr(0640, root, theirs) /etc/masakari/masakari.conf
%config(noreplace) %attr(0640, root, theirs) /etc/masakarimonitors/masakarimonitors.conf
S
groupadd --system theirs
that "a package stands for RDO's" rpmbuild --quiet --define "_topdir $PWD/spec" -bb spec/theirs.spec
that "and is installed" rpm_do -i spec/RPMS/noarch/*.rpm
that "ours say that they conflict with it" sh -c 'rpm --force-debian -i --test ./*.rpm 2>&1 | grep -q "openstack-masakari-common conflicts with\|conflicts with openstack-masakari-common"'
configuration >/etc/masakari/masakari.conf
monitor_configuration >/etc/masakarimonitors/masakarimonitors.conf
mkdir saved && cp -a /etc/masakari /etc/masakarimonitors saved/
that "theirs is removed" rpm_do -e openstack-masakari-common
that "rpm keeps a changed configuration by another name" test -s /etc/masakari/masakari.conf.rpmsave
cp -a saved/masakari saved/masakarimonitors /etc/
rm -f /etc/masakari*/*.rpmsave

that "both packages install" rpm_do -i ./*.rpm
for unit in $SERVER $MONITORS; do that "$unit is enabled" systemctl is-enabled "$unit"; done
for unit in $OFFERED; do that "$unit is only offered" not systemctl is-enabled "$unit"; done
for user in masakari masakarimonitors; do that "the user $user reads what RDO's group owns" su -s /bin/sh $user -c "test -r /etc/$user/$user.conf"; done
that "nothing was started" not active masakari-engine
that "masakari-manage db sync" su -s /bin/sh masakari -c "masakari-manage db sync"
systemctl start $SERVER $MONITORS
that "the API answers" within 30 answers $API/healthcheck
for unit in $SERVER $MONITORS; do that "$unit runs under its hardening" within 30 active "$unit"; done
that "a row is written" answers -X POST $API/v1/segments -H 'Content-Type: application/json' -H 'X-Auth-Token: u:p' \
  -d '{"segment":{"name":"one","recovery_method":"auto","service_type":"COMPUTE"}}'

before="$(systemctl show -P MainPID masakari-api)"
systemctl disable masakari-instance-monitor
echo '# mine' >>/etc/logrotate.d/tachi
that "the next build installs over it" rpm_do -U ./next/*.rpm
that "the API was restarted" not equals "$(systemctl show -P MainPID masakari-api)" "$before"
that "the API answers again" within 30 answers $API/healthcheck
that "the row is still there" sh -c "curl -s $API/v1/segments -H 'X-Auth-Token: u:p' | grep -q '\"one\"'"
that "what was disabled stays disabled" not systemctl is-enabled masakari-instance-monitor
that "a changed file stays as it is" grep -q '# mine' /etc/logrotate.d/tachi
that "the previous build installs over that" rpm_do -U --oldpackage ./*.rpm
that "and it answers" within 30 answers $API/healthcheck

that "both are removed" rpm_do -e tachi tachi-monitors
that "nothing runs" not pgrep -x 'tachi|tachi-monitor'
that "no unit and no link to one is left" sh -c '! find /etc/systemd /usr/lib/systemd -name "*masakari*" -o -name "*tachi*" | grep .'
that "the configuration stays" test -s /etc/masakari/masakari.conf
that "the database stays" sh -c 'ls /var/lib/tachi/*.sqlite* /var/lib/tachi/*.db 2>/dev/null | grep -q .'
that "installed again" rpm_do -i ./*.rpm
systemctl start masakari-api
that "it runs as before" within 30 answers $API/healthcheck
that "with its rows" sh -c "curl -s $API/v1/segments -H 'X-Auth-Token: u:p' | grep -q '\"one\"'"
ended
