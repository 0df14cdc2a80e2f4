#!/bin/bash
# In a booted system: the process monitor restarts a unit by the polkit rule that the operator writes, in the form that this polkit reads, and not
# without it (0111).
# shellcheck source=tests/deploy/inside.sh
. /deploy/inside.sh
cd /deploy || exit 1
LIST=/etc/masakarimonitors/process_list.yaml
RULES=/etc/polkit-1/rules.d/49-tachi-process-monitor.rules
PKLA=/etc/polkit-1/localauthority/50-local.d/49-tachi-process-monitor.pkla
# Debian's polkit 0.105 reads .pkla files alone, what came after it reads JavaScript.
form=rules place=$RULES wrong_form=pkla
version="$(dpkg-query -W -f '${Version}' polkitd 2>/dev/null || dpkg-query -W -f '${Version}' policykit-1)"
if dpkg --compare-versions "$version" lt 0.106; then form=pkla place=$PKLA wrong_form=rules; fi
echo "polkit $version, systemd $(dpkg-query -W -f '${Version}' systemd)"

# Debian 11's C library is older than the one that a test's build needs: there the program is started with the one of its machine.
install_with_libraries() {
  dpkg --force-depends -i ./tachi-monitors_*.deb || return 1
  mv /usr/bin/tachi-monitor /usr/lib/tachi-monitor.program
  printf '#!/bin/sh\nexec /deploy/libraries/ld-linux-x86-64.so.2 --library-path /deploy/libraries /usr/lib/tachi-monitor.program "$@"\n' \
    >/usr/bin/tachi-monitor
  chmod 755 /usr/bin/tachi-monitor
  tachi-monitor --version
}
if [ -d libraries ]; then
  that "the package installs, and its program starts" install_with_libraries
else
  that "the package installs" install_debs ./tachi-monitors_*.deb
fi
that "it brings no rule that is in force" sh -c '! grep -rl masakarimonitors /usr/share/polkit-1 /etc/polkit-1 /var/lib/polkit-1 2>/dev/null | grep .'
cat >/etc/systemd/system/watched.service <<'U'
[Service]
ExecStart=/bin/sleep infinity
U
cp /etc/systemd/system/watched.service /etc/systemd/system/other.service
systemctl daemon-reload
systemctl start watched other
cat >"$LIST" <<'L'
-
    process_name: /bin/sleep infinity
    start_command: systemctl start watched
    restart_command: systemctl restart watched
    run_as_root: True
L
monitor_configuration >/etc/masakarimonitors/masakarimonitors.conf
printf '[process]\nrestart_interval = 1\n' >>/etc/masakarimonitors/masakarimonitors.conf
chown root:masakarimonitors /etc/masakarimonitors/masakarimonitors.conf "$LIST"
chmod 640 /etc/masakarimonitors/masakarimonitors.conf "$LIST"

as_monitor() { setpriv --reuid=masakarimonitors --regid=masakarimonitors --clear-groups systemctl --no-ask-password "$@"; }
main_pid() { systemctl show -P MainPID "$1"; }
# What `check process` says of polkit; another part of the answer is about Keystone, which is not there.
polkit_says() { tachi-monitor check process 2>&1 | grep -E "$1"; }
killed() {
  local before
  before="$(main_pid watched)"
  kill -9 "$before"
  within 20 sh -c "p=\$(systemctl show -P MainPID watched); [ \"\$p\" != 0 ] && [ \"\$p\" != $before ]"
}

that "polkit runs, or is started when it is asked" within 20 systemctl start polkit
that "without a rule the monitor's user may not restart the unit" not as_monitor restart watched
that "and check process says so" polkit_says '^WRONG process: polkit does not let masakarimonitors'
mkdir -p "${PKLA%/*}" "${RULES%/*}"
if [ "$form" = pkla ]; then
  tachi-monitor init polkit --form "$wrong_form" --process-list "$LIST" >"$RULES"
  that "JavaScript is not read here" within 5 not as_monitor restart watched
  rm "$RULES"
fi
that "the rule is written as $form" sh -c "tachi-monitor init polkit --form $form --process-list $LIST >$place"
that "polkit lets the user restart the unit" within 20 as_monitor restart watched
that "check process says so" polkit_says '^ok +process: polkit lets masakarimonitors start and restart the units'
if [ "$form" = rules ]; then
  that "and no other unit" not as_monitor restart other
else
  that "and, which this form cannot help, each other unit" as_monitor restart other
fi
systemctl start masakari-process-monitor
that "the process monitor runs" within 30 active masakari-process-monitor
that "a unit that is killed runs again" killed
that "the monitor restarted it, and says so" sh -c "journalctl -u masakari-process-monitor --no-pager | grep -i restart"
that "and systemd did not by itself" equals "$(systemctl show -P NRestarts watched)" 0
rm "$place"
that "without the rule it is refused again" within 20 not as_monitor restart watched
ended
